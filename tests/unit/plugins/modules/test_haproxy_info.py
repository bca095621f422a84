# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest
import yaml
from ansible.module_utils import basic
from ansible_collections.alphacoder.scaleout.plugins.modules import haproxy_info
from haproxy_servers import RealHaproxy
from support.programs import haproxy_version

KEYS = {"changed", "process", "frontends", "backends", "servers"}
TYPES = {"str": str, "int": int, "bool": bool, "dict": dict, "list": list}


@pytest.fixture
def info(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> t.Callable[..., dict[str, t.Any]]:
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)

    def run(**options: t.Any) -> dict[str, t.Any]:
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": options}).encode())
        with pytest.raises(SystemExit):
            haproxy_info.main()
        result = t.cast("dict[str, t.Any]", json.loads(capsys.readouterr().out))
        assert set(result) >= KEYS
        return result

    return run


def misfits(documented: dict[str, t.Any], value: dict[str, t.Any], where: str = "") -> list[str]:
    """Where a value differs from its documentation in its keys or its types; none fits everywhere."""
    found = [f"{where}{key}" for key in documented.keys() ^ value.keys()]
    for key in documented.keys() & value.keys():
        one, kind = value[key], documented[key]["type"]
        if one is None:
            continue
        if not isinstance(one, TYPES[kind]) or (kind == "int" and isinstance(one, bool)):
            found.append(f"{where}{key}: {one!r}")
        elif "contains" in documented[key]:
            for each in one if isinstance(one, list) else [one]:
                found += misfits(documented[key]["contains"], each, f"{where}{key}.")
    return found


def test_is_as_documented(haproxy: RealHaproxy, info: t.Callable[..., dict[str, t.Any]]) -> None:
    result = info(socket=haproxy.socket)
    documented = yaml.safe_load(haproxy_info.RETURN)
    assert misfits(documented, {key: result[key] for key in documented}) == []


def test_what_it_sees(haproxy: RealHaproxy, info: t.Callable[..., dict[str, t.Any]]) -> None:
    haproxy.hold("app-1")
    result = info(socket=haproxy.socket)
    assert not result["changed"]
    process = result["process"]
    assert tuple(int(part) for part in process["version"].split(".")[:2]) == haproxy_version(haproxy.program)
    assert process["pid"] == haproxy.processes[0].pid
    assert not process["stopping"]
    [frontend] = result["frontends"]
    assert (frontend["name"], frontend["status"], frontend["sessions"]["current"]) == ("web", "OPEN", 1)
    assert [(one["name"], one["status"], one["balance"]) for one in result["backends"]] == [
        ("app", "UP", "roundrobin"),
        ("plain", "UP", "static-rr"),
        # HAProxy 3.4 has no word for it where there is no server
        ("empty", "UP", "unknown" if haproxy_version(haproxy.program) >= (3, 3) else "roundrobin"),
    ]
    assert result["backends"][0]["active_servers"] == 2
    assert [(one["backend"], one["name"], one["state"], one["status"], one["weight"]) for one in result["servers"]] == [
        ("app", "app-1", "ready", "UP", 100),
        ("app", "app-2", "ready", "UP", 100),
        ("app", "follower", "ready", "UP", 0),
        ("plain", "unchecked", "ready", "no check", 10),
        ("plain", "off", "maint", "MAINT", 1),
    ]
    first, _, follower, unchecked, _ = result["servers"]
    assert first["address"] == f"127.0.0.1:{haproxy.apps[0].port}"
    assert first["cookie"] == "app-1"
    assert first["sessions"]["current"] == 1
    assert first["check"]["status"] == "L7OK"
    # None while the next check runs, from HAProxy 3.2 on
    assert first["check"]["code"] in (200, None)
    assert first["stats"]["scur"] == 1
    assert follower["track"] == "app/app-1"
    assert unchecked["check"] is unchecked["agent"] is None


def test_one_backend(haproxy: RealHaproxy, info: t.Callable[..., dict[str, t.Any]]) -> None:
    result = info(socket=haproxy.socket, backend="plain")
    assert [one["name"] for one in result["backends"]] == ["plain"]
    assert [one["name"] for one in result["servers"]] == ["unchecked", "off"]
    assert [one["name"] for one in result["frontends"]] == ["web"]
    assert info(socket=haproxy.socket, backend="empty")["servers"] == []


def test_over_tcp_and_at_a_low_level(haproxy: RealHaproxy, info: t.Callable[..., dict[str, t.Any]]) -> None:
    assert len(info(socket=f"127.0.0.1:{haproxy.port}")["servers"]) == 5
    low = info(socket=str(haproxy.here / "user"))["servers"][0]
    assert (low["state"], low["address"], low["cookie"]) == ("ready", None, None)


def test_an_unknown_backend(haproxy: RealHaproxy, info: t.Callable[..., dict[str, t.Any]]) -> None:
    result = info(socket=haproxy.socket, backend="web")
    assert result["failed"]
    assert result["msg"] == "HAProxy has no backend web. It has: app, empty, plain."


def test_no_socket(info: t.Callable[..., dict[str, t.Any]]) -> None:
    result = info(socket="/no/such/socket")
    assert result["failed"]
    assert result["msg"].startswith("There is no socket /no/such/socket on this host: ")
    assert result["process"] == {}
