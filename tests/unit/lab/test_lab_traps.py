# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each trap, set and not set, as a client meets it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from lab_service import ORDER, Service, refused

from lab.traps import TRAPS

REPO = Path(__file__).resolve().parents[3]


@pytest.fixture
def service() -> Service:
    return Service()


def switch(service: Service, method: str, body: Any = None, token: str = "secret") -> Any:
    return service.client.open("/lab/traps", method=method, json=body, headers={"Authorization": f"Bearer {token}"})


def set_traps(service: Service, **changes: Any) -> None:
    reply = switch(service, "PUT", changes)
    assert reply.status_code == 200, reply.text
    assert reply.json["traps"] == switch(service, "GET").json["traps"]


def droplet(service: Service, number: int) -> Any:
    return service.get(f"/droplets/{number}")["droplet"]


def v4(service: Service, number: int) -> list[tuple[str, str]]:
    return [(entry["type"], entry["ip_address"]) for entry in droplet(service, number)["networks"]["v4"]]


# The switches


def test_they_are_set_and_reset(service: Service) -> None:
    start = switch(service, "GET").json["traps"]
    assert list(start) == list(TRAPS)
    set_traps(service, list_lag=3, twins=["a", "b"], links="none")
    now = switch(service, "GET").json["traps"]
    assert now == {**start, "list_lag": 3, "twins": ["a", "b"], "links": "none"}
    assert switch(service, "DELETE").json["traps"] == start


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"list_leg": 1}, "list_leg is not a trap. The traps are list_lag"),
        ({"twins": "a"}, "twins takes a list of droplets' names"),
        ({"twins": [1]}, "twins takes a list"),
        ({"links": "some"}, "links takes one of none, empty, pages, in-turn"),
        ({"burst": -1}, "burst takes a whole number, 0 or more"),
        ({"burst": 1.5}, "burst takes a whole number"),
        ({"burst": True}, "burst takes a whole number"),
        ({"list_lag": "x"}, "list_lag takes a number, 0 or more"),
    ],
)
def test_a_wrong_one_changes_nothing(service: Service, changes: dict[str, Any], text: str) -> None:
    refused(switch(service, "PUT", {"hourly": 1, **changes}), 422, text)
    assert switch(service, "GET").json["traps"]["hourly"] == 0


def test_they_ask_for_the_token_and_are_not_limited(service: Service) -> None:
    refused(switch(service, "GET", token="wrong"), 401)
    set_traps(service, burst=1, server_errors=1)
    assert switch(service, "GET").json["traps"]["burst"] == 1


def test_the_readme_has_each_of_them() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", (REPO / "lab" / "README.md").read_text(), re.MULTILINE)
    assert set(TRAPS) <= {name for row in rows for name in re.findall(r"\w+", row)}


# Lists and addresses


def test_list_lag(service: Service) -> None:
    set_traps(service, list_lag=60)
    service.created("a")
    assert service.names() == []
    service.clock.now += 60
    assert service.names() == ["a"]


def test_address_lag(service: Service) -> None:
    set_traps(service, address_lag=60)
    (number,) = service.created("a")
    assert droplet(service, number)["status"] == "active"
    assert v4(service, number) == []
    service.clock.now += 60
    assert len(v4(service, number)) == 2


def test_first_address(service: Service) -> None:
    (number,) = service.created("a")
    set_traps(service, first_address="public")
    assert [kind for kind, _ in v4(service, number)] == ["public", "private"]


def test_reserved_ip(service: Service) -> None:
    number, other = service.created("a", "b")
    assert service.get("/reserved_ips")["reserved_ips"] == []
    own = v4(service, number)[1]
    set_traps(service, reserved_ip=["a"])
    kinds, addresses = zip(*v4(service, number), strict=True)
    assert kinds == ("private", "public", "public")
    assert addresses[2] == own[1]
    (entry,) = service.get("/reserved_ips")["reserved_ips"]
    assert (entry["ip"], entry["droplet"]["id"]) == (addresses[1], number)
    assert len(v4(service, other)) == 2


def test_no_public_ipv4(service: Service) -> None:
    number, other = service.created("a", "b")
    set_traps(service, no_public_ipv4=["a"])
    assert [kind for kind, _ in v4(service, number)] == ["private"]
    assert len(v4(service, other)) == 2


@pytest.mark.parametrize(("shape", "links"), [("none", "absent"), ("empty", {}), ("pages", {"pages": {}})])
def test_links(service: Service, shape: str, links: Any) -> None:
    set_traps(service, links=shape)
    for size in (20, 21, 22):
        assert service.get(f"/droplets?per_page={size}").get("links", "absent") == links


def test_gone(service: Service) -> None:
    set_traps(service, gone=["b"])
    _first, second = service.created("a", "b")
    assert service.names() == ["a", "b"]
    refused(service.call("DELETE", f"/droplets/{second}"), 404)
    assert service.names() == ["a"]


@pytest.mark.parametrize("status", ["off", "archive"])
def test_off_and_archive(service: Service, status: str) -> None:
    number, other = service.created("a", "b", tags=["x"])
    set_traps(service, **{status: ["a"]})
    assert service.names("?tag_name=x") == ["a", "b"]
    assert [droplet(service, one)["status"] for one in (number, other)] == [status, "active"]


def test_tag_case(service: Service) -> None:
    service.created("a", tags=["Prod"])
    assert service.names("?tag_name=prod") == []
    refused(service.call("GET", "/tags/prod"), 404)
    set_traps(service, tag_case="loose")
    assert service.names("?tag_name=prod") == ["a"]
    assert service.get("/tags/prod")["tag"]["name"] == "Prod"


# Refusals


def test_burst(service: Service) -> None:
    set_traps(service, burst=2)
    for _ in range(2):
        reply = service.call("GET", "/account")
        assert (reply.status_code, reply.json["id"], reply.headers["retry-after"]) == (429, "Too Many Requests", "1")
    service.get("/account")


def test_hourly(service: Service) -> None:
    service.get("/account")
    set_traps(service, hourly=1)
    reply = service.call("GET", "/account")
    assert reply.status_code == 429
    assert "retry-after" not in reply.headers
    assert int(reply.headers["ratelimit-reset"]) == service.clock.now + 3600
    service.get("/account")


def test_server_errors(service: Service) -> None:
    set_traps(service, server_errors=1)
    assert service.call("POST", "/tags", {"name": "x"}).status_code == 201
    refused(service.call("GET", "/droplets"), 500, "Unexpected server-side error")
    service.get("/droplets")


def test_max_names(service: Service) -> None:
    set_traps(service, max_names=2)
    refused(service.call("POST", "/droplets", {**ORDER, "names": ["a", "b", "c"]}), 422, "names can have at most 2")
    assert service.created("a", "b")


def test_limit_halfway(service: Service) -> None:
    set_traps(service, limit_halfway=2)
    assert service.created("a", "b")
    refused(service.call("POST", "/droplets", {**ORDER, "names": ["c", "d", "e"]}), 422, "exceed your droplet limit")
    service.work.run()
    service.clock.now += 5
    assert service.names() == ["a", "b", "c", "d"]
    assert service.created("e", "f", "g")


def test_twins(service: Service) -> None:
    set_traps(service, twins=["b"])
    assert len(service.created("a", "b")) == 2
    assert service.names() == ["a", "b", "b"]
    assert len(service.created("b")) == 1
    assert service.names() == ["a", "b", "b", "b"]


def test_locked(service: Service) -> None:
    number, other = service.created("a", "b", tags=["x"])
    set_traps(service, locked=["a"])
    assert [droplet(service, one)["locked"] for one in (number, other)] == [True, False]
    for method, path, body in (
        ("DELETE", f"/droplets/{number}", None),
        ("DELETE", "/droplets?tag_name=x", None),
        ("POST", f"/droplets/{number}/actions", {"type": "reboot"}),
    ):
        refused(service.call(method, path, body), 422, "Droplet already has a pending event.")
    assert service.names() == ["a", "b"]
    set_traps(service, locked=[])
    assert service.call("DELETE", f"/droplets/{number}").status_code == 204


def test_a_droplet_is_locked_while_an_action_lasts(service: Service) -> None:
    (number,) = service.created("a")
    assert not droplet(service, number)["locked"]
    service.call("POST", f"/droplets/{number}/actions", {"type": "reboot"})
    assert droplet(service, number)["locked"]
    refused(service.call("DELETE", f"/droplets/{number}"), 422, "pending event")
    service.work.run()
    assert not droplet(service, number)["locked"]


def test_errored(service: Service) -> None:
    set_traps(service, errored=["b"])
    first, second = service.created("a", "b")
    for number, creation, status in ((first, "completed", "active"), (second, "errored", "new")):
        (action,) = service.get(f"/droplets/{number}/actions")["actions"]
        assert (action["type"], action["status"]) == ("create", creation)
        assert service.get(f"/actions/{action['id']}")["action"]["status"] == creation
        assert droplet(service, number)["status"] == status
    service.restart()
    service.work.run()
    assert droplet(service, second)["status"] == "new"
    assert service.call("DELETE", f"/droplets/{second}").status_code == 204


def test_any_action_ends_errored(service: Service) -> None:
    (number,) = service.created("a")
    set_traps(service, errored=["a"])
    action = service.call("POST", f"/droplets/{number}/actions", {"type": "reboot"}).json["action"]
    assert service.get(f"/actions/{action['id']}")["action"]["status"] == "errored"
    actions = service.get(f"/droplets/{number}/actions")["actions"]
    assert [one["type"] for one in actions] == ["reboot", "create"]
