# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each setting that HAProxy could not use is named, with what would be right."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.alphacoder.scaleout.plugins.filter.haproxy_problems import haproxy_problems
from haproxy_role import SERVERS, defaults

TLS = {"name": "site", "content": "-----BEGIN CERTIFICATE-----\n…\n-----BEGIN PRIVATE KEY-----\n…\n"}


def problems(**settings: Any) -> list[str]:
    return haproxy_problems({**defaults(), "haproxy_servers": SERVERS, **settings})


def backend(**keys: Any) -> dict[str, Any]:
    return {"haproxy_backends": [{"name": "api", **keys}]}


def frontend(**keys: Any) -> dict[str, Any]:
    return {"haproxy_frontends": [{"name": "extra", "bind": "*:81", **keys}]}


def test_defaults_with_a_server_are_right() -> None:
    assert problems() == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        # Algorithms
        (
            {"haproxy_balance": "roundrobbin"},
            "haproxy_balance is 'roundrobbin'; it must be one of roundrobin, static-rr,",
        ),
        ({"haproxy_balance": "hdr"}, "haproxy_balance is 'hdr'; it must be one of"),
        ({"haproxy_balance": "hdr()"}, "haproxy_balance is 'hdr()'"),
        ({"haproxy_balance": "url_param"}, "haproxy_balance is 'url_param'"),
        ({"haproxy_balance": "random(0)"}, "haproxy_balance is 'random(0)'"),
        ({"haproxy_balance": "leastconn now"}, "haproxy_balance is 'leastconn now'"),
        ({"haproxy_balance": 5}, "haproxy_balance is '5'"),
        (
            {"haproxy_balance": "uri", "haproxy_mode": "tcp"},
            "haproxy_balance is 'uri'; it must be an algorithm that needs no HTTP",
        ),
        (backend(balance="fastest"), "balance of api in haproxy_backends is 'fastest'"),
        # Cookies
        (
            {"haproxy_cookie": "SERVERID"},
            "haproxy_cookie is 'SERVERID'; it must be a name and one of insert, rewrite and prefix",
        ),
        ({"haproxy_cookie": "S insert rewrite"}, "haproxy_cookie is 'S insert rewrite'"),
        (
            {"haproxy_cookie": "S insert maxlife 8"},
            "maxlife of haproxy_cookie is '8'; it must be a number with its unit",
        ),
        ({"haproxy_cookie": "S insert maxidle"}, "maxidle of haproxy_cookie is ''"),
        (
            {"haproxy_cookie": "S insert", "haproxy_mode": "tcp"},
            "haproxy_cookie is 'S insert'; it must be empty, for the mode is tcp",
        ),
        # Checks
        (
            {"haproxy_httpchk": "/readyz"},
            "haproxy_httpchk is '/readyz'; it must be a method and a path, as 'GET /readyz'",
        ),
        (
            backend(httpchk="GET /", tcp_check="expect string x"),
            "tcp_check of api in haproxy_backends is 'expect string x'; it must be empty",
        ),
        # Times
        (
            {"haproxy_timeout_client": 30},
            "haproxy_timeout_client is 30; it must be a number with its unit (us, ms, s, m, h or d), as '30s'",
        ),
        ({"haproxy_timeout_server": "60 s"}, "haproxy_timeout_server is '60 s'"),
        ({"haproxy_timeout_tunnel": "25d"}, "haproxy_timeout_tunnel is '25d'; it must be a number with its unit"),
        ({"haproxy_hard_stop_after": "soon"}, "haproxy_hard_stop_after is 'soon'"),
        ({"haproxy_wait_for_server": "10"}, "haproxy_wait_for_server is '10'; it must be a number with its unit"),
        (backend(timeout={"server": 5}), "timeout of api in haproxy_backends: server is 5"),
        # Where it listens
        (
            {"haproxy_bind": "80"},
            "haproxy_bind is '80'; it must be an address and a port between 1 and 65535, as '*:80'",
        ),
        ({"haproxy_bind": "*:80000"}, "haproxy_bind is '*:80000'"),
        ({"haproxy_bind": ["*:80", 81]}, "haproxy_bind is 81; it must be text, or a list of texts"),
        (
            {"haproxy_bind": ["*:80", "*:80"]},
            "haproxy_bind is '*:80'; it must be an address that nothing else listens at (haproxy_bind does)",
        ),
        (
            frontend(bind="*:80"),
            "bind of extra in haproxy_frontends is '*:80'; it must be an address that nothing else",
        ),
        # References
        (
            {"haproxy_use_backend": "ap if { path_beg /api }"},
            "haproxy_use_backend is 'ap'; it must be the name of a backend (there is app)",
        ),
        (
            frontend(default_backend="nowhere"),
            "default_backend of extra in haproxy_frontends is 'nowhere'; it must be the name of a backend",
        ),
        (
            frontend(mode="tcp", default_backend="app"),
            "'app'; it must be a backend of mode tcp, like the frontend (its mode is http)",
        ),
        ({"haproxy_servers": []}, "haproxy_servers has no server; it must have at least one"),
        # Names
        (backend(name="my api"), "name in haproxy_backends is 'my api'; it must be of letters, digits and _ . : -"),
        (
            backend(name="app"),
            "name in haproxy_backends is 'app'; it must be another one, for public, stats, app are the role's own",
        ),
        (
            {**frontend(name="api"), **backend()},
            "name in haproxy_frontends and haproxy_backends is 'api'; it must be the name of one section",
        ),
        # Servers
        ({"haproxy_servers": [SERVERS[0], SERVERS[0]]}, "it must be without two servers of one name (app-1)"),
        (
            {"haproxy_servers": [{**SERVERS[0], "port": 0}]},
            "port of server app-1 in haproxy_servers is 0; it must be between 1 and 65535",
        ),
        (
            {"haproxy_servers": [{**SERVERS[0], "weight": 300}]},
            "weight of server app-1 in haproxy_servers is 300; it must be between 0 and 256",
        ),
        (
            {"haproxy_servers": [{**SERVERS[0], "address": "a b"}]},
            "address of server app-1 in haproxy_servers is 'a b'",
        ),
        ({"haproxy_servers": [{**SERVERS[0], "name": "a/b"}]}, "name of server a/b in haproxy_servers is 'a/b'"),
        ({"haproxy_servers": [{**SERVERS[0], "slowstart": 30}]}, "slowstart of server app-1 in haproxy_servers is 30"),
        (
            {"haproxy_servers": [{**SERVERS[0], "maxconn": -1}]},
            "maxconn of server app-1 in haproxy_servers is -1; it must be 0 or more",
        ),
        # Who may connect
        ({"haproxy_allow": ["10.0.0.0/33"]}, "haproxy_allow is '10.0.0.0/33'; it must be an address or a network"),
        ({"haproxy_deny": ["evil.example"]}, "haproxy_deny is 'evil.example'"),
        (
            {"haproxy_rate_limit": {"requests": 100}},
            "haproxy_rate_limit is {'requests': 100}; it must be {requests: a number above 0",
        ),
        ({"haproxy_rate_limit": {"requests": 0, "period": "1s"}}, "haproxy_rate_limit is"),
        ({"haproxy_rate_limit": {"requests": 5, "period": "1"}}, "haproxy_rate_limit is"),
        (
            {"haproxy_rate_limit": {"requests": 5, "period": "1s"}, "haproxy_mode": "tcp"},
            "it must be empty, for the mode is tcp",
        ),
        (
            frontend(rate_limit={"requests": 5, "period": "1s"}, stick_table="type ip size 1k"),
            "stick_table of extra in haproxy_frontends",
        ),
        # Lines
        (
            {"haproxy_http_request": "allow if { path /open }"},
            "haproxy_http_request is 'allow if { path /open }'; it must be a line that does not end the rules",
        ),
        (
            {"haproxy_http_request": "deny\nuser root"},
            "haproxy_http_request is 'deny\\nuser root'; it must be one line",
        ),
        (
            {"haproxy_global_extra": [{"nbthread": 2}]},
            "haproxy_global_extra is {'nbthread': 2}; it must be text, or a list of texts",
        ),
        (
            {"haproxy_default_server": "inter 2s\nserver x"},
            "haproxy_default_server is 'inter 2s\\nserver x'; it must be one line",
        ),
        ({"haproxy_stick": "on src"}, "haproxy_stick_table is ''; it must be a table for the lines of stick"),
        # Pages, certificates, statistics
        (
            {"haproxy_error_pages": {"418": "tea.html"}},
            "status in haproxy_error_pages is '418'; it must be one of 200, 400,",
        ),
        (
            {"haproxy_certificates": [{**TLS, "name": "../x"}]},
            "certificate ../x of haproxy_certificates must have a name of",
        ),
        (
            {"haproxy_certificates": [{"name": "site"}]},
            "certificate site of haproxy_certificates must have one of content and src",
        ),
        (
            {"haproxy_certificates": [{**TLS, "content": "-----BEGIN CERTIFICATE-----"}]},
            "must have a certificate and its private key",
        ),
        (
            {"haproxy_certificates": [TLS, TLS]},
            "haproxy_certificates must not have two certificates of one name (site)",
        ),
        (
            {"haproxy_stats_bind": "*:8404"},
            "haproxy_stats_password must have at least 12 characters where haproxy_stats_bind is set",
        ),
        (
            {"haproxy_stats_bind": "*:80", "haproxy_stats_password": "x" * 12},
            "haproxy_stats_bind is '*:80'; it must be an address that nothing",
        ),
        (
            {"haproxy_stats_bind": "*:8404", "haproxy_stats_password": "x" * 12, "haproxy_stats_user": "a:b"},
            "haproxy_stats_user is 'a:b'",
        ),
        # The process
        ({"haproxy_maxconn": -1}, "haproxy_maxconn is -1; it must be 0 or more"),
        ({"haproxy_log_days": "0"}, "haproxy_log_days is '0'; it must be 1 or more"),
    ],
)
def test_problem_is_named_with_what_would_be_right(settings: dict[str, Any], says: str) -> None:
    found = problems(**settings)

    assert len(found) == 1, found
    assert says in found[0]


def test_every_problem_is_named_at_once() -> None:
    found = problems(haproxy_balance="x", haproxy_httpchk="y", haproxy_timeout_queue=1)

    assert sorted(problem.split()[0] for problem in found) == [
        "haproxy_balance",
        "haproxy_httpchk",
        "haproxy_timeout_queue",
    ]


def test_keys_and_passwords_are_in_no_problem() -> None:
    certificate = {"name": "site", "content": "MIIEvQ-my-key"}
    found = problems(haproxy_certificates=[certificate], haproxy_stats_bind="*:1", haproxy_stats_password="my-pass")

    assert len(found) == 2
    assert "my-" not in " ".join(found)
