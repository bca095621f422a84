# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service does, seen from outside; and on the hosts, what can't be seen from there."""

from __future__ import annotations

import json
import re
import socket
import stat
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from support import REPO
from support.service import LOG, SECRETS, Service, secrets_said
from support.waiting import wait_until


def haproxy_process(service: Service) -> str:
    """Changes with a restart, and stays over a reload."""
    return service.host(service.group("lb")[0]).check_output("systemctl show --property=MainPID --value haproxy")


def test_roundrobin_lets_both_instances_answer_in_turn(service: Service) -> None:
    answers = [service.client().get() for _ in range(10)]

    assert {answer.instance for answer in answers} == set(service.group("app"))
    assert all(one.instance != other.instance for one, other in pairwise(answers))


def test_page_shows_the_instance_and_both_figures(service: Service) -> None:
    with urllib.request.urlopen(f"http://{service.address}/", timeout=10) as response:
        page = response.read().decode()

    assert "APP INSTANCE" in page
    assert "Hits in the last day" in page
    assert "Total hits" in page


def test_count_is_exact_over_500_concurrent_requests(service: Service) -> None:
    before = service.client().get().total
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: service.client().get(), range(500)))

    assert Counter(answer.status for answer in answers) == {200: 500}
    assert set(Counter(answer.instance for answer in answers)) == set(service.group("app"))
    # Each hit has a total of its own, that hit included
    assert sorted(answer.total for answer in answers) == list(range(before + 1, before + 501))
    assert service.client().get().total == before + 501


@pytest.mark.usefixtures("haproxy_as_it_was")
def test_cookie_keeps_a_client_on_one_instance(service: Service) -> None:
    process = haproxy_process(service)
    cookie = "haproxy_cookie='SERVERID insert indirect nocache httponly'"
    done = service.play("site.yml", "--tags", "haproxy", "--extra-vars", cookie)
    assert done.returncode == 0, done.stdout

    clients = [service.client() for _ in range(4)]
    homes = [{client.get().instance for _ in range(10)} for client in clients]

    assert all(len(home) == 1 for home in homes), homes
    assert set().union(*homes) == set(service.group("app"))
    assert haproxy_process(service) == process


def test_stopped_container_leaves_rotation_and_comes_back(service: Service) -> None:
    gone, stays = service.group("app")
    before = service.client().get().total
    engine = service.host(gone)
    engine.check_output("docker stop hits")
    try:
        wait_until("server DOWN", lambda: service.servers()[gone] == "DOWN")
        answers = [service.client().get() for _ in range(50)]
    finally:
        engine.check_output("docker start hits")

    assert Counter((answer.status, answer.instance) for answer in answers) == {(200, stays): 50}
    wait_until("server UP", lambda: service.servers()[gone] == "UP")
    assert service.answers_in_turn()
    assert service.client().get().total == before + 50 + 2 * 2 + 1


@pytest.mark.usefixtures("haproxy_as_it_was")
def test_refused_configuration_leaves_the_running_one(service: Service) -> None:
    balancer = service.host(service.group("lb")[0])
    before = balancer.file("/etc/haproxy/haproxy.cfg").content_string
    process = haproxy_process(service)
    wrong = "haproxy_cookie='SERVERID insert samesite=Lax'"
    done = service.play("site.yml", "--tags", "haproxy", "--extra-vars", wrong)

    assert done.returncode != 0
    # HAProxy's own words
    assert re.search(r"\[ALERT\].*'cookie' supports", done.stdout), done.stdout
    assert balancer.file("/etc/haproxy/haproxy.cfg").content_string == before
    assert haproxy_process(service) == process
    assert service.answers_in_turn()


def test_wrong_daemon_options_end_the_run_and_are_mended_by_right_ones(service: Service) -> None:
    app = service.host(service.group("app")[0])
    before = app.check_output("cat /etc/docker/daemon.json; cat /run/docker.pid")
    done = service.play("site.yml", "--extra-vars", json.dumps({"docker_daemon_options": {"log-level": "loud"}}))

    assert done.returncode != 0
    failed = f"{', '.join(service.group('app'))} failed, with the message above"
    assert failed in " ".join(done.stdout.split()), done.stdout
    assert "Read whether the service is in maintenance" not in done.stdout
    if app.run("dockerd --help | grep -q -e --validate").succeeded:
        # The daemon's own words
        assert "invalid logging level: loud" in done.stdout, done.stdout
        assert not re.search("changed=[1-9]", done.stdout), done.stdout
        assert app.check_output("cat /etc/docker/daemon.json; cat /run/docker.pid") == before
    assert service.answers_in_turn()

    again = service.play("site.yml")
    assert again.returncode == 0, again.stdout
    assert app.check_output("cat /etc/docker/daemon.json") in before
    assert service.answers_in_turn()


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"haproxy_maxconn": "many"}, ("haproxy_maxconn is 'many'; it must be a whole number.",)),
        ({"haproxy_mode": "https"}, ("haproxy_mode is 'https'; it must be http or tcp.",)),
        ({"haproxy_cookie": "SERVERID"}, ("haproxy_cookie", "insert")),
        ({"redis_maxmemory_policy": "lru"}, ("redis_maxmemory_policy", "allkeys-lru")),
    ],
)
def test_wrong_setting_changes_nothing(service: Service, setting: dict[str, str], says: tuple[str, ...]) -> None:
    name, value = next(iter(setting.items()))
    done = service.play("site.yml", "--extra-vars", f"{name}={value}")

    assert done.returncode != 0
    assert all(word in done.stdout for word in says), done.stdout
    assert "Traceback" not in done.stdout
    assert not re.search("changed=[1-9]", done.stdout), done.stdout
    # No play after the preflight has begun
    assert "PLAY [Data tier and container engines]" not in done.stdout


def open_ports(address: str) -> set[int]:
    """The TCP ports of the address that take a connection, of all there are."""

    found = set()
    # One after the other: each is refused at once, and threads would cost three times as much
    for port in range(1, 65536):
        with socket.socket() as probe:
            probe.settimeout(3)
            if probe.connect_ex((address, port)) == 0:
                found.add(port)
    return found


def test_from_outside_only_the_load_balancer_answers(service: Service) -> None:
    found = {name: open_ports(service.public_address(name)) for name in service.hostvars}

    ssh = {22}
    assert found == {name: ssh | {80} if name in service.group("lb") else ssh for name in service.hostvars}


def test_data_tier_asks_for_a_password(service: Service) -> None:
    app = service.host(service.group("app")[0])
    address = service.hostvars[service.group("redis")[0]]["private_address"]
    code = (
        "import socket, sys; s = socket.create_connection((sys.argv[1], 6379), 5); "
        "s.sendall(b'PING\\r\\n'); print(s.recv(99))"
    )
    assert "NOAUTH" in app.check_output("python3 -c %s %s", code, address)

    database = service.host(service.group("postgresql")[0])
    stored = "SELECT rolpassword FROM pg_authid WHERE rolname = 'hits'"
    assert database.check_output("runuser -u postgres -- psql -Atc %s", stored).startswith("SCRAM-SHA-256$")
    rules = database.check_output(
        "runuser -u postgres -- psql -Atc %s", "SELECT DISTINCT type, auth_method FROM pg_hba_file_rules"
    )
    assert sorted(rules.splitlines()) == ["host|scram-sha-256", "local|peer"]


def test_app_runs_without_privileges(service: Service) -> None:
    form = "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}"
    for name in service.group("app"):
        seen = service.host(name).check_output("docker inspect --format %s hits", form)
        assert seen == "10001:10001 true [ALL] [no-new-privileges]"


def test_secrets_are_in_private_files_and_in_no_log(service: Service) -> None:
    secrets = [(REPO / ".secrets" / "hits" / name).read_text().strip() for name in SECRETS]
    assert all(len(secret) == 32 for secret in secrets)
    for name in SECRETS:
        assert stat.S_IMODE((REPO / ".secrets" / "hits" / name).stat().st_mode) == 0o600

    assert "PLAY [Load balancer]" in LOG.read_text()
    assert secrets_said() == []

    for name in service.hostvars:
        host = service.host(name)
        for secret in secrets:
            held = host.run(
                "grep --recursive --files-with-matches --fixed-strings --text %s /etc /var/log /run/log", secret
            )
            for path in held.stdout.split():
                file = host.file(path)
                assert (file.mode, path.startswith("/etc/")) == (0o600, True), f"{name}: {path}"


def test_service_is_back_after_every_droplet_restarted(service: Service) -> None:
    before = service.client().get().total
    service.reboot()
    wait_until("every instance in rotation", service.answers_in_turn, 120)

    one, other = service.client().get(), service.client().get()
    assert (one.status, other.total) == (200, one.total + 1)
    assert one.total > before
    assert {one.instance, other.instance} == set(service.group("app"))
