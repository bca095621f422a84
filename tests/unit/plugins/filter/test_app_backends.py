# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What HAProxy gets of several apps on the same hosts."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.alphacoder.scaleout.plugins.filter.app_backends import app_backends

HOSTS: list[dict[str, Any]] = [
    {"inventory_hostname": "app-1", "private_address": "10.0.0.1"},
    {"inventory_hostname": "app-2", "private_address": "10.0.0.2", "scaleout_haproxy_server": {"weight": 50}},
]
NOT_FOUND = {"name": "not-found", "http_request": "deny deny_status 404", "retry_on": "none"}


def host(name: str) -> str:
    return f"{{ req.hdr(host),field(1,:) -m str -i {name} }}"


def below(name: str) -> str:
    return f"{{ req.hdr(host),field(1,:) -m end -i {name} }}"


def path(name: str) -> str:
    return f"{{ path,concat(/) -m beg {name}/ }}"


@pytest.mark.parametrize(
    ("apps", "lines", "default"),
    [
        ({}, [], "app"),
        ({"shop": {}}, [], "shop"),
        # All that is not blog's
        ({"shop": {}, "blog": {"paths": ["/blog"]}}, [f"blog if {path('/blog')}"], "shop"),
        ({"blog": {"paths": ["/blog/"]}}, [f"blog if {path('/blog')}"], "not-found"),
        ({"shop": {"hosts": ["Shop.Example.org"]}}, [f"shop if {host('shop.example.org')}"], "not-found"),
        ({"shop": {"hosts": [], "paths": ["/"]}}, [], "shop"),
        (
            {"shop": {"hosts": ["a", "b"], "paths": ["/x", "/y"]}},
            [f"shop if {host(one)} {path(two)}" for one in "ab" for two in ("/x", "/y")],
            "not-found",
        ),
        # The longer path first, on the same host
        (
            {
                "shop": {"hosts": ["a"]},
                "blog": {"hosts": ["a"], "paths": ["/b"]},
                "x": {"hosts": ["a"], "paths": ["/b/x"]},
            },
            [f"x if {host('a')} {path('/b/x')}", f"blog if {host('a')} {path('/b')}", f"shop if {host('a')}"],
            "not-found",
        ),
        # A host, then the longer wildcard, then the shorter one, then any host
        (
            {
                "any": {"paths": ["/long/path"]},
                "all": {"hosts": ["*.org"]},
                "ours": {"hosts": ["*.example.org"]},
                "shop": {"hosts": ["shop.example.org"]},
            },
            [
                f"shop if {host('shop.example.org')}",
                f"ours if {below('.example.org')}",
                f"all if {below('.org')}",
                f"any if {path('/long/path')}",
            ],
            "not-found",
        ),
    ],
)
def test_the_more_specific_is_asked_first(apps: dict[str, Any], lines: list[str], default: str) -> None:
    with_ports = {name: {"port": 8000 + 10 * number, **app} for number, (name, app) in enumerate(apps.items())}
    found = app_backends(HOSTS, with_ports)

    assert (found["use_backend"], found["default_backend"]) == (lines, default)
    assert [backend["name"] for backend in found["backends"]] == [
        *apps,
        *(["not-found"] if default == "not-found" else []),
    ]


def test_backends_have_the_servers_at_the_app_s_port_and_its_health() -> None:
    health = {"path": "/up", "headers": {"Host": "blog.example.org"}, "status": "200-399", "timeout": 2}
    more = {"balance": "leastconn", "timeout": {"server": "120s"}}
    found = app_backends(
        HOSTS, {"shop": {"port": 8000}, "blog": {"port": "8010", "hosts": ["b"], "health": health, "backend": more}}
    )

    shop, blog = found["backends"]
    assert shop["servers"] == [
        {"name": "app-1", "address": "10.0.0.1", "port": 8000},
        {"name": "app-2", "address": "10.0.0.2", "port": 8000, "weight": 50},
    ]
    assert [server["port"] for server in blog["servers"]] == [8010, 8010]
    assert (shop["httpchk"], shop["http_check"], shop["timeout"]) == ("", [], {"check": "5s"})
    assert (blog["httpchk"], blog["balance"]) == ("GET /up HTTP/1.1", "leastconn")
    assert blog["http_check"] == ["send hdr Host blog.example.org", "expect status 200-399"]
    assert blog["timeout"] == {"check": "2s", "server": "120s"}


def test_maintenance_is_that_of_all_apps_or_of_one() -> None:
    apps = {"shop": {"port": 8000}, "blog": {"port": 8010, "paths": ["/blog"], "backend": {"maintenance": True}}}

    assert [one["maintenance"] for one in app_backends(HOSTS, apps)["backends"]] == [False, True]
    assert [one["maintenance"] for one in app_backends(HOSTS, apps, True)["backends"]] == [True, True]
    # Nobody is told to come back for what will not be there then, either
    assert app_backends(HOSTS, {"blog": apps["blog"]}, True)["backends"][1] == NOT_FOUND
