# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a user's own app behind two load balancers: each test goes on where the former one ended."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from greeting import ARCHIVES, INVENTORY, LOCK, PORT, Done, Greeting, Guest, Seen
from support.service import LOG
from support.waiting import wait_until

OUT = ("DRAIN", "MAINT")
UNREACHABLE = Path(__file__).parent / "unreachable.yml"
# A lock that nobody on this machine can ask about
FOREIGN = {"user": "someone", "host": "elsewhere", "pid": 1, "started": "1", "since": "2026-01-01", "for": "deploy"}


def succeeded(done: Done) -> None:
    assert done.returncode == 0, done.stdout


def failed(done: Done, *texts: str) -> None:
    """The run failed, and said this."""
    said = " ".join(done.stdout.split())
    assert done.returncode != 0, done.stdout
    assert all(text in said for text in texts), done.stdout
    assert "Traceback" not in done.stdout


def refused_for(done: Done, purpose: str) -> None:
    """The run did nothing, because another one holds the lock."""
    failed(done, "has been changing this service since", f"({purpose})")
    assert not re.search("changed=[1-9]", done.stdout), done.stdout


def drained_before_it_stopped(service: Greeting, seen: Seen, server: str) -> bool:
    """Whether no load balancer sent new clients to the server when its container was told to stop."""
    stopped = service.stopped(server, seen.began)
    return all(seen.state(balancer, server, stopped) in OUT for balancer in service.balancers)


def test_dry_run_of_a_deploy_changes_nothing(service: Greeting) -> None:
    before = service.containers()
    done = service.playbook("deploy", "--check", "--diff", release="greeting:2", app_env={"GREETING": "secret-value"})

    succeeded(done)
    assert "greeting: app_env: GREETING, app_image (greeting:1 to greeting:2)" in done.stdout, done.stdout
    assert "secret-value" not in done.stdout
    assert "To be replaced on app-1, app-2" in " ".join(done.stdout.split()), done.stdout
    assert service.containers() == before


def test_deploy_drains_on_both_and_shuts_others_out(service: Greeting, tmp_path: Path) -> None:
    status_file = tmp_path / "status.json"
    with service.visited() as seen:
        with service.meanwhile("deploy", release="greeting:2") as deploy:
            maintenance = service.playbook("maintenance", host="app-2", state="drain")
            status = service.playbook("status", status_file=str(status_file))
        succeeded(deploy.result())

    refused_for(maintenance, "deploy")
    assert seen.failed == []
    assert set(service.releases().values()) == {"greeting:2"}
    assert all(drained_before_it_stopped(service, seen, server) for server in service.group("app"))
    # The second one leaves when the first one is back on both
    for balancer in service.balancers:
        assert seen.state(balancer, "app-1", seen.first(balancer, "app-2", "DRAIN")) == "UP"
    assert service.lock() == ""

    succeeded(status)
    told = json.loads(status_file.read_text())
    assert (told["lock"]["for"], told["backend"]) == ("deploy", "greeting")
    assert [balancer["name"] for balancer in told["load_balancers"]] == service.balancers
    assert sorted((server["name"], server["balancer"]) for server in told["servers"]) == [
        (app, balancer) for app in service.group("app") for balancer in service.balancers
    ]


def test_release_that_fails_goes_back_and_says_why(service: Greeting) -> None:
    before = service.containers()
    with service.visited() as seen:
        done = service.playbook("deploy", release="greeting:broken", app_health_timeout=3)

    failed(
        done, "The roll-out stopped at app-1", "greeting:broken on app-1 did not answer 200", "no licence for this host"
    )
    assert "The former container runs again." in done.stdout
    assert seen.failed == []
    assert service.containers() == before
    assert seen.states("app-2") == {"UP"}
    assert service.states() == {"app-1": {"UP"}, "app-2": {"UP"}}


def test_image_that_is_nowhere_changes_nothing(service: Greeting) -> None:
    before = service.containers()
    failed(service.playbook("deploy", release="greeting:none"), "greeting:none")
    assert service.containers() == before


def test_batch_of_all_that_serve_is_refused(service: Greeting) -> None:
    before = service.containers()
    with service.visited() as seen:
        done = service.playbook("deploy", release="greeting:broken", deploy_batch="100%")

    failed(done, "would take out", "app-1, app-2", "deploy_batch")
    assert service.containers() == before
    assert seen.states("app-1") == seen.states("app-2") == {"UP"}


def test_load_balancer_that_cannot_be_reached_stops_the_batch(service: Greeting) -> None:
    before = service.containers()
    inventories = [f"--inventory={path}" for path in (INVENTORY, UNREACHABLE)]
    with service.visited() as seen:
        done = service.playbook("deploy", *inventories, release="greeting:broken")

    failed(done, "The roll-out stopped at app-1", "lb-2 cannot be reached")
    assert service.containers() == before
    assert seen.states("app-1") == {"UP"}
    assert service.lock() == ""


def test_scale_out_brings_the_release_to_new_servers(service: Greeting) -> None:
    with service.visited() as seen:
        succeeded(service.playbook("scale", app_count=4))
    service.refresh()

    assert seen.failed == []
    assert service.releases() == {f"app-{number}": "greeting:2" for number in range(1, 5)}
    assert service.states() == {name: {"UP"} for name in service.group("app")}


def test_maintenance_lets_requests_end_and_shuts_others_out(service: Greeting) -> None:
    """The server stays out: the next test finds it so."""
    address = service.public_address("lb-2")
    visitor = Guest({"SERVERID": "app-4"})
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(visitor.hold, address)
        wait_until("the request is there", lambda: service.sessions("lb-2", "app-4"))
        with service.meanwhile("maintenance", host="app-4", state="drain", deploy_drain_timeout=120) as maintenance:
            # The servers have the release, and other settings
            deploy = service.playbook("deploy", release="greeting:2", app_stop_timeout=9)
            assert not maintenance.done()
            visitor.get(address, "/let-go")
        succeeded(maintenance.result())

    refused_for(deploy, "maintenance")
    assert held.result() == (200, "Hello from app-4\n")
    assert service.states()["app-4"] == {"DRAIN"}
    assert service.lock() == ""


def test_second_run_starts_nothing_where_another_one_replaces_the_app(service: Greeting) -> None:
    """On a server that has neither its former container nor its new one, as in the middle of a deploy."""
    service.host("lb-1").check_output("ln -sT %s %s", f"held by {json.dumps(FOREIGN)}", LOCK)
    app = service.host("app-4")
    app.check_output("docker stop greeting && docker rename greeting greeting-former")
    done = service.playbook("deploy", release="greeting:2")
    names = app.check_output("docker container ls --all --format '{{.Names}} {{.State}}'")
    app.check_output("docker rename greeting-former greeting && docker start greeting")

    refused_for(done, "deploy")
    assert names == "greeting-former exited"


def test_rollback_in_halves_takes_over_a_lock(service: Greeting) -> None:
    """Two new servers never had the former release, and its archive is gone: they get it from those that have it."""
    (ARCHIVES / "greeting-1.tar.gz").unlink()
    # The former test's
    assert service.lock() != ""
    options = {"deploy_batch": "50%", "deploy_drain_timeout": 3, "deploy_break_lock": True}
    with service.visited() as seen, ThreadPoolExecutor(1) as pool:
        with service.meanwhile("rollback", **options) as rollback:
            # For longer than its server may take to finish
            pool.submit(Guest({"SERVERID": "app-1"}).hold, service.public_address("lb-2"))
        succeeded(rollback.result())

    assert seen.failed == []
    assert set(service.releases().values()) == {"greeting:1"}
    assert service.lock() == ""
    drained = seen.first("lb-2", "app-1", "DRAIN")
    assert 2 < seen.first("lb-2", "app-1", "MAINT", after=drained) - drained < 20
    # Half of them at a time, each drained on both
    assert all(drained_before_it_stopped(service, seen, server) for server in ("app-1", "app-2", "app-3"))
    stopped = service.stopped("app-1", seen.began)
    for balancer in service.balancers:
        assert [seen.state(balancer, server, stopped) in OUT for server in ("app-2", "app-3")] == [True, False]
    # What an operator took out stays out
    assert "UP" not in seen.states("app-4")


def test_maintenance_ends_on_both(service: Greeting) -> None:
    succeeded(service.playbook("maintenance", host="app-4", state="ready"))
    assert service.states()["app-4"] == {"UP"}


def test_scale_in_drains_on_both_before_it_removes(service: Greeting) -> None:
    with service.visited() as seen:
        succeeded(service.playbook("scale", app_count=2))
    service.refresh()

    assert seen.failed == []
    assert service.group("app") == ["app-1", "app-2"]
    for balancer in service.balancers:
        for server in ("app-3", "app-4"):
            assert seen.first(balancer, server, "DRAIN") < seen.first(balancer, server, "MAINT")
    assert service.states() == {"app-1": {"UP"}, "app-2": {"UP"}}


def test_status_shows_both_load_balancers(service: Greeting, tmp_path: Path) -> None:
    status_file = tmp_path / "status.json"
    done = service.playbook("status", status_file=str(status_file))

    succeeded(done)
    rows = [f"{app}@{balancer} " for app in service.group("app") for balancer in service.balancers]
    assert all(text in done.stdout for text in ("lb-1: HAProxy", "lb-2: HAProxy", *rows)), done.stdout
    assert "Nothing differs from the inventory." in done.stdout
    told = json.loads(status_file.read_text())
    assert {server["address"] for server in told["servers"]} == {
        f"{service.private_address(app)}:{PORT}" for app in service.group("app")
    }
    assert (told["lock"], told["drift"]) == ({}, [])


@pytest.fixture
def unseen(service: Greeting) -> Iterator[None]:
    """The second load balancer cannot reach the first app server."""
    host, rule = (
        service.host("app-1"),
        f"DOCKER-USER -s {service.private_address('lb-2')} -p tcp -j REJECT --reject-with tcp-reset",
    )
    host.check_output(f"iptables -I {rule}")
    wait_until("server DOWN", lambda: service.servers("lb-2")["app-1"] == "DOWN")
    yield
    host.check_output(f"iptables -D {rule}")


@pytest.mark.usefixtures("unseen")
def test_release_that_a_load_balancer_does_not_see_stops_the_roll_out(service: Greeting) -> None:
    done = service.playbook("deploy", release="greeting:2", deploy_ready_timeout=2)

    failed(done, "The roll-out stopped at app-1", "2 s")
    assert service.releases() == {"app-1": "greeting:2", "app-2": "greeting:1"}
    assert service.lock() == ""


def test_log_has_no_environment_of_the_app(service: Greeting) -> None:
    assert "secret-value" not in LOG.read_text()
