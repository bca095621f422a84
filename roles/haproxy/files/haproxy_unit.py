# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What haproxy.service does at a start, a reload and a stop, so that no request and no operator's word is lost.

haproxy-unit check FILE        fails with HAProxy's message, and the line that it means, where HAProxy refuses the file,
                               or where an address that it binds is taken; shows what HAProxy warns of
haproxy-unit certificate FILE  fails where the file is not a certificate with the private key that belongs to it
haproxy-unit try               fails where HAProxy would refuse the files that are in /run/haproxy-next by their paths
haproxy-unit apply [reload]    puts those files into effect, or has everything as it was; `reload`: even without any
haproxy-unit save              notes the servers' states (drain, maint, weight) for the next process
haproxy-unit prepare           before a start: makes what was noted fit the configuration
haproxy-unit reload PID        checks, saves, has the master process PID start a new worker, and waits until it serves
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

ADMIN = "/run/haproxy/admin.sock"
CONFIG = os.environ.get("CONFIG", "/etc/haproxy/haproxy.cfg")
PROGRAM = "/usr/sbin/haproxy"
MASTER = "/run/haproxy-master.sock"
STATE = "/run/haproxy/server-state"
RUN = Path("/run/haproxy")
FOLDER = Path("/etc/haproxy")
CERTIFICATES = FOLDER / "certs"
# Last in the folder, for HAProxy shows its first certificate to a client that asks for no name
PLACEHOLDER = "~placeholder.pem"
# What the role brought
LIST = FOLDER / "files-of-ansible"
# New files, by their paths, and what they replace until HAProxy has them
NEXT = Path("/run/haproxy-next")
FORMER = FOLDER / ".former"
SYSCTL = Path("/etc/sysctl.d/60-haproxy.conf")
DROP_IN = Path("/etc/systemd/system/haproxy.service.d/scaleout.conf")
NONLOCAL = {socket.AF_INET: "net.ipv4.ip_nonlocal_bind", socket.AF_INET6: "net.ipv6.ip_nonlocal_bind"}
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


class Refused(Exception):
    """HAProxy can't have the new files; the text says why."""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program, and show it neither a terminal nor an input: what it asks, nobody would answer."""
    return subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def check(path: str, folder: Path | None = None, nonlocal_families: Iterable[int] = ()) -> list[str]:
    """Return what HAProxy warns of, or raise Refused; each message has the line that it means.

    With a folder, as if that were /etc/haproxy: its other files are checked with this one.
    """
    command = [PROGRAM, "-c", "-f", path]
    file = Path(path)
    if folder:
        # What the former process noted of its servers is no word on this file
        with tempfile.TemporaryDirectory(dir=folder.parent) as other_run:
            Path(other_run, Path(STATE).name).write_text("1\n")
            RUN.mkdir(exist_ok=True)
            inside = 'mount --bind "$0" "$1" && mount --bind "$2" "$3" && shift 3 && exec "$@"'
            places = (str(folder), str(FOLDER), other_run, str(RUN))
            done = run("unshare", "--mount", "sh", "-c", inside, *places, *command)
        file = folder / file.relative_to(FOLDER)
    else:
        done = run(*command)
    text = file.read_text(errors="replace")
    messages = [line for line in done.stdout.splitlines() if "[ALERT]" in line or "[WARNING]" in line]
    refused = (messages or [done.stdout]) if done.returncode else taken_addresses(text, path, nonlocal_families)
    if refused:
        raise Refused("\n".join(explained(refused, path, text)))
    return list(explained(messages, path, text))


def bind_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Give the number and the words of each bind line."""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if words[:1] == ["bind"] and len(words) > 1:
            yield number, words


def taken_addresses(text: str, path: str, nonlocal_families: Iterable[int] = ()) -> list[str]:
    """Return a message for each bind line whose address another program has, or this machine hasn't.

    HAProxy finds that out only when it starts, and then has the old process stop listening for a second, to try again.
    `nonlocal_families` are those for which the kernel is going to be told that an address need not be there.
    """
    if re.search(r"^\s*noreuseport\s*$", text, re.MULTILINE):
        # HAProxy's own sockets would look like another program's
        return []
    messages = []
    for number, words in bind_lines(text):
        if {"transparent", "interface", "namespace"} & set(words):
            continue
        for address in words[1].split(","):
            found = re.fullmatch(r"(?:ipv[46]@)?\[?([^]@]*?)\]?:(\d+)", address)
            if not found:
                continue
            host, port = found.groups()
            family = socket.AF_INET6 if ":" in host or "ipv6@" in address else socket.AF_INET
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                # As HAProxy does it: so the process that runs is not in the way
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                try:
                    probe.bind(("" if host == "*" else host, int(port)))
                except OSError as error:
                    missing = error.errno == errno.EADDRNOTAVAIL and family not in nonlocal_families
                    if missing or error.errno == errno.EADDRINUSE:
                        messages.append(f"cannot bind {address}: {error.strerror} [{path}:{number}]")
    return messages


def explained(messages: Iterable[str], path: str, text: str) -> Iterator[str]:
    """Give each message, and after it the line of the file that it is about."""
    lines = text.splitlines()
    for message in messages:
        yield message.replace(path, "haproxy.cfg")
        number = re.search(re.escape(path) + r":(\d+)\]", message)
        if number:
            yield f"    line {number[1]}: {lines[int(number[1]) - 1].strip()}"
        elif "FD limit" in message:
            # HAProxy doesn't say that this is where the number comes from
            for at, line in enumerate(lines, 1):
                if line.split()[:1] == ["maxconn"]:
                    yield f"    line {at}: {line.strip()}"
                    break


def reasons() -> str:
    """Return what the master process said since systemd last began to start or reload it."""
    run("journalctl", "--sync")
    journal = run("journalctl", "--unit=haproxy", "--lines=1000", "--output=cat", "--quiet", "--no-pager")
    messages: list[str] = []
    for line in journal.stdout.splitlines():
        if line.startswith(("Starting haproxy.service", "Reloading haproxy.service")):
            messages = []
        elif "[ALERT]" in line:
            messages.append(line)
    # A worker says other things, and at any time
    pid = run("systemctl", "show", "--property=MainPID", "--value", "haproxy").stdout.strip()
    of_master = [line for line in messages if pid == "0" or f"({pid})" in line]
    return "\n".join(explained(of_master, CONFIG, Path(CONFIG).read_text(errors="replace")))


def check_certificate(path: str) -> None:
    """Raise Refused if HAProxy could not use this file."""

    def passphrase() -> str:
        raise Refused("its key has a passphrase, and HAProxy cannot ask for it: write the key without one")

    try:
        # OpenSSL itself would ask at the terminal
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, password=passphrase)
    except (ssl.SSLError, ValueError) as error:
        raise Refused(f"not a certificate with the private key that belongs to it, each in PEM: {error}") from error


def differs(new: Path, old: Path) -> bool:
    """Whether a file is to be replaced by another."""
    if old.is_symlink() or not old.is_file():
        return True
    facts = [(stat.st_mode, stat.st_uid, stat.st_gid, stat.st_size) for stat in (new.stat(), old.stat())]
    return facts[0] != facts[1] or new.read_bytes() != old.read_bytes()


def staged_changes() -> dict[Path, Path | None]:
    """Return the new file for each path, or none where a file goes: one that the role brought and no longer lists."""
    changes: dict[Path, Path | None] = {}
    for new in sorted(NEXT.rglob("*")):
        old = Path("/") / new.relative_to(NEXT)
        if not new.is_dir() and differs(new, old):
            changes[old] = new
    new_list = changes.get(LIST)
    if new_list and LIST.exists():
        for line in sorted(set(LIST.read_text().splitlines()) - set(new_list.read_text().splitlines())):
            path = Path(line)
            if path.is_relative_to(FOLDER) and path.is_file():
                changes[path] = None
    return changes


def certificates(folder: Path) -> list[Path]:
    """Return what HAProxy takes for certificates in a folder, without a placeholder."""
    others = (PLACEHOLDER, ".issuer", ".ocsp", ".sctl", ".key")
    return (
        [
            path
            for path in folder.iterdir()
            if path.is_file() and not path.name.startswith(".") and not path.name.endswith(others)
        ]
        if folder.is_dir()
        else []
    )


def uncertified(text: str, folder: Path) -> dict[Path, str]:
    """Return the folders of certificates that bind lines name and that have none, each with such a line.

    HAProxy would not start at all. A folder that has had a certificate is left out: HAProxy's refusal is right there.
    """
    found = {}
    for _number, words in bind_lines(text):
        for word, value in pairwise(words):
            path = Path(value)
            if word != "crt" or not path.is_relative_to(CERTIFICATES):
                continue
            copy = folder / path.relative_to(FOLDER)
            if copy.is_dir() and not certificates(copy) and not certificates(path):
                found[path] = " ".join(words)
    return found


def make_placeholder(path: Path) -> None:
    """Write a certificate that no client trusts and that is for no name."""
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = (f"{folder}/{name}.pem" for name in ("certificate", "key"))
        of = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650"]
        to = ["-subj", "/CN=placeholder.invalid", "-keyout", key, "-out", certificate]
        done = run("openssl", "req", "-x509", *of, *to)
        if done.returncode:
            raise Refused(f"could not make a certificate that holds the place of the first one: {done.stdout}")
        path.touch(mode=0o600)
        path.write_text(Path(certificate).read_text() + Path(key).read_text())


def add_placeholders(changes: dict[Path, Path | None], folder: Path) -> list[str]:
    """Have a placeholder where there is no certificate yet, and nowhere else; return what is to be said of that."""
    text = (folder / "haproxy.cfg").read_text(errors="replace")
    wanted = uncertified(text, folder)
    for path in CERTIFICATES.rglob(PLACEHOLDER):
        if path.parent not in wanted:
            changes[path] = None
            (folder / path.relative_to(FOLDER)).unlink()
    for parent in wanted:
        path = parent / PLACEHOLDER
        if not path.exists():
            changes[path] = folder / path.relative_to(FOLDER)
            make_placeholder(folder / path.relative_to(FOLDER))
    return [
        f"{parent} has no certificate yet: a self-signed one, which no client trusts, holds its place. "
        f"Put yours there and reload HAProxy.\n    {line}"
        for parent, line in wanted.items()
    ]


def kernel_parameters(file: Path) -> dict[str, str]:
    """Return the parameters that a file of /etc/sysctl.d sets."""
    lines = (line.partition("=") for line in file.read_text().splitlines() if not line.startswith(("#", ";")))
    return {line[0].strip().lstrip("-"): line[2].strip() for line in lines if line[0].strip()}


def check_changes(changes: dict[Path, Path | None], folder: Path) -> list[str]:
    """Return the warnings of what is to be in effect; raise Refused if that can't be. `folder` is for /etc/haproxy."""
    shutil.copytree(FOLDER, folder, symlinks=True, dirs_exist_ok=True)
    wrong = []
    for path, new in changes.items():
        if path.is_relative_to(FOLDER):
            copy = folder / path.relative_to(FOLDER)
            copy.unlink(missing_ok=True)
            if new:
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(new, copy)
        if new and path.parent == CERTIFICATES:
            try:
                check_certificate(str(new))
            except Refused as error:
                wrong.append(f"{path}: {error}")
    if wrong:
        raise Refused("\n".join(wrong))
    (folder / CERTIFICATES.name).mkdir(exist_ok=True)
    said = add_placeholders(changes, folder)
    parameters = kernel_parameters(new) if (new := changes.get(SYSCTL)) else {}
    families = [family for family, name in NONLOCAL.items() if parameters.get(name) == "1"]
    return said + check(CONFIG, folder, families)


def remove_if_empty(folder: Path) -> None:
    """Remove a folder that has nothing in it."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def replace_files(changes: dict[Path, Path | None], undo: contextlib.ExitStack) -> None:
    """Replace and remove files; `undo` puts those of before back, which are the same to the last byte and date."""
    for folder in {path.parent for path in changes if path.parent.exists()}:
        stat = folder.stat()
        # So that a later run does not take HAProxy for older than its files
        undo.callback(os.utime, folder, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    ready = {}
    for path, new in changes.items():
        if new:
            # Neither HAProxy nor logrotate reads a file of that name
            ready[path] = path.with_name(f".{path.name}.dpkg-new")
            undo.callback(ready[path].unlink, missing_ok=True)
            shutil.copy2(new, ready[path])
            os.chown(ready[path], new.stat().st_uid, new.stat().st_gid)
    shutil.rmtree(FORMER, ignore_errors=True)
    FORMER.mkdir(mode=0o700)
    undo.callback(remove_if_empty, FORMER)
    for path in changes:
        if path.exists() or path.is_symlink():
            former = FORMER / str(path).replace("/", "!")
            os.link(path, former, follow_symlinks=False)
            undo.callback(os.replace, former, path)
        else:
            undo.callback(path.unlink, missing_ok=True)
        if path in ready:
            ready[path].replace(path)
        else:
            path.unlink()


def set_kernel_parameters(undo: contextlib.ExitStack) -> None:
    """Tell the kernel what the file says."""
    for name in kernel_parameters(SYSCTL):
        # The way that systemd-sysctl finds it
        now = Path("/proc/sys") / (name if "/" in name.partition(".")[0] else name.translate(str.maketrans("./", "/.")))
        if now.is_file():
            undo.callback(now.write_text, now.read_text())
    done = run("/usr/lib/systemd/systemd-sysctl", str(SYSCTL))
    if done.returncode:
        raise Refused(f"the kernel did not take {SYSCTL}: {done.stdout}")


def put_into_effect(changes: dict[Path, Path | None], reload_anyway: bool) -> None:
    """Make all changes, and have HAProxy read them; where that fails, have everything as it was, and raise why."""
    undo = contextlib.ExitStack()
    try:
        if DROP_IN in changes:
            undo.callback(run, "systemctl", "daemon-reload")
        replace_files(changes, undo)
        if SYSCTL in changes:
            set_kernel_parameters(undo)
        if DROP_IN in changes:
            run("systemctl", "daemon-reload")
        if reload_anyway or any(path.is_relative_to(FOLDER) for path in changes):
            done = run("systemctl", "reload-or-restart", "haproxy")
            if done.returncode:
                raise Refused(f"{done.stdout}{reasons()}")
    except BaseException as error:
        try:
            undo.close()
        except OSError as another:
            sys.exit(f"{error}\nNot all could be put back ({another}). What is missing is in {FORMER}.")
        raise
    shutil.rmtree(FORMER, ignore_errors=True)


def bring(into_effect: bool, reload_anyway: bool = False) -> None:
    """Check the files of NEXT together, and put them into effect; say what came of it."""
    # Whoever asked may go away meanwhile
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        with tempfile.TemporaryDirectory(dir=NEXT.parent, prefix="haproxy-check-") as folder:
            changes = staged_changes()
            warnings = check_changes(changes, Path(folder))
            if into_effect:
                put_into_effect(changes, reload_anyway)
    except (Refused, OSError) as error:
        runs = run("systemctl", "is-active", "--quiet", "haproxy").returncode == 0
        state = "HAProxy goes on with them" if runs else "HAProxy does not run"
        raise Refused(
            f"HAProxy did not take the new configuration. All files are the former ones, and {state}.\n{error}"
        ) from error
    finally:
        shutil.rmtree(NEXT, ignore_errors=True)
    print(json.dumps({"changed": sorted(map(str, changes)), "warnings": warnings}))


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
        run("nsenter", f"--mount={process}/ns/mnt", "umount", LOG)


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
    if len(arguments) == 2 and arguments[0] == "check":
        for line in check(arguments[1]):
            print(line)
    elif len(arguments) == 2 and arguments[0] == "certificate":
        check_certificate(arguments[1])
    elif arguments == ["try"]:
        bring(into_effect=False)
    elif arguments in (["apply"], ["apply", "reload"]):
        bring(into_effect=True, reload_anyway="reload" in arguments)
    elif arguments == ["save"]:
        save()
    elif arguments == ["prepare"]:
        prepare()
    elif len(arguments) == 2 and arguments[0] == "reload" and arguments[1].isdigit():
        reload(int(arguments[1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main()
    except Refused as error:
        sys.exit(str(error))
