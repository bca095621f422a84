# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What haproxy.service does at a start, a reload and a stop, so that no request and no operator's word is lost.

haproxy-unit check FILE        fails with HAProxy's message, and the line that it means, where HAProxy refuses the file,
                               or where an address that it binds is taken. More files: as if those were not there
haproxy-unit certificate FILE  fails where the file is not a certificate with the private key that belongs to it
haproxy-unit messages          shows why the last start or reload failed, with the lines that HAProxy means
haproxy-unit save              notes the servers' states (drain, maint, weight) for the next process
haproxy-unit prepare           before a start: makes what was noted fit the configuration
haproxy-unit reload PID        checks, saves, has the master process PID start a new worker, and waits until it serves
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TextIO

ADMIN = "/run/haproxy/admin.sock"
CONFIG = os.environ.get("CONFIG", "/etc/haproxy/haproxy.cfg")
PROGRAM = "/usr/sbin/haproxy"
MASTER = "/run/haproxy-master.sock"
STATE = "/run/haproxy/server-state"
# rsyslog's, in HAProxy's chroot
LOG = "/var/lib/haproxy/dev/log"
# Keywords that begin a section
SECTION = re.compile(
    r"global|defaults|frontend|backend|listen|peers|resolvers|mailers|ring|userlist|cache|program|http-errors|fcgi-app"
    r"|log-forward|log-profile|crt-store|traces|acme"
)
# A new worker of a large configuration takes its time; systemd's own limit is 90 s
START_SECONDS = 60.0
# HAProxy 2.6 hands tables on only once it has waited 5 s for others' tables
PEERS_SECONDS = 8.0


def ask(path: str, command: str) -> str:
    """Return what HAProxy's socket answers; raise OSError where there is no answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect(path)
        connection.sendall(command.encode() + b"\n")
        # The master answers only then
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer.decode(errors="replace")


def check(path: str, without: Sequence[str] = ()) -> None:
    """Exit with HAProxy's message, and the lines that it means, if it refuses the file without those others."""
    with contextlib.ExitStack() as later:
        for other in map(Path, without):
            if other.exists():
                # HAProxy reads no hidden file of a folder with certificates
                aside = other.rename(other.with_name(f".{other.name}"))
                later.callback(aside.rename, other)
        command = [PROGRAM, "-c", "-f", path]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    messages = [line for line in done.stdout.splitlines() if "[ALERT]" in line or "[WARNING]" in line]
    if done.returncode == 0:
        messages = taken_addresses(path)
    if done.returncode or messages:
        show(messages, path, sys.stderr)
        sys.exit(1)


def taken_addresses(path: str) -> list[str]:
    """Return a message for each bind line whose address another program has, or this machine hasn't.

    HAProxy finds that out only when it starts, and then has the old process stop listening for a second, to try again.
    """
    lines = [line.split() for line in Path(path).read_text().splitlines()]
    if ["noreuseport"] in lines:
        # HAProxy's own sockets would look like another program's
        return []
    messages = []
    for number, words in enumerate(lines, 1):
        if words[:1] != ["bind"] or {"transparent", "interface", "namespace"} & set(words):
            continue
        for address in words[1].split(","):
            found = re.fullmatch(r"(?:ipv[46]@)?\[?([^]@]*?)\]?:(\d+)", address)
            if not found:
                continue
            host, port = found.groups()
            with socket.socket(socket.AF_INET6 if ":" in host or "ipv6@" in address else socket.AF_INET) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                # As HAProxy does it: so the process that runs is not in the way
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                try:
                    probe.bind(("" if host == "*" else host, int(port)))
                except OSError as error:
                    if error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
                        messages.append(f"cannot bind {address}: {error.strerror} [{path}:{number}]")
    return messages


def show(messages: Iterable[str], path: str, stream: TextIO) -> None:
    """Write each message, and after it the line of the file that it is about."""
    lines = Path(path).read_text().splitlines()
    for message in messages:
        print(message.replace(path, "haproxy.cfg"), file=stream)
        number = re.search(re.escape(path) + r":(\d+)\]", message)
        if number:
            print(f"    line {number[1]}: {lines[int(number[1]) - 1].strip()}", file=stream)
        elif "FD limit" in message:
            # HAProxy doesn't say that this is where the number comes from
            for at, line in enumerate(lines, 1):
                if line.split()[:1] == ["maxconn"]:
                    print(f"    line {at}: {line.strip()}", file=stream)
                    break


def show_messages() -> None:
    """Show what the master process said since systemd last began to start or reload it."""
    subprocess.run(["journalctl", "--sync"], check=False)
    journal = ["journalctl", "--unit=haproxy", "--lines=1000", "--output=cat", "--quiet", "--no-pager"]
    messages: list[str] = []
    for line in subprocess.run(journal, check=False, stdout=subprocess.PIPE, text=True).stdout.splitlines():
        if line.startswith(("Starting haproxy.service", "Reloading haproxy.service")):
            messages = []
        elif "[ALERT]" in line:
            messages.append(line)
    # A worker says other things, and at any time
    master = ["systemctl", "show", "--property=MainPID", "--value", "haproxy"]
    pid = subprocess.run(master, check=False, stdout=subprocess.PIPE, text=True).stdout.strip()
    show([line for line in messages if pid == "0" or f"({pid})" in line], CONFIG, sys.stdout)


def check_certificate(path: str) -> None:
    """Exit with the reason if HAProxy could not use this file."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)
    except (ssl.SSLError, ValueError) as error:
        sys.exit(f"not a certificate with the private key that belongs to it, each in PEM: {error}")


def configured(path: str) -> dict[tuple[str, str], dict[str, str]]:
    """Return what the file says of each server: {(backend, server): {field of the state file: value}}."""
    servers: dict[tuple[str, str], dict[str, str]] = {}
    section = ""
    defaults: list[str] = []
    here: list[str] = []
    for line in Path(path).read_text(errors="replace").splitlines():
        words = line.split()
        if words and SECTION.fullmatch(words[0]):
            section = words[1] if len(words) > 1 and words[0] in ("backend", "listen") else ""
            if words[0] == "defaults":
                defaults = here = []
            else:
                here = list(defaults)
        elif words[:1] == ["default-server"]:
            here += words[1:]
        elif words[:1] == ["server"] and section and len(words) > 2:
            options = here + words[3:]
            port = re.search(r":(\d+)$", words[2])
            has_ssl = [word for word in options if word in ("ssl", "no-ssl")][-1:] == ["ssl"]
            check_ports = [after for word, after in pairwise(options) if word == "port"]
            servers[section, words[1]] = {
                "srv_use_ssl": str(int(has_ssl)),
                "srv_check_port": check_ports[-1] if check_ports else "0",
                **({"srv_port": port[1]} if port else {}),
            }
    return servers


def fit(state: str, servers: dict[tuple[str, str], dict[str, str]]) -> str:
    """Return the state with ports and TLS as configured: HAProxy would prefer the former process's to its file's."""
    lines = state.splitlines()
    names: list[str] = next((line[1:].split() for line in lines if line.startswith("# be_id")), [])
    for number, line in enumerate(lines):
        row = dict(zip(names, line.split(), strict=False))
        if row.get("be_id", "#").isdigit() and len(row) == len(names):
            row.update(servers.get((row["be_name"], row["srv_name"]), {}))
            lines[number] = " ".join(row[name] for name in names)
    return "\n".join(lines) + "\n"


def write_state(state: str) -> None:
    """Put the state where HAProxy reads it, whole or not at all."""
    new = Path(f"{STATE}.new")
    new.write_text(fit(state, configured(CONFIG)))
    new.replace(STATE)


def prepare() -> None:
    """Write a state file that HAProxy can read, and that fits a configuration edited while HAProxy did not run."""
    state = Path(STATE)
    write_state((state.read_text() if state.exists() else "") or "1\n")


def save() -> None:
    """Note the servers' states. Where HAProxy doesn't answer, drop what was noted earlier: it may be wrong by now."""
    try:
        state = ask(ADMIN, "show servers state")
    except OSError as error:
        print(f"states of the servers are not known: {ADMIN}: {error}", file=sys.stderr)
        state = "1\n"
    write_state(state)


def wait_for_peers() -> None:
    """Wait until this process has its stick tables, so that it can hand them on."""
    deadline = time.monotonic() + PEERS_SECONDS
    while time.monotonic() < deadline:
        # The two lowest bits: done with asking local and remote peers
        flags = re.findall(r"disabled=0 flags=0x([0-9a-f]+)", ask(ADMIN, "show peers"))
        if all(int(value, 16) & 3 == 3 for value in flags):
            return
        time.sleep(0.1)


def processes() -> tuple[int, str | None]:
    """Return how often the master was reloaded, and the worker that the last reload started."""
    answer = ask(MASTER, "show proc")
    reloads = re.search(r"^\d+\s+master\s+(\d+)", answer, re.MULTILINE)
    worker = re.search(r"^(\d+)\s+worker\s+(?:\[[^]]*\]\s+)?0\s", answer, re.MULTILINE)
    return int(reloads[1]) if reloads else -1, worker[1] if worker else None


def uncover_log(master: int) -> None:
    """Unmount the journal's socket from rsyslog's, where systemd started HAProxy by the package's unit alone."""
    process = Path(f"/proc/{master}")
    if f" {LOG} " in (process / "mountinfo").read_text() and not (process / "ns/mnt").samefile("/proc/1/ns/mnt"):
        subprocess.run(["nsenter", f"--mount={process}/ns/mnt", "umount", LOG], check=False)


def reload(master: int) -> None:
    """Start a new worker that takes everything over, and return once it serves."""
    check(CONFIG)
    save()
    uncover_log(master)
    if Path(ADMIN).exists():
        wait_for_peers()
    if not Path(MASTER).exists():
        os.kill(master, signal.SIGUSR2)
        return
    before = processes()[0]
    os.kill(master, signal.SIGUSR2)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            reloads, worker = processes()
        except OSError:
            # The master starts itself anew
            reloads, worker = before, None
        if reloads > before:
            if worker:
                return
            sys.exit("the new process did not start, and the old one goes on: journalctl -u haproxy has the reason")
        time.sleep(0.05)
    sys.exit(f"no new process within {START_SECONDS:.0f} s: journalctl -u haproxy has more")


def main() -> None:
    """Do what the arguments say."""
    arguments = sys.argv[1:]
    if len(arguments) >= 2 and arguments[0] == "check":
        check(arguments[1], arguments[2:])
    elif len(arguments) == 2 and arguments[0] == "certificate":
        check_certificate(arguments[1])
    elif arguments == ["messages"]:
        show_messages()
    elif arguments == ["save"]:
        save()
    elif arguments == ["prepare"]:
        prepare()
    elif len(arguments) == 2 and arguments[0] == "reload" and arguments[1].isdigit():
        reload(int(arguments[1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
