# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change costs: reloads under load, what outlives them, and changes that HAProxy refuses."""

from __future__ import annotations

import socket
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from balancer import FILE, LOG, Balancer, Load, fresh
from support import REPO
from support.waiting import wait_until

BUILD = REPO / ".build" / "molecule-haproxy"
# The common case alone: on HAProxy 2.6 each reload with a stick table waits for seconds
SIMPLE: dict[str, Any] = {
    "haproxy_frontends": [],
    "haproxy_backends": [],
    "haproxy_certificates": [],
    "haproxy_files": [],
}
# A change of each file that the role writes
EVERYTHING: dict[str, Any] = {
    "haproxy_certificates": [{"name": name, "src": str(BUILD / "stranger.pem")} for name in ("one", "new")],
    "haproxy_error_pages": {"503": str(REPO / "molecule" / "haproxy" / "files" / "closed.html"), "429": "503.html"},
    "haproxy_files": [
        {"name": "clients/ca.pem", "src": str(BUILD / "one.test.pem")},
        {"name": "new", "content": ""},
        {"name": "hosts.map", "content": "images.test second_only\n"},
    ],
    "haproxy_log_days": 3,
    "haproxy_stats_password": "another password",
    "haproxy_sysctl": {"net.core.somaxconn": 4096},
}


@pytest.fixture(scope="module")
def simple(balancer: Balancer) -> Iterator[Balancer]:
    balancer.apply(SIMPLE)
    yield balancer
    balancer.apply()


# With all that vars/main.yml has


def test_converged_host_needs_no_change(balancer: Balancer) -> None:
    done = balancer.play(None, "--check")

    assert done.returncode == 0, done.stdout
    assert " changed=0 " in done.stdout


def test_dry_run_shows_a_change_and_makes_none(balancer: Balancer) -> None:
    before = balancer.configuration()
    done = balancer.play({"haproxy_balance": "leastconn"}, "--check", "--diff")

    assert done.returncode == 0, done.stdout
    assert "-    balance                 roundrobin\n+    balance                 leastconn\n" in done.stdout
    assert balancer.configuration() == before


def states(balancer: Balancer) -> dict[str, tuple[str, str]]:
    return {name: (row["status"], row["weight"]) for name, row in balancer.stats("admin").items()}


@pytest.mark.parametrize("how", ["reload", "restart"])
def test_admin_states_survive(balancer: Balancer, how: str) -> None:
    first, second, third = balancer.servers
    say = balancer.service.ask_haproxy
    wait_until("every server UP", lambda: balancer.all_up("admin"))
    wanted = {first: ("DRAIN", "1"), second: ("MAINT", "1"), third: ("UP", "7")}
    try:
        say(f"set server admin/{first} state drain")
        say(f"set server admin/{second} state maint")
        say(f"set server admin/{third} weight 7")
        assert states(balancer) == wanted
        process = balancer.process()

        balancer.host.check_output(f"systemctl {how} haproxy")

        wait_until("states as they were", lambda: states(balancer) == wanted)
        assert (balancer.process() == process) == (how == "reload")
        assert balancer.spread("admin", 20) == {first: 0, second: 0, third: 20}
    finally:
        for server in (first, second):
            say(f"set server admin/{server} state ready")
        say(f"set server admin/{third} weight 1")
    wait_until("every server UP", lambda: balancer.all_up("admin"))


def test_stick_table_survives_a_reload(balancer: Balancer) -> None:
    home = balancer.get(backend="stick").server

    def entry() -> list[str]:
        """The client's key and server."""
        rows = balancer.runtime("show table stick").splitlines()[1:]
        return [word for row in rows for word in row.split() if word.startswith(("key=", "server_id="))]

    before = entry()
    assert len(before) == 2
    balancer.reload()

    wait_until("table of the old process", lambda: entry() == before)
    assert balancer.spread("stick", 20) == dict.fromkeys(balancer.servers, 0) | {home: 20}


def test_log_is_rotated_and_goes_on(balancer: Balancer) -> None:
    def lines(path: str, file: str) -> int:
        return int(balancer.host.run("grep --count --no-messages %s %s", path, file).stdout or 0)

    old, new = fresh("before"), fresh("after")
    balancer.get(old)
    wait_until("line in the log", lambda: lines(old, LOG) == 1)
    balancer.host.check_output("logrotate --force /etc/logrotate.d/haproxy")
    balancer.get(new)
    wait_until("line in the new log", lambda: lines(new, LOG) == 1)

    assert lines(old, f"{LOG}.1") == 1
    assert (lines(old, LOG), lines(new, f"{LOG}.1")) == (0, 0)
    assert balancer.host.file(LOG).mode == 0o640
    # The one before is compressed at the next time
    balancer.host.check_output("logrotate --force /etc/logrotate.d/haproxy")
    assert old in balancer.host.check_output("zcat %s", f"{LOG}.2.gz")


def test_log_has_a_line_for_each_request_over_rotations_and_reloads(balancer: Balancer) -> None:
    def lines() -> int:
        return int(balancer.host.run("zcat --force %s* | grep --count 'GET /load '", LOG).stdout)

    # The oldest one goes at a rotation
    balancer.host.check_output("rm -f %s.*", LOG)
    before = lines()
    # One client: HAProxy may leave a line out where one thread would have to wait for another's
    with Load(balancer, keep_alive=True, clients=1) as load:
        for _ in range(6):
            balancer.host.check_output("logrotate --force /etc/logrotate.d/haproxy")
            balancer.reload()

    assert load.failed == []
    wait_until("line for each request", lambda: lines() - before >= load.done)
    assert lines() - before == load.done
    assert "DroppedLogs: 0" in balancer.runtime("show info")


def test_long_log_line_is_not_cut(balancer: Balancer) -> None:
    end = fresh("end")
    # As HAProxy sends it, with what `len 4096` lets through
    line = f"<134>Jan  1 00:00:00 haproxy[1]: {'x' * 4000}{end}"
    send = "import socket, sys; socket.socket(1, 2).sendto(sys.argv[1].encode(), '/var/lib/haproxy/dev/log')"
    balancer.host.check_output("python3 -c %s %s", send, line)

    wait_until("line in the log", lambda: balancer.host.run("grep --quiet 'x%s$' %s", end, LOG).rc == 0)
    assert "x" * 4000 + end in balancer.host.check_output("grep 'x%s$' %s", end, LOG)


@pytest.mark.parametrize(
    ("change", "says", "line"),
    [
        (EVERYTHING | {"haproxy_http_request": "set-headr X-A b"}, "set-headr", "http-request set-headr X-A b"),
        # HAProxy's own check takes this one, and its start would have the old process pause
        ({"haproxy_bind": ["*:80", "*:22"]}, "Address already in use", "bind *:22"),
        # This one shows only when a new process starts
        (EVERYTHING | {"haproxy_maxconn": 100000}, "FD limit", "maxconn 100000"),
        # Certificates that are still needed
        ({"haproxy_certificates": []}, "no SSL certificate", "bind *:443 ssl crt /etc/haproxy/certs/"),
    ],
)
def test_bad_change_leaves_every_file_and_the_process_as_they_were(
    balancer: Balancer, change: dict[str, Any], says: str, line: str
) -> None:
    somaxconn = "cat /proc/sys/net/core/somaxconn"
    before, process, workers = balancer.files(), balancer.process(), balancer.workers()
    with Load(balancer, keep_alive=False, clients=2) as load:
        done = balancer.play(change)

    assert done.returncode != 0
    message = done.stdout[done.stdout.index("HAProxy did not take the new configuration") :]
    # It is YAML, folded somewhere
    message = " ".join(message.split())
    assert "All files are the former ones, and HAProxy goes on with them" in message
    assert says in message
    assert line in message
    assert balancer.files() == before
    assert balancer.host.check_output(somaxconn) == "8192"
    assert (balancer.process(), balancer.workers()) == (process, workers)
    assert load.failed == []
    # The former files are whole: HAProxy reads them as ever
    with Load(balancer, keep_alive=False, clients=2) as load:
        balancer.reload()
    assert load.failed == []
    assert [balancer.certificate(name) for name in ("one.test", "two.test")] == ["one.test", "two.test"]


# With the common case


def test_site_is_up_before_its_first_certificate_and_shows_it_as_soon_as_it_is_there(simple: Balancer) -> None:
    """The certificates of vars/main.yml were removed with the lines that need them."""
    assert simple.certificates() == []
    site = SIMPLE | {
        "haproxy_bind": ["*:80", "*:443 ssl crt /etc/haproxy/certs/", "203.0.113.80:80"],
        # The address is another machine's until this one takes over
        "haproxy_sysctl": {"net.core.somaxconn": 8192, "net.ipv4.ip_nonlocal_bind": 1},
    }
    done = simple.play(site)
    assert done.returncode == 0, done.stdout
    assert "/etc/haproxy/certs has no certificate yet" in done.stdout
    assert (simple.get().status, simple.certificate()) == (200, "placeholder.invalid")
    # It is said as long as it is so, and nothing is changed
    done = simple.play(site)
    assert "/etc/haproxy/certs has no certificate yet" in done.stdout
    assert " changed=0 " in done.stdout

    # Somebody else's program brings one
    text = (BUILD / "two.test.pem").read_text()
    simple.host.check_output("printf %%s %s >/etc/haproxy/certs/of-a-hook.pem", text)
    simple.reload()
    assert (simple.certificate(), simple.certificate("other.test")) == ("two.test", "two.test")

    # The role leaves it there. It shows what HAProxy warns of: it drops peers of which this machine is none
    peers = {"haproxy_extra": ["peers lbs", "    peer lb-9 127.0.0.1:9810"]}
    done = simple.play(site | peers | {"haproxy_certificates": [{"name": "one", "src": str(BUILD / "one.test.pem")}]})
    assert done.returncode == 0, done.stdout
    assert "no certificate yet" not in done.stdout
    assert "Removing incomplete section 'peers lbs' (no peer named 'lb-1')" in done.stdout
    assert simple.certificates() == ["of-a-hook.pem", "one.pem"]
    assert [simple.certificate(name) for name in ("one.test", "two.test")] == ["one.test", "two.test"]

    simple.host.check_output("systemctl restart haproxy")
    assert (simple.get().status, simple.certificate("one.test")) == (200, "one.test")
    simple.host.check_output("rm /etc/haproxy/certs/of-a-hook.pem")
    simple.apply(SIMPLE)
    assert simple.certificates() == []


def test_50_reloads_fail_no_request(simple: Balancer) -> None:
    process = simple.process()
    with Load(simple, keep_alive=False) as new, Load(simple, keep_alive=True) as kept:
        for _ in range(50):
            simple.reload()

    assert (new.failed, kept.failed) == ([], [])
    assert min(new.done, kept.done) > 500
    assert simple.process() == process


def test_20_changes_of_the_server_list_fail_no_request(simple: Balancer) -> None:
    first, second, third = simple.servers
    file = simple.configuration()
    process = simple.process()
    servers = {
        name: {"name": name, "address": simple.service.hostvars[name]["private_address"], "port": 8101}
        for name in simple.servers
    }

    def change(names: list[str], by_role: bool) -> None:
        if by_role:
            simple.apply(SIMPLE | {"haproxy_servers": [servers[name] for name in names]})
        else:
            unused = tuple(f"    server {name} " for name in set(simple.servers) - set(names)) or ("none",)
            lines = [line for line in file.splitlines() if not line.startswith(unused)]
            simple.host.check_output("printf '%%s\\n' %s >%s && systemctl reload haproxy", "\n".join(lines), FILE)
        assert set(simple.stats("app")) == set(names)

    with Load(simple, keep_alive=False) as new, Load(simple, keep_alive=True) as kept:
        for number in range(20):
            names = ([first, second, third], [first, second], [third, first], [second])[number % 4]
            change(names, by_role=number in (1, 2))
        change(simple.servers, by_role=True)

    assert (new.failed, kept.failed) == ([], [])
    assert new.servers == kept.servers == set(simple.servers)
    assert simple.process() == process
    assert simple.configuration() == file


def test_requests_that_wait_for_a_server_leave_half_of_the_connections(simple: Balancer) -> None:
    simple.apply(SIMPLE | {"haproxy_maxconn": 40})
    simple.tell_all({"/readyz": [{"status": 500}]})
    try:
        wait_until("every server DOWN", lambda: simple.all_down("app"))
        with ThreadPoolExecutor(30) as pool:
            asked = [pool.submit(simple.get) for _ in range(30)]
            wait_until("answers", lambda: sum(request.done() for request in asked) == 10)
            assert {request.result().status for request in asked if request.done()} == {503}
            simple.tell_all({"/readyz": [{}]})
            assert Counter(request.result().status for request in asked) == {200: 20, 503: 10}
    finally:
        simple.tell_all({"/readyz": [{}]})
        simple.apply(SIMPLE)


def test_download_and_tunnel_end_on_the_old_process(simple: Balancer) -> None:
    path = fresh("download")
    download = simple.connect()
    download.request("GET", path)
    answer = download.getresponse()
    size = int(answer.headers["Content-Length"])
    data = answer.read(size // 2)
    tunnel = socket.create_connection((simple.address, 80), timeout=10)
    tunnel.sendall(
        b"GET /tunnel HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: "
        + b64encode(bytes(16))
        + b"\r\n\r\n"
    )
    lines = tunnel.makefile("rb")
    assert lines.readline().split()[1] == b"101"
    while lines.readline().strip():
        pass
    wait_until("one process", lambda: len(simple.workers()) == 1)
    old = simple.workers()

    simple.reload()

    assert old < simple.workers()
    tunnel.sendall(b"after the reload\n")
    assert lines.readline() == b"after the reload\n"
    simple.tell_all({path: [{}]})
    data += answer.read()
    assert data == b"." * size
    tunnel.close()
    lines.close()
    download.close()
    wait_until("end of the old process", lambda: not old & simple.workers())


def test_old_process_ends_after_hard_stop_after(simple: Balancer) -> None:
    simple.apply(SIMPLE | {"haproxy_hard_stop_after": "2s"})
    wait_until("one process", lambda: len(simple.workers()) == 1)
    old = simple.workers()
    download = simple.connect()
    path = fresh("download")
    download.request("GET", path)
    answer = download.getresponse()
    answer.read(1000)

    simple.reload()

    assert old < simple.workers()
    # The client goes on reading: nothing else could end the process
    wait_until("end of the old process", lambda: not old & simple.workers())
    with pytest.raises(Exception, match=r"IncompleteRead|reset"):
        answer.read()
    simple.tell_all({path: [{}]})
    assert simple.get().status == 200
