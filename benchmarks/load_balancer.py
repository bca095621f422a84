# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What role haproxy's default file costs: requests, processor time, latency and reload time, beside others in one run.

The others are the file of the simplest popular role (geerlingguy.haproxy with its defaults), that file with what the
role's adds, nginx's usual proxy file, the servers asked directly, and the role's own file without one default or
another. All run, one kept busy at a time and in random order, in a Debian of their own (a folder under .build, made
once by mmdebstrap) on a loopback interface of their own: this machine gets no package, no service and no open port, and
its own port 80 does not matter. Access logs are on everywhere: an rsyslog as the role has it writes those of its files,
one as Debian has it those of geerlingguy's, nginx its own. Figures depend on the machine and on what else it does;
ratios within a round do so less, and processor time less than requests a second.

    make bench-haproxy
    make bench-haproxy ARGS='--image debian-13 --rounds 15 --write'
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import json
import os
import platform
import random
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

import load_balancer_figures as figures
import yaml
from load_balancer_figures import FiguresError, Paced, Sample
from support.waiting import NotInTime, wait_until

HERE = Path(__file__).resolve().parent / "load_balancer"
REPO = HERE.parent.parent
BUILD = REPO / ".build" / "bench"
SUITES = {"debian-12": "bookworm", "debian-13": "trixie"}
PAGE = REPO / "docs" / "benchmark-load-balancer.md"
PACKAGES = "haproxy,rsyslog,nginx-light,wrk,nghttp2-client,python3"
CLIENTS = 64
OWN = "role haproxy"
PEER = "geerlingguy.haproxy"
EQUAL = "geerlingguy.haproxy with what role haproxy adds"
NGINX = "nginx, usual proxy file"
DIRECT = "server asked directly"
SILENT = "its log"
# What the role's file has by default: the variables that turn it off, and how docs write them
DEFAULTS: dict[str, tuple[dict[str, t.Any], str]] = {
    SILENT: ({"haproxy_defaults_extra": "no log"}, "`haproxy_defaults_extra: no log`"),
    "its log's format": ({"haproxy_log_format": ""}, '`haproxy_log_format: ""` (`option httplog`)'),
    "its request id": ({"haproxy_unique_id_format": ""}, '`haproxy_unique_id_format: ""`'),
    "its safe retries": ({"haproxy_retry_on": "conn-failure"}, "`haproxy_retry_on: conn-failure`"),
    "its waiting for a server": ({"haproxy_wait_for_server": ""}, '`haproxy_wait_for_server: ""`'),
    "server connections of a client's own at first": (
        {"haproxy_http_reuse": "always"},
        "`haproxy_http_reuse: always`",
    ),
}
ALL_OFF = "all of these"
DEFAULTS[ALL_OFF] = ({k: v for settings, _ in DEFAULTS.values() for k, v in settings.items()}, "all of these")
# No variables turn these off: for the price of each only
BARE = "forwarded headers"
PRICES = {name: written for name, (_, written) in DEFAULTS.items()} | {
    BARE: "no variable: an app would take a client's word",
}
RATES = (2_000, 10_000)
# At a fixed rate: the seconds in which the clients start, which don't count, and how often each of them asks
WARM_UP = 0.5
INTERVAL = 0.02
RELOAD_SERVERS = (10, 100, 1000)
RELOAD_PORT = 83
VARIANT_PORT = 90
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


def without_log(text: str) -> str:
    """Return the file without the line that would warn of having no log."""
    return "".join(line for line in text.splitlines(keepends=True) if line.split()[:1] != ["log-format"])


def without_forwarded_headers(text: str) -> str:
    """Return the file without the rules that say who the client is."""
    names = ("X-Forwarded-", "X-Real-IP")
    kept = []
    for line in text.splitlines(keepends=True):
        words = line.split()
        rule = words[1] if words[:1] == ["http-request"] else ""
        if rule == "del-header" or (rule == "set-header" and words[2].startswith(names)):
            continue
        kept.append(line)
    return "".join(kept)


def with_what_the_role_adds(peer: str, own: str) -> str:
    """Return geerlingguy's file with the lines of the role's that give request id, headers, retries and log."""
    rules, backend_rules, section = [], [], ""
    for line in own.splitlines():
        words = line.split()
        if line and not line.startswith((" ", "#")):
            section = words[0]
        elif section == "frontend" and words[:1] in (["unique-id-format"], ["log-format"], ["http-request"]):
            rules.append(line)
        elif section == "backend" and (words[:1] == ["retry-on"] or "disable-l7-retry" in words):
            backend_rules.append(line)
    backend_rules.append("    option redispatch 1")
    peer = peer.replace("    default_backend", "\n".join([*rules, "    default_backend"]))
    return peer.replace("    option forwardfor", "\n".join(backend_rules))


def render(root: Path) -> None:
    """Put the role's files, and those of the others, where their programs look for them."""
    folder = BUILD / "files"
    folder.mkdir(parents=True, exist_ok=True)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    role = REPO / "roles" / "haproxy"
    usual = {
        **yaml.safe_load((role / "defaults/main.yml").read_text()),
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "folder": str(folder),
        "__haproxy_maxconn": {"stdout": str(min(memory * 10, SERVICE_FILES * 9 // 20))},
        "haproxy_servers": servers(2),
    }
    files: dict[str, dict[str, t.Any]] = {"default": {}}
    files |= {variant(name): settings for name, (settings, _) in DEFAULTS.items()}
    files |= {
        str(number): {
            "haproxy_servers": servers(number),
            "haproxy_http_response": [f"set-header {GENERATION} 0"],
            "haproxy_bind": f"*:{RELOAD_PORT}",
        }
        for number in RELOAD_SERVERS
    }
    inventory = folder / "inventory.yml"
    inventory.write_text(json.dumps({"all": {"hosts": {name: usual | settings for name, settings in files.items()}}}))
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory), str(HERE / "render.yml")]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise BenchmarkError(f"the role's files could not be rendered:\n{done.stdout}{done.stderr}")
    etc = root / "etc"
    (etc / "haproxy" / "pages").mkdir(exist_ok=True)
    (root / "usr/local/sbin").mkdir(exist_ok=True)
    (root / "var/lib/peer/dev").mkdir(parents=True, exist_ok=True)
    for source, target in (
        *((folder / f"haproxy-{name}.cfg", etc / "haproxy" / f"{name}.cfg") for name in files),
        *((script, etc / "haproxy" / script.name) for script in role.glob("files/*.lua")),
        (role / "files/503.html", etc / "haproxy/pages/503.html"),
        (role / "files/haproxy_unit.py", root / "usr/local/sbin/haproxy-unit"),
        (HERE / "rsyslog.conf", etc / "rsyslog.conf"),
        (HERE / "peer.cfg", etc / "haproxy/peer.cfg"),
        (HERE / "nginx.conf", etc / "nginx/nginx.conf"),
        (HERE / "backend.conf", etc / "nginx/backend.conf"),
        (HERE.parent / "report.lua", root / "report.lua"),
    ):
        shutil.copyfile(source, target)
    own = (etc / "haproxy/default.cfg").read_text()
    equal = with_what_the_role_adds((HERE / "peer.cfg").read_text(), own)
    (etc / "haproxy/equal.cfg").write_text(equal.replace("*:81", "*:84").replace("/peer/stats", "/peer/equal"))
    (etc / "haproxy/bare.cfg").write_text(without_forwarded_headers(own))
    for name in (SILENT, ALL_OFF):
        path = etc / "haproxy" / f"{variant(name)}.cfg"
        path.write_text(without_log(path.read_text()))
    for number, name in enumerate([*map(variant, DEFAULTS), "bare"]):
        path = etc / "haproxy" / f"{name}.cfg"
        text = path.read_text().replace("*:80", f"*:{VARIANT_PORT + number}")
        path.write_text(text.replace("/run/haproxy/admin.sock", f"/run/haproxy/{name}.sock"))
    included = (etc / "rsyslog.d/49-haproxy.conf").read_text()
    for old, new in (("/var/lib/haproxy", "/var/lib/peer"), ("/var/log/haproxy.log", "/var/log/peer.log")):
        included = included.replace(old, new)
    text = (HERE / "rsyslog.conf").read_text().replace("$IncludeConfig /etc/rsyslog.d/*.conf", included)
    (etc / "rsyslog-peer.conf").write_text(text)
    for line in (folder / "sysctl.conf").read_text().splitlines():
        key, is_setting, value = line.partition(" = ")
        if is_setting:
            Path("/proc/sys", *key.split(".")).write_text(value)


def variant(name: str) -> str:
    """Return what a file of the role without one of its defaults is called."""
    return f"without-{list(DEFAULTS).index(name)}"


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
    is_own = name == "default" or name.isdigit()
    return start(root, "/usr/sbin/haproxy", "-W", *files, "-S", f"/run/{'haproxy-master' if is_own else name}.sock")


def start_all(root: Path) -> list[Party]:
    """Start everything, and return who takes part in the order of the tables."""
    logs = root / "var/log"
    rsyslog = start(root, "/usr/sbin/rsyslogd", "-n", "-i", "/run/rsyslogd.pid")
    of_debian = ["-n", "-f", "/etc/rsyslog-peer.conf", "-i", "/run/rsyslogd-peer.pid"]
    rsyslog_of_debian = start(root, "/usr/sbin/rsyslogd", *of_debian)
    for folder in ("haproxy", "peer"):
        wait_until("rsyslog listens", (root / "var/lib" / folder / "dev/log").exists)
    backend = start(root, "/usr/sbin/nginx", "-c", "/etc/nginx/backend.conf", "-g", "daemon off;")
    proxy = start(root, "/usr/sbin/nginx", "-g", "daemon off;")
    own_log, peer_log = logs / "haproxy.log", logs / "peer.log"
    parties = [
        Party(OWN, 80, own_log, [haproxy(root, "default"), rsyslog]),
        Party(EQUAL, 84, peer_log, [haproxy(root, "equal"), rsyslog_of_debian]),
        Party(PEER, 81, peer_log, [haproxy(root, "peer"), rsyslog_of_debian]),
        Party(NGINX, 82, logs / "nginx/access.log", [proxy]),
        Party(DIRECT, 8001, None, [backend]),
    ]
    for number, name in enumerate(DEFAULTS):
        process = haproxy(root, variant(name))
        has_log = name not in (SILENT, ALL_OFF)
        log, processes = (own_log, [process, rsyslog]) if has_log else (None, [process])
        parties.append(Party(name, VARIANT_PORT + number, log, processes))
    number = VARIANT_PORT + len(DEFAULTS)
    parties.append(Party(BARE, number, own_log, [haproxy(root, "bare"), rsyslog]))
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

    def count(self) -> int:
        if not self.path.exists():
            return 0
        with self.path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(2**20), b""))

    def settle(self, expected: int) -> int:
        """Wait until that many lines are there, or the file has not grown for a second; return its lines."""
        lines, since = -1, time.monotonic()
        while lines < expected and time.monotonic() - since < 1:
            now = self.count()
            if now != lines:
                lines, since = now, time.monotonic()
            time.sleep(0.05)
        return lines


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
    result = json.loads(done.stdout.splitlines()[-1])
    requests = result["requests"]
    if not requests:
        raise BenchmarkError(f"{party.name} answered no request in {seconds} s")
    lines = log.settle(requests) if log else None
    used = processor_time(party.processes) - before
    return Sample(
        rate=requests / result["seconds"],
        p99=result["p99"],
        cpu=used / requests * 1e6,
        requests=requests,
        # The last requests are logged, but not counted by wrk, which does not wait for them
        lost=None if lines is None else max(0, requests - lines),
        failed=result["failed"],
    )


def measure_paced(root: Path, party: Party, rate: int, seconds: int) -> Paced:
    """Ask one so many times a second, and no faster. wrk can't; h2load can, and logs each answer.

    Each client asks every 20 ms, and they begin at different moments, so that requests come evenly.
    """
    log = Lines(party.log) if party.log else None
    if log:
        log.empty()
    clients = round(rate * INTERVAL)
    requests = round(rate * (seconds + WARM_UP))
    answers = root / "var/log/h2load.log"
    answers.unlink(missing_ok=True)
    before = processor_time(party.processes)
    command = ["chroot", str(root), "h2load", "--h1", "--threads", "1", "--clients", str(clients)]
    command += ["--requests", str(requests), "--rps", str(round(1 / INTERVAL))]
    # A tenth of the clients every 2 ms
    command += ["--rate", str(clients // 10), "--rate-period", f"{INTERVAL * 100:g}ms"]
    command += ["--log-file", "/var/log/h2load.log", f"http://127.0.0.1:{party.port}/"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkError(f"h2load could not ask {party.name}: {done.stderr.strip()}{done.stdout.strip()}")
    if log:
        log.settle(requests)
    used = processor_time(party.processes) - before
    sent, p50, p99, failed = figures.paced(answers.read_text(), WARM_UP, INTERVAL)
    return Paced(rate=sent, p50=p50, p99=p99, cpu=used / requests * 1e6, failed=failed)


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


def processor() -> str:
    """Name the machine's processor."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(": ")[2] if names else platform.machine()


def versions(root: Path) -> str:
    """Name the programs that took part."""
    command = ["chroot", str(root), "dpkg-query", "--show", "--showformat", "${Package} ${Version}, "]
    packages = ["haproxy", "rsyslog", "nginx", "wrk", "nghttp2-client"]
    return subprocess.run([*command, *packages], capture_output=True, text=True).stdout.rstrip(", ")


def main() -> int:
    """Run the benchmark; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="make bench-haproxy ARGS=...", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", choices=SUITES, default="debian-12", help="the Debian whose packages are measured")
    parser.add_argument("--rounds", type=int, default=15, help="how often each takes its turn (15)")
    parser.add_argument("--seconds", type=int, default=1, help="how long a turn is (1)")
    parser.add_argument("--seed", type=int, default=1, help="decides the order of the turns (1)")
    parser.add_argument("--write", action="store_true", help=f"write the tables into {PAGE.relative_to(REPO)}")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.seconds < 1:
        parser.error("--rounds and --seconds take 1 and more")
    if os.geteuid():
        parser.error("this makes a Debian and network interfaces: run it as root")
    root = make_root(arguments.image)
    enter(root)
    render(root)
    parties = start_all(root)
    order = random.Random(arguments.seed)
    page = PAGE.read_text()

    def show(name: str, lines: list[str]) -> None:
        nonlocal page
        page = figures.put(page, name, lines)
        print("", f"### {name}", "", *lines, sep="\n", flush=True)

    show(
        "machine",
        [
            f"Measured on {datetime.date.today()} on {os.cpu_count()} cores ({processor()}) that all of them shared: "
            f"Linux {platform.release()}, {versions(root)}.",
            f"{CLIENTS} clients; {arguments.rounds} rounds of {arguments.seconds} s each, in random order (seed "
            f"{arguments.seed}); load of the machine before: {os.getloadavg()[0]:.1f}.",
        ],
    )

    def rounds(what: str, among: list[Party]) -> t.Iterator[Party]:
        for number in range(1, arguments.rounds + 1):
            print(f"{what}: round {number} of {arguments.rounds}", file=sys.stderr, flush=True)
            yield from order.sample(among, len(among))

    full: dict[str, dict[str, list[Sample]]] = {}
    for kind, keep_alive in (("connections kept", True), ("a new connection each", False)):
        full[kind] = {party.name: [] for party in parties}
        for party in rounds(kind, parties):
            full[kind][party.name].append(measure(root, party, arguments.seconds, keep_alive))
        beside = {name: samples for name, samples in full[kind].items() if name not in PRICES}
        show(kind, figures.speed_table(beside, OWN))
    show("what each default costs", figures.costs_table(*full.values(), PRICES, OWN))

    paced: dict[int, dict[str, list[Paced]]] = {}
    for rate in RATES:
        among = [party for party in parties if party.name not in PRICES]
        paced[rate] = {party.name: [] for party in among}
        for party in rounds(f"{rate:,} requests a second", among):
            paced[rate][party.name].append(measure_paced(root, party, rate, arguments.seconds))
    show("latency", figures.paced_table(paced))

    # Its socket is the one of the process that is reloaded next
    os.kill(parties[0].processes[0], signal.SIGTERM)
    os.waitpid(parties[0].processes[0], 0)
    lines = ["| servers | until the new worker answers, s | until the reload is over, s |", "|--:|--:|--:|"]
    for number in RELOAD_SERVERS:
        served, told = reload_times(root, number, arguments.rounds)
        lines.append(f"| {number:,} | {served:.2f} | {told:.2f} |")
    show("reload", lines)
    if arguments.write:
        PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BenchmarkError, FiguresError, NotInTime) as error:
        sys.exit(f"error: {error}")
