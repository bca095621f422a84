# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What status.yml and a roll-out that failed say of the service, and which servers HAProxy gets."""

from __future__ import annotations

import datetime
import json
from typing import Any

from ansible_collections.alphacoder.scaleout.plugins.filter.app_servers import app_servers
from ansible_collections.alphacoder.scaleout.plugins.filter.rollout_failure import rollout_failure
from ansible_collections.alphacoder.scaleout.plugins.filter.service_status import service_status

APPS = {"app-1": "10.0.0.1", "app-2": "10.0.0.2"}


def server(name: str, address: str = "", backend: str = "app", status: str = "UP") -> dict[str, Any]:
    return {"name": name, "backend": backend, "address": address or f"{APPS[name]}:8000", "status": status}


def balancer(name: str, *servers: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = {"process": {"version": "3.0", "uptime": 5, "connections": 1}, "servers": list(servers)}
    return {"inventory_hostname": name, "private_address": "10.0.0.9", "__scaleout_haproxy": answer, **more}


def app(name: str, image: str = "shop:1", release: str = "", **more: Any) -> dict[str, Any]:
    started = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=90)
    container = {
        "Config": {"Image": image, "Labels": {"alphacoder.scaleout.release": release} if release else None},
        "State": {"Status": "running", "Running": True, "StartedAt": f"{started:%Y-%m-%dT%H:%M:%S}.123456789Z"},
        "RestartCount": 0,
    }
    return {
        "inventory_hostname": name,
        "private_address": APPS[name],
        "__scaleout_running": {"results": [{"container": container, "exists": True}]},
        **more,
    }


def status(*hosts: dict[str, Any]) -> dict[str, Any]:
    by_name = {host["inventory_hostname"]: host for host in hosts}
    balancers = [name for name in by_name if name.startswith("lb")]
    found = service_status(by_name, balancers, [name for name in by_name if name.startswith("app")], {"app": 8000})
    # Can be written as JSON
    return json.loads(json.dumps(found))


def test_service_as_the_inventory_has_it() -> None:
    both = server("app-1"), server("app-2")
    found = status(balancer("lb-1", *both), balancer("lb-2", *both), app("app-1"), app("app-2"))

    assert found["drift"] == []
    assert (found["lock"], found["maintenance"]) == ({}, False)
    assert [one["problem"] for one in found["load_balancers"]] == ["", ""]
    assert [one["balancer"] for one in found["app_servers"][0]["servers"]] == ["lb-1", "lb-2"]
    assert found["app_servers"][1]["release"] == "shop:1"
    assert 88 <= found["app_servers"][0]["uptime"] <= 100


def test_drift_is_named_for_each_load_balancer() -> None:
    found = status(
        balancer("lb-1", server("app-1", "10.9.9.9:8000"), server("old-1", "10.0.0.3:8000")),
        balancer("lb-2", server("app-1"), server("app-2"), server("other", "10.0.0.4:1", backend="static")),
        balancer("lb-3") | {"__scaleout_haproxy": {"unreachable": True, "msg": "No route to host"}},
        balancer("lb-4") | {"__scaleout_haproxy": {"failed": True, "msg": "no socket", "servers": []}},
        app("app-1"),
        app("app-2", "shop:2"),
    )

    assert found["drift"] == [
        "lb-3: unreachable",
        "lb-4: no socket",
        "app-1: lb-1 sends its clients to 10.9.9.9:8000, but the inventory has it at 10.0.0.1:8000",
        "old-1: it is a server of lb-1, but not in the inventory",
        "app-2: it is in the inventory, but not a server of lb-1",
        "releases differ: shop:1, shop:2",
    ]


def test_hosts_without_a_container_or_an_answer() -> None:
    both = server("app-1"), server("app-2")
    found = status(
        balancer("lb-1", *both),
        app("app-1", __scaleout_running={"results": [{"exists": False, "container": None}]}),
        app("app-2", __scaleout_running={"unreachable": True, "msg": "No route to host"}),
    )

    assert found["drift"] == ["app-1: no container", "app-2: unreachable"]
    assert [one["release"] for one in found["app_servers"]] == [None, None]


def test_release_has_its_tag_where_the_image_has_its_digest_alone() -> None:
    found = status(
        app("app-1", "shop@sha256:ab", "shop:2@sha256:ab"), app("app-2", "shop@sha256:ab", "shop:2@sha256:ab")
    )

    assert [one["release"] for one in found["app_servers"]] == ["shop:2@sha256:ab"] * 2
    assert found["drift"] == []
    containers = [
        {"item": "app-1", **app("app-1", "shop@sha256:ab", "shop:2@sha256:ab")["__scaleout_running"]["results"][0]}
    ]
    assert rollout_failure([], [], containers).splitlines()[-1].split()[:2] == ["app-1", "shop:2@sha256:ab"]


def test_lock_and_maintenance_are_shown() -> None:
    holder = {"user": "root", "host": "vm", "since": "today", "for": "deploy"}
    marks = [f"alphacoder-scaleout.lock held by {json.dumps(holder)}", "maintenance "]
    found = status(balancer("lb-1", server("app-1"), __scaleout_marks={"stdout_lines": marks}), app("app-1"))

    assert found["lock"] == holder
    assert found["maintenance"] is True


def test_roll_out_that_failed_says_where_and_what_serves_now() -> None:
    failed = [{"inventory_hostname": name, "rollout_failure": "It did not start."} for name in ("app-1", "app-2")]
    balancers = [
        {"item": "lb-1", "servers": [server("app-1"), server("app-2", status="DOWN")]},
        {"item": "lb-2", "servers": [server("app-1", status="MAINT")]},
        {"item": "lb-3", "unreachable": True},
    ]
    containers = [
        {"item": "app-1", "container": {"Config": {"Image": "shop:1"}}},
        {"item": "app-2", "container": None},
        {"item": "app-3", "unreachable": True},
    ]

    assert rollout_failure(failed, balancers, containers).splitlines() == [
        "The roll-out stopped at app-1, app-2.",
        "It did not start.",
        "What serves now:",
        "app-1  shop:1  UP, MAINT",
        "app-2  no container, or no answer  DOWN",
        "app-3  no container, or no answer  not known to HAProxy",
    ]


def test_each_host_is_a_server_with_what_it_adds() -> None:
    hosts = [
        {"inventory_hostname": "app-1", "private_address": "10.0.0.1", "scaleout_haproxy_server": {"weight": 50}},
        {"inventory_hostname": "app-2", "private_address": "10.0.0.2"},
    ]

    assert app_servers(hosts, 8000) == [
        {"name": "app-1", "address": "10.0.0.1", "port": 8000, "weight": 50},
        {"name": "app-2", "address": "10.0.0.2", "port": 8000},
    ]
