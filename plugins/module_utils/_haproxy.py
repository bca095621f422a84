# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: the one client of HAProxy's runtime API, for HAProxy 2.4 to 3.4.
# It runs on the load balancer, so it needs Python 3.9 and nothing else.
# It raises HaproxyError and nothing else; the caller decides what follows.

from __future__ import annotations

import dataclasses
import re
import socket
import stat
import time
import typing as t
from pathlib import Path

Item = dict[str, t.Any]

DEFAULT_SOCKET = "/run/haproxy/admin.sock"
# Seconds for one whole answer
ANSWER_SECONDS = 10.0
# A reload may close a connection before it is answered
ATTEMPTS = 4
RETRY_SECONDS = 0.25

# Kinds of objects in `show stat` (management guide, 9.3)
FRONTEND, BACKEND, SERVER = 1, 2, 4

# srv_admin_state in `show servers state` (management guide, 9.3; include/haproxy/server-t.h)
FORCED_MAINT = 0x01
INHERITED_MAINT = 0x02
FORCED_DRAIN = 0x08
INHERITED_DRAIN = 0x10
RESOLUTION_MAINT = 0x20
# srv_op_state in the same output: its checks let it serve
OP_STATE_UP = (1, 2)
# srv_check_result in the same output: the last check passed, or passed conditionally (http-check disable-on-404)
CHECK_PASSED = (3, 4)

INFO = "show info typed"
STATE_NUMBERS = ("srv_admin_state", "srv_op_state", "srv_uweight", "srv_iweight", "srv_check_result")

# S.3.1.17.status.1:SGP:str:DOWN; from HAProxy 3.3 on SGPV instead of SGP
_STAT = re.compile(
    r"(?P<kind>[A-Z])\.(?P<proxy>\d+)\.(?P<id>\d+)\.\d+\.(?P<field>[^:]+)\.\d+:\w+:(?P<type>\w+):(?P<value>.*)"
)
# 6.Pid.1:SGP:u32:20891
_INFO = re.compile(r"\d+\.(?P<field>[^:]+)\.\d+:\w+:(?P<type>\w+):(?P<value>.*)")


class HaproxyError(Exception):
    """What went wrong and what to do, in one line. gone: HAProxy did not answer, but may do so in a moment."""

    def __init__(self, message: str, *, gone: bool = False) -> None:
        super().__init__(" ".join(message.split()))
        self.gone = gone


@dataclasses.dataclass(frozen=True)
class Server:
    """A server: `stats` is its row of `show stat`, `known` its line of `show servers state`."""

    stats: Item
    known: dict[str, str]

    @property
    def backend(self) -> str:
        return str(self.stats["pxname"])

    @property
    def name(self) -> str:
        return str(self.stats["svname"])

    @property
    def admin(self) -> int:
        return int(self.known["srv_admin_state"])

    @property
    def state(self) -> str:
        """The state that was set for the server itself: ready, drain or maint."""
        return "maint" if self.admin & FORCED_MAINT else "drain" if self.admin & FORCED_DRAIN else "ready"

    @property
    def inherits(self) -> bool:
        """Whether the server that it tracks is in maint or drain, and so this one is, too."""
        return bool(self.admin & (INHERITED_MAINT | INHERITED_DRAIN))

    @property
    def up(self) -> bool:
        """Whether admin states and checks let it serve, and its last check passed.

        A server that leaves maint is UP before its first check. Its health is `rise` then; only a check that passes
        raises it to the full rise + fall - 1.
        """
        stopped = self.admin & (FORCED_MAINT | INHERITED_MAINT | RESOLUTION_MAINT | FORCED_DRAIN | INHERITED_DRAIN)
        if stopped or int(self.known["srv_op_state"]) not in OP_STATE_UP:
            return False
        if "check_health" not in self.stats:
            return True
        full = int(self.stats["check_rise"]) + int(self.stats["check_fall"]) - 1
        return int(self.stats["check_health"]) >= full and int(self.known["srv_check_result"]) in CHECK_PASSED

    @property
    def weight(self) -> int:
        return int(self.known["srv_uweight"])

    @property
    def initial_weight(self) -> int:
        return int(self.known["srv_iweight"])

    @property
    def host(self) -> str:
        return self.known.get("srv_addr", "-")

    @property
    def port(self) -> int:
        return int(self.known.get("srv_port", 0))

    @property
    def sessions(self) -> int:
        """The server's sessions, including those that wait in its own queue."""
        return int(self.stats.get("scur", 0)) + int(self.stats.get("qcur", 0))

    def facts(self) -> Item:
        """What the modules return of a server, always with the same keys."""
        get = self.stats.get
        return {
            "backend": self.backend,
            "name": self.name,
            "address": get("addr"),
            "state": self.state,
            "status": get("status"),
            "weight": self.weight,
            "initial_weight": self.initial_weight,
            "backup": bool(get("bck")),
            "cookie": get("cookie"),
            "track": get("tracked"),
            "last_change": get("lastchg"),
            "downtime": get("downtime"),
            "sessions": sessions_of(self.stats),
            "check": _check_of(self.stats, "check", "last_chk"),
            "agent": _check_of(self.stats, "agent", "last_agt"),
        }


def sessions_of(stats: Item) -> Item:
    return {
        "current": stats.get("scur"),
        "queued": stats.get("qcur"),
        "highest": stats.get("smax"),
        "limit": stats.get("slim"),
        "total": stats.get("stot"),
        "rate": stats.get("rate"),
    }


def _check_of(stats: Item, prefix: str, last: str) -> Item | None:
    if f"{prefix}_status" not in stats:
        return None
    # While a check runs, a star precedes the result of the last one, whose code HAProxy has dropped from 3.2 on
    status, code = stats[f"{prefix}_status"], stats.get(f"{prefix}_code")
    return {
        "status": status.lstrip("* "),
        "code": None if status.startswith("*") and not code else code,
        "duration": stats.get(f"{prefix}_duration"),
        "last": stats.get(last),
        "description": stats.get(f"{prefix}_desc"),
        "rise": stats.get(f"{prefix}_rise"),
        "fall": stats.get(f"{prefix}_fall"),
        "health": stats.get(f"{prefix}_health"),
    }


class Client:
    """The runtime API at a UNIX socket's path, or at host:port over TCP."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._connect_to = _parse(address)

    def info(self) -> Item:
        """`show info`, with typed values."""
        return self._info_in(self._show(INFO))

    def _info_in(self, answer: str) -> Item:
        fields: Item = {}
        for line in answer.splitlines():
            found = _INFO.fullmatch(line)
            if found:
                fields[found["field"]] = _typed(found["type"], found["value"])
            elif line.strip():
                raise self._unreadable(line)
        if "Pid" not in fields:
            raise self._unreadable(" ".join(fields))
        return fields

    def rows(self, kinds: int, backend: str | None = None) -> list[Item]:
        """`show stat` of some kinds of objects, each value of its own type; what does not apply is left out."""
        return self._rows_in(self._show(f"show stat {backend or -1} {kinds} -1 typed"))

    def _rows_in(self, answer: str) -> list[Item]:
        rows: dict[tuple[str, str, str], Item] = {}
        row: Item = {}
        last = None
        for line in answer.splitlines():
            found = _STAT.fullmatch(line)
            if found:
                row = rows.setdefault((found["kind"], found["proxy"], found["id"]), {})
                last = found["field"]
                row[last] = _typed(found["type"], found["value"])
            elif last and isinstance(row[last], str):
                # A check's answer may span lines
                row[last] = f"{row[last]}\n{line}".rstrip()
            elif line.strip():
                raise self._unreadable(line)
        if any("pxname" not in one or "svname" not in one for one in rows.values()):
            raise self._unreadable("a row of statistics without its name")
        return list(rows.values())

    def backends(self) -> list[str]:
        return [row["pxname"] for row in self.rows(BACKEND)]

    def servers(self, backend: str | None = None) -> list[Server]:
        """The servers of one existing backend, or of all."""
        return self.look(backend)[1]

    def look(self, backend: str | None = None) -> tuple[int, list[Server]]:
        """The pid of the process that answers, and its servers; on one connection, so that no reload comes between."""
        commands = (INFO, f"show servers state {backend or ''}".strip(), f"show stat {backend or -1} {SERVER} -1 typed")
        answers = self._ask("; ".join(commands)).split("\n\n", len(commands) - 1)
        for command, answer in zip(commands, answers):  # noqa: B905 - Python 3.9 has no strict
            self._check_shown(command, answer)
        pid = self._info_in(answers[0])["Pid"]
        if len(answers) < len(commands):
            raise self._unreadable(answers[-1].strip())
        known, rows = self._server_states_in(answers[1]), self._rows_in(answers[2])
        # A server that was added between the two commands has no state yet
        return pid, [
            Server(row, known[row["pxname"], row["svname"]]) for row in rows if (row["pxname"], row["svname"]) in known
        ]

    def _server_states_in(self, answer: str) -> dict[tuple[str, str], dict[str, str]]:
        lines = answer.splitlines()
        states: dict[tuple[str, str], dict[str, str]] = {}
        columns: list[str] = []
        for line in lines:
            if line.startswith("#"):
                columns = line[1:].split()
            elif columns and line.strip():
                values = dict(zip(columns, line.split(" ")))  # noqa: B905 - Python 3.9 has no strict
                try:
                    for column in STATE_NUMBERS:
                        int(values[column])
                    states[values["be_name"], values["srv_name"]] = values
                except (KeyError, ValueError):
                    raise self._unreadable(line) from None
        if not columns:
            raise self._unreadable(lines[0] if lines else "")
        return states

    def set_state(self, server: str, state: str) -> None:
        """server is backend/server, state ready, drain or maint."""
        self._do(f"set server {server} state {state}")

    def set_weight(self, server: str, weight: str) -> None:
        """weight is 0 to 256, or a percentage of the initial one such as 50%."""
        self._do(f"set server {server} weight {weight}")

    def set_port(self, server: Server, port: int) -> None:
        """Send new clients there; checks as well, unless the configuration gives them a separate port."""
        command = f"set server {server.backend}/{server.name} addr {server.host} port {port}"
        answer = self._ask(command).strip()
        self._check_refused(command, answer)
        if "changed from" not in answer and "no need to change" not in answer:
            raise HaproxyError(f"HAProxy refused {command!r}: {answer}")

    def shutdown_sessions(self, server: str) -> None:
        self._do(f"shutdown sessions server {server}")

    def _show(self, command: str) -> str:
        answer = self._ask(command)
        self._check_shown(command, answer)
        return answer

    def _check_shown(self, command: str, answer: str) -> None:
        self._check_refused(command, answer)
        if answer.startswith(("No such proxy", "Can't find backend")):
            raise HaproxyError(f"HAProxy answers {command!r} with: {answer}")

    def _do(self, command: str) -> None:
        answer = self._ask(command).strip()
        self._check_refused(command, answer)
        if answer:
            raise HaproxyError(f"HAProxy refused {command!r}: {answer}")

    def _check_refused(self, command: str, answer: str) -> None:
        if answer.startswith("Permission denied"):
            raise HaproxyError(
                f"HAProxy refused {command!r}: Permission denied. The level of socket {self.address} is too low: "
                f"its line in haproxy.cfg must say 'stats socket ... level admin'."
            )
        if answer.startswith("Unknown command"):
            raise HaproxyError(
                f"{self.address} does not know {command!r}: is it the master's socket? Use the socket of a "
                f"'stats socket' line in haproxy.cfg."
            )

    def _unreadable(self, line: str) -> HaproxyError:
        said = line if len(line) <= 80 else f"{line[:80]}..."
        return HaproxyError(f"{self.address} does not speak HAProxy's runtime API: {said!r}.")

    def _ask(self, command: str) -> str:
        """The answer to one command. It is sent again if HAProxy went away, since every command may be repeated."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._send(command)
            except HaproxyError as error:
                if not error.gone or attempt == ATTEMPTS:
                    raise
                time.sleep(RETRY_SECONDS)
        raise AssertionError("never reached")

    def _send(self, command: str) -> str:
        deadline = time.monotonic() + ANSWER_SECONDS
        family, where = self._connect_to
        received = []
        try:
            with socket.socket(family, socket.SOCK_STREAM) as connection:
                connection.settimeout(ANSWER_SECONDS)
                connection.connect(where)
                connection.sendall(f"{command}\n".encode())
                while True:
                    connection.settimeout(max(deadline - time.monotonic(), 0.001))
                    part = connection.recv(65536)
                    if not part:
                        break
                    received.append(part)
                    if time.monotonic() >= deadline:
                        raise socket.timeout  # noqa: UP041 - another error in Python 3.9
        except socket.timeout:  # noqa: UP041
            raise HaproxyError(
                f"{self.address} gave no complete answer to {command!r} within {ANSWER_SECONDS:g} s: HAProxy hangs, or "
                f"something else listens there."
            ) from None
        except OSError as error:
            raise self._no_connection(error) from None
        if not received:
            # HAProxy answers every command, if only with an empty line
            raise HaproxyError(f"{self.address} closed the connection without an answer to {command!r}.", gone=True)
        return b"".join(received).decode("utf-8", "replace")

    def _no_connection(self, error: OSError) -> HaproxyError:
        reason = error.strerror or str(error)
        if self._connect_to[0] != socket.AF_UNIX:
            gone = isinstance(error, ConnectionError)
            return HaproxyError(
                f"HAProxy's runtime API can't be reached at {self.address}: {reason}. Does HAProxy run there, with a "
                f"'stats socket' line for this address?",
                gone=gone,
            )
        if isinstance(error, FileNotFoundError):
            return HaproxyError(
                f"There is no socket {self.address} on this host: HAProxy does not run, or its haproxy.cfg has no "
                f"'stats socket' line with this path (option socket).",
                gone=True,
            )
        if isinstance(error, PermissionError):
            return HaproxyError(
                f"This user may not open the socket {self.address}: {reason}. Set 'become: true', or use a member of "
                f"the socket's group."
            )
        if isinstance(error, ConnectionRefusedError) and not _is_socket(self.address):
            return HaproxyError(f"{self.address} is a file, but not a socket.")
        gone = isinstance(error, ConnectionError)
        return HaproxyError(
            f"HAProxy does not answer at the socket {self.address}: {reason}. Is it running?", gone=gone
        )


def _parse(address: str) -> tuple[socket.AddressFamily, t.Any]:
    if address.startswith("/"):
        return socket.AF_UNIX, address
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
        raise HaproxyError(f"socket is {address!r}, but it must be the path of a UNIX socket (/...) or host:port.")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        raise HaproxyError(f"socket is {address!r}, but its host can't be found: {error.strerror or error}.") from None
    return found[0][0], found[0][4]


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(Path(path).stat().st_mode)
    except OSError:
        return True


def _typed(kind: str, value: str) -> t.Any:
    try:
        if kind in ("u32", "s32", "u64", "s64"):
            return int(value)
        return float(value) if kind == "flt" else value
    except ValueError:
        return value
