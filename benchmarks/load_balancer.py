# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What role haproxy's default file costs: requests a second, p99 and reload time, beside others in one run.

The others are the file of the simplest popular role (geerlingguy.haproxy with its defaults), nginx's usual proxy file,
and the servers asked directly. All run, one kept busy at a time and in turn, in a Debian of their own (a folder under
.build, made once by mmdebstrap) on a loopback interface of their own: this machine gets no package, no service and no
open port, and its own port 80 does not matter. Access logs are on everywhere: rsyslog writes those of both HAProxys,
nginx its own. The role's file without its log shows what logging costs. Figures depend on the machine and on what else
it does, ratios do so less.

    make bench-haproxy
    make bench-haproxy ARGS='--image debian-13 --rounds 9'
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import json
import os
import platform
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass, field
from fcntl import ioctl
from pathlib import Path

from support.waiting import NotInTime, wait_until

HERE = Path(__file__).resolve().parent / "load_balancer"
REPO = HERE.parent.parent
BUILD = REPO / ".build" / "bench"
SUITES = {"debian-12": "bookworm", "debian-13": "trixie"}
PACKAGES = "haproxy,rsyslog,nginx-light,wrk,python3"
CLIENTS = 64
OWN = "role haproxy"
PEER = "geerlingguy.haproxy"
RELOAD_SERVERS = (10, 100, 1000)
RELOAD_PORT = 83
GENERATION = "X-Generation"
# systemd's limit of files for a service, and what it sets net.unix.max_dgram_qlen to at boot
SERVICE_FILES = min(524_288, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
DATAGRAMS = 512
TICKS = os.sysconf("SC_CLK_TCK")


class BenchmarkError(Exception):
    """Why there are no figures, in a sentence that can be shown."""


@dataclass
class Party:
    """One of those that answer on a port of 127.0.0.1; `log` is the file that gets a line for each request."""

    name: str
    port: int
    log: Path | None = None
    # The processes that work for it, by the id of the first one of each
    processes: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Sample:
    """What one round found: requests a second, milliseconds, microseconds of processor time; counts."""

    rate: float
    p50: float
    p99: float
    cpu: float
    requests: int
    lost: int | None
    failed: int


# --- The Debian that everything runs in ---


def make_root(image: str) -> Path:
    """Return the folder of the Debian; make it if it isn't there yet."""
    root = BUILD / image
    done = root.with_suffix(".made")
    recipe = f"{SUITES[image]} {PACKAGES}"
    if done.exists() and done.read_text() == recipe:
        return root
    print(f"Making a {image} with {PACKAGES} (half a minute, once) ...", file=sys.stderr, flush=True)
    shutil.rmtree(root, ignore_errors=True)
    BUILD.mkdir(parents=True, exist_ok=True)
    options = ["--quiet", "--variant=minbase", f"--include={PACKAGES}", "--dpkgopt=force-unsafe-io"]
    made = subprocess.run(["mmdebstrap", *options, SUITES[image], str(root)], capture_output=True, text=True)
    if made.returncode:
        raise BenchmarkError(f"mmdebstrap could not make a {image}:\n{made.stderr.strip()}")
    done.write_text(recipe)
    return root


def servers(number: int) -> list[dict[str, t.Any]]:
    """So many servers: two that answer, by turns."""
    return [{"name": f"app{n + 1}", "address": "127.0.0.1", "port": 8001 + n % 2} for n in range(number)]


def render(root: Path) -> None:
    """Put the role's files, and those of the others, where their programs look for them."""
    folder = BUILD / "files"
    folder.mkdir(parents=True, exist_ok=True)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    variables = {
        "folder": str(folder),
        "__haproxy_maxconn": {"stdout": str(min(memory * 10, SERVICE_FILES * 9 // 20))},
        "files": [
            {"name": "default", "servers": servers(2), "http_response": [], "bind": "*:80"},
            *(
                {
                    "name": str(number),
                    "servers": servers(number),
                    "http_response": [f"set-header {GENERATION} 0"],
                    "bind": f"*:{RELOAD_PORT}",
                }
                for number in RELOAD_SERVERS
            ),
        ],
    }
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", str(HERE / "render.yml")]
    done = subprocess.run(
        [*command, "-e", json.dumps(variables)], cwd=REPO, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise BenchmarkError(f"the role's files could not be rendered:\n{done.stdout}{done.stderr}")
    role = REPO / "roles" / "haproxy"
    etc = root / "etc"
    (etc / "haproxy" / "pages").mkdir(exist_ok=True)
    (root / "usr/local/sbin").mkdir(exist_ok=True)
    for source, target in (
        *((folder / f"haproxy-{name}.cfg", etc / "haproxy" / f"{name}.cfg") for name in ("default", *RELOAD_SERVERS)),
        (role / "files/503.html", etc / "haproxy/pages/503.html"),
        (role / "files/wait-for-server.lua", etc / "haproxy/wait-for-server.lua"),
        (role / "files/haproxy_unit.py", root / "usr/local/sbin/haproxy-unit"),
        (HERE / "rsyslog.conf", etc / "rsyslog.conf"),
        (HERE / "peer.cfg", etc / "haproxy/peer.cfg"),
        (HERE / "nginx.conf", etc / "nginx/nginx.conf"),
        (HERE / "backend.conf", etc / "nginx/backend.conf"),
        (HERE.parent / "report.lua", root / "report.lua"),
    ):
        shutil.copyfile(source, target)
    text = (folder / "haproxy-default.cfg").read_text()
    for old, new in (("*:80", "*:84"), ("/run/haproxy/admin.sock", "/run/haproxy/silent.sock")):
        text = text.replace(old, new)
    text = "".join(line for line in text.splitlines(keepends=True) if line.split()[:1] not in (["log"], ["log-format"]))
    (etc / "haproxy/silent.cfg").write_text(text)
    for line in (folder / "sysctl.conf").read_text().splitlines():
        key, is_setting, value = line.partition(" = ")
        if is_setting:
            Path("/proc/sys", *key.split(".")).write_text(value)


def enter(root: Path) -> None:
    """Go on with a network, mounts and process ids of this process's own; all that it starts ends with it."""
    if os.environ.get("BENCHMARK_INSIDE") != str(os.getppid()):
        command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        os.environ["BENCHMARK_INSIDE"] = "0"
        os.execvp(command[0], [*command, sys.executable, *sys.argv])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # SIOCSIFFLAGS: IFF_UP
        ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 1))
    Path("/proc/sys/net/unix/max_dgram_qlen").write_text(str(DATAGRAMS))
    resource.setrlimit(resource.RLIMIT_NOFILE, (SERVICE_FILES, SERVICE_FILES))
    libc = ctypes.CDLL(None, use_errno=True)
    for kind, folder in ((b"proc", "proc"), (b"tmpfs", "run"), (b"tmpfs", "var/log")):
        if libc.mount(kind, os.fsencode(root / folder), kind, 0, None):
            raise BenchmarkError(f"{folder} could not be mounted: {os.strerror(ctypes.get_errno())}")
    (root / "run/haproxy").mkdir()
    (root / "run/haproxy/server-state").write_text("1\n")
    (root / "var/log/nginx").mkdir()


# --- The programs in it ---


def start(root: Path, *command: str) -> int:
    """Start a program that stays, and return its process id."""
    said = (root / "var/log" / f"{Path(command[0]).name}-output.log").open("a")
    return subprocess.Popen(["chroot", str(root), *command], stdin=subprocess.DEVNULL, stdout=said, stderr=said).pid


def answer(port: int, header: str = "") -> str | None:
    """Return a header of what a new connection gets ("" where it has none); None where nothing answers with 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            text = b""
            while part := connection.recv(65536):
                text += part
    except OSError:
        return None
    status, *headers = text.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    if " 200 " not in status:
        return None
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in headers)}
    return fields.get(header.lower(), "")


def haproxy(root: Path, name: str) -> int:
    """Start HAProxy as its unit does. The role's own process has the master's socket at the unit's place."""
    files = ["-f", f"/etc/haproxy/{name}.cfg", "-p", f"/run/{name}.pid"]
    master = f"/run/{name}.sock" if name in ("peer", "silent") else "/run/haproxy-master.sock"
    return start(root, "/usr/sbin/haproxy", "-W", *files, "-S", master)


def start_all(root: Path) -> list[Party]:
    """Start everything, and return who takes part in the order of the table."""
    logs = root / "var/log"
    rsyslog = start(root, "/usr/sbin/rsyslogd", "-n", "-i", "/run/rsyslogd.pid")
    socket_of_others = root / "var/lib/haproxy/dev/log"
    wait_until("rsyslog listens", socket_of_others.exists)
    backend = start(root, "/usr/sbin/nginx", "-c", "/etc/nginx/backend.conf", "-g", "daemon off;")
    proxy = start(root, "/usr/sbin/nginx", "-g", "daemon off;")
    parties = [
        Party(OWN, 80, logs / "haproxy.log", [haproxy(root, "default"), rsyslog]),
        Party("role haproxy without its log", 84, None, [haproxy(root, "silent")]),
        Party(PEER, 81, logs / "haproxy.log", [haproxy(root, "peer"), rsyslog]),
        Party("nginx, usual proxy file", 82, logs / "nginx/access.log", [proxy]),
        Party("server asked directly", 8001, None, [backend]),
    ]
    for party in parties:
        wait_until(f"{party.name} answers", lambda port=party.port: answer(port) is not None)
    return parties


def processor_time(first: t.Iterable[int]) -> float:
    """Return the seconds that these processes and their children have had."""
    parents: dict[int, int] = {}
    times: dict[int, float] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1])
        times[int(entry.name)] = (int(fields[11]) + int(fields[12])) / TICKS
    total = 0.0
    for one in times:
        ancestor = one
        while ancestor > 1 and ancestor not in first:
            ancestor = parents.get(ancestor, 0)
        total += times[one] if ancestor > 1 else 0
    return total


class Lines:
    """Counts the lines that a log file gets, and empties it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def empty(self) -> None:
        if self.path.exists():
            os.truncate(self.path, 0)

    def settle(self) -> int:
        """Wait until the file has not grown for two seconds (rsyslog writes once a second); return its lines."""
        size, since = -1, time.monotonic()
        while time.monotonic() - since < 2:
            now = self.path.stat().st_size if self.path.exists() else 0
            if now != size:
                size, since = now, time.monotonic()
            time.sleep(0.1)
        if not size:
            return 0
        with self.path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(2**20), b""))


def measure(root: Path, party: Party, seconds: int, keep_alive: bool) -> Sample:
    """Keep one busy for that many seconds."""
    log = Lines(party.log) if party.log else None
    if log:
        log.empty()
    before = processor_time(party.processes)
    command = ["chroot", str(root), "wrk", "--threads", "1", "--connections", str(CLIENTS), "--duration", f"{seconds}s"]
    if not keep_alive:
        command += ["--header", "Connection: close"]
    command += ["--script", "/report.lua", f"http://127.0.0.1:{party.port}/"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkError(f"wrk could not ask {party.name}: {done.stderr.strip()}")
    lines = log.settle() if log else None
    used = processor_time(party.processes) - before
    result = json.loads(done.stdout.splitlines()[-1])
    requests = result["requests"]
    if not requests:
        raise BenchmarkError(f"{party.name} answered no request in {seconds} s")
    return Sample(
        rate=requests / result["seconds"],
        p50=result["p50"],
        p99=result["p99"],
        cpu=used / requests * 1e6,
        requests=requests,
        # The last requests are logged, but not counted by wrk, which does not wait for them
        lost=None if lines is None else max(0, requests - lines),
        failed=result["failed"],
    )


def reload_times(root: Path, number: int, rounds: int) -> tuple[float, float]:
    """Return the median seconds until the new worker answers, and until haproxy-unit says so."""
    path = root / "etc/haproxy" / f"{number}.cfg"
    master = haproxy(root, str(number))
    wait_until(f"HAProxy with {number} servers answers", lambda: answer(RELOAD_PORT) is not None)
    served, told = [], []
    environment = {**os.environ, "CONFIG": f"/etc/haproxy/{number}.cfg"}
    for generation in range(1, rounds + 1):
        text = path.read_text()
        path.write_text(text.replace(f"{GENERATION} {generation - 1}", f"{GENERATION} {generation}"))
        begin = time.monotonic()
        unit = subprocess.Popen(
            ["chroot", str(root), "/usr/bin/python3", "/usr/local/sbin/haproxy-unit", "reload", str(master)],
            env=environment,
        )
        wait_until(
            "the new worker answers",
            lambda new=str(generation): answer(RELOAD_PORT, GENERATION) == new,
            90,
            pause=0.01,
        )
        served.append(time.monotonic() - begin)
        if unit.wait():
            raise BenchmarkError(f"haproxy-unit reload failed with {number} servers")
        told.append(time.monotonic() - begin)
    os.kill(master, signal.SIGTERM)
    os.waitpid(master, 0)
    wait_until("port is free again", lambda: answer(RELOAD_PORT) is None)
    return statistics.median(served), statistics.median(told)


# --- What is shown ---


def versions(root: Path) -> str:
    """Name the programs that took part."""
    command = ["chroot", str(root), "dpkg-query", "--show", "--showformat", "${Package} ${Version}, "]
    packages = ["haproxy", "rsyslog", "nginx", "wrk"]
    return subprocess.run([*command, *packages], capture_output=True, text=True).stdout.rstrip(", ")


def table(samples: dict[str, list[Sample]]) -> list[str]:
    """Medians, and for the ratios the median of the rounds' ratios: each round's parties had the machine alike."""
    lines = [
        "| | requests/s | role haproxy is | p50 ms | p99 ms | CPU us/request | requests failed | lines lost |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, rounds in samples.items():
        ratio = statistics.median(own.rate / one.rate for one, own in zip(rounds, samples[OWN], strict=True))
        rate, p50, p99, cpu = (
            statistics.median(getattr(one, key) for one in rounds) for key in ("rate", "p50", "p99", "cpu")
        )
        logged = [one for one in rounds if one.lost is not None]
        lost = f"{sum(one.lost or 0 for one in logged):,} of {sum(one.requests for one in logged):,}" if logged else ""
        failed = sum(one.failed for one in rounds)
        lines.append(
            f"| {name} | {rate:,.0f} | {ratio:.2f} times | {p50:.2f} | {p99:.2f} | {cpu:.1f} | {failed} | {lost} |"
        )
    return lines


def main() -> int:
    """Run the benchmark; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="make bench-haproxy ARGS=...", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", choices=SUITES, default="debian-12", help="the Debian whose packages are measured")
    parser.add_argument("--rounds", type=int, default=7, help="how often each takes its turn (7)")
    parser.add_argument("--seconds", type=int, default=3, help="how long a turn is (3)")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.seconds < 1:
        parser.error("--rounds and --seconds take 1 and more")
    if os.geteuid():
        parser.error("this makes a Debian and network interfaces: run it as root")
    root = make_root(arguments.image)
    enter(root)
    render(root)
    parties = start_all(root)

    print(
        f"{datetime.date.today()}, {os.cpu_count()} cores shared by all, Linux {platform.release()}, {arguments.image}"
    )
    print(f"{versions(root)}; load of the machine before: {os.getloadavg()[0]:.1f}")
    print(f"{CLIENTS} clients, {arguments.rounds} rounds of {arguments.seconds} s each, medians", flush=True)
    for keep_alive in (True, False):
        samples: dict[str, list[Sample]] = {party.name: [] for party in parties}
        kind = "Connections kept alive" if keep_alive else "A new connection for each request"
        for number in range(1, arguments.rounds + 1):
            print(f"{kind}: round {number} of {arguments.rounds}", file=sys.stderr, flush=True)
            for party in parties:
                samples[party.name].append(measure(root, party, arguments.seconds, keep_alive))
        print("", kind, "", *table(samples), sep="\n", flush=True)

    # Its socket is the one of the process that is reloaded next
    os.kill(parties[0].processes[0], signal.SIGTERM)
    os.waitpid(parties[0].processes[0], 0)
    print("", "Reload of the role's file", "", sep="\n")
    print("| servers | until the new worker answers, s | until the reload is over, s |", "|--:|--:|--:|", sep="\n")
    for number in RELOAD_SERVERS:
        served, told = reload_times(root, number, arguments.rounds)
        print(f"| {number:,} | {served:.2f} | {told:.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BenchmarkError, NotInTime) as error:
        sys.exit(f"error: {error}")
