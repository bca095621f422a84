# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each setting that HAProxy would misunderstand, or report badly, is named with what would be right."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_haproxy import haproxy_problems
from haproxy_role import SERVERS, defaults, place, refusal, render
from support.programs import haproxy_version

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
        # What a tcp balancer can't do
        (
            {"haproxy_balance": "uri", "haproxy_mode": "tcp"},
            "haproxy_balance is 'uri'; it must be an algorithm that needs no HTTP request, such as 'leastconn'",
        ),
        (
            {"haproxy_cookie": "S insert", "haproxy_mode": "tcp"},
            "haproxy_cookie is 'S insert'; it must be empty, for mode tcp knows no requests",
        ),
        (
            {"haproxy_rate_limit": {"requests": 5, "period": "1s"}, "haproxy_mode": "tcp"},
            "it must be empty, for mode tcp",
        ),
        (backend(mode="tcp", maintenance=True), "maintenance of api in haproxy_backends is True; it must be empty"),
        (
            frontend(mode="tcp", redirect="prefix https://example.org"),
            "redirect of extra in haproxy_frontends is 'prefix https://example.org'; it must be empty",
        ),
        # Stickiness and checks
        (
            {"haproxy_cookie": "SERVERID"},
            "haproxy_cookie is 'SERVERID'; it must be a name and one of insert, rewrite and prefix",
        ),
        (
            backend(httpchk="GET /", tcp_check="expect string x"),
            "tcp_check of api in haproxy_backends is 'expect string x'; it must be empty",
        ),
        # Times
        (
            {"haproxy_timeout_client": 30},
            "haproxy_timeout_client is 30; it must be a number with its unit (us, ms, s, m, h or d), such as '30s'",
        ),
        ({"haproxy_timeout_server": "60 s"}, "haproxy_timeout_server is '60 s'"),
        ({"haproxy_hard_stop_after": "soon"}, "haproxy_hard_stop_after is 'soon'"),
        ({"haproxy_wait_for_server": "10"}, "haproxy_wait_for_server is '10'; it must be a number with its unit"),
        (backend(timeout={"server": 5}), "timeout of api in haproxy_backends: server is 5"),
        ({"haproxy_servers": [{**SERVERS[0], "slowstart": 30}]}, "slowstart of server app-1 in haproxy_servers is 30"),
        # Where it listens
        (
            {"haproxy_bind": ["*:80", "*:80"]},
            "haproxy_bind is '*:80'; it must be an address that nothing else listens at (haproxy_bind does)",
        ),
        (
            frontend(bind="*:80"),
            "bind of extra in haproxy_frontends is '*:80'; it must be an address that nothing else",
        ),
        (
            {"haproxy_stats_bind": "*:80", "haproxy_stats_password": "x" * 12},
            "haproxy_stats_bind is '*:80'; it must be an address that nothing",
        ),
        (
            {"haproxy_frontends": [{"name": "api", "bind": "*:81"}], "haproxy_backends": [{"name": "api"}]},
            "name in haproxy_backends is 'api'; it must be another one, for a frontend has it",
        ),
        (frontend(name="app"), "name in haproxy_frontends is 'app'; it must be another one, for a backend has it"),
        (backend(name="public"), "name in haproxy_backends is 'public'; it must be another one, for a frontend has it"),
        # Addresses
        (
            {"haproxy_trusted_proxies": ["everyone"]},
            "haproxy_trusted_proxies is 'everyone'; it must be an address or a network, such as '192.0.2.0/24'; for",
        ),
        ({"haproxy_allow": ["10.0.0.300"]}, "haproxy_allow is '10.0.0.300'; it must be an address or a network"),
        ({"haproxy_deny": ["10.0.0.1 10.0.0.0/33"]}, "haproxy_deny is '10.0.0.0/33'; it must be an address"),
        (frontend(allow=["all"]), "allow of extra in haproxy_frontends is 'all'; it must be an address or a network"),
        # Slips of the pen
        ({"haproxy_balance": "leastcon"}, "haproxy_balance is 'leastcon'; it must be an algorithm of HAProxy; did you"),
        (backend(balance="ur depth 2"), "balance of api in haproxy_backends is 'ur depth 2'; it must be"),
        (
            {"haproxy_default_server": "intr 3s fall 2"},
            "it must be words of a server line; intr is none, did you mean inter?",
        ),
        (
            backend(servers=[{**SERVERS[0], "options": "weigth 5"}]),
            "options of server app-1 in servers of api in haproxy_backends is 'weigth 5'; it must be words of a server",
        ),
        # Timeouts
        (
            frontend(timeout={"tunnel": "1h"}),
            "timeout of extra in haproxy_frontends: tunnel has no effect there, for it is of a backend; move it to one",
        ),
        (
            backend(timeout={"client-fin": "1s"}),
            "timeout of api in haproxy_backends: client-fin has no effect there, for it is of a frontend",
        ),
        (
            frontend(mode="tcp", timeout={"client": "1h"}),
            "timeout of extra in haproxy_frontends: client has no effect in mode tcp; set tunnel in timeout of the",
        ),
        (backend(mode="tcp", timeout={"server": "1h", "tunnel": "1h"}), "server has no effect in mode tcp; set tunnel"),
        (
            {"haproxy_mode": "tcp", "haproxy_timeout_client": "1h"},
            "haproxy_timeout_client has no effect, for all is in mode tcp; set haproxy_timeout_tunnel instead",
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
        ({"haproxy_servers": []}, "haproxy_servers has no server; it must have at least one"),
        # Names
        (backend(name="my api"), "name in haproxy_backends is 'my api'; it must be of letters, digits and _ . : -"),
        (
            backend(name="app"),
            "name in haproxy_backends is 'app'; it must be another one, for the role itself makes app",
        ),
        (
            {"haproxy_backends": [{"name": "api"}, {"name": "api"}]},
            "haproxy_backends must not have two sections of one name (api)",
        ),
        (
            {"haproxy_balanace": "first"},
            "haproxy_balanace is no variable of role haproxy; did you mean haproxy_balance?",
        ),
        # What would be in no line
        (
            {"haproxy_bind": "", "haproxy_acl": "api path_beg /api"},
            "haproxy_acl has no effect, because haproxy_bind is empty; set that, or remove haproxy_acl",
        ),
        (
            {"haproxy_stats_password": "x" * 12},
            "haproxy_stats_password has no effect, because haproxy_stats_bind is empty",
        ),
        (
            {"haproxy_mode": "tcp", "haproxy_trusted_proxies": ["192.0.2.1"]},
            "haproxy_trusted_proxies is ['192.0.2.1']; it must be empty, for no frontend has mode http",
        ),
        (backend(mode="tcp", retry_on="503"), "retry_on of api in haproxy_backends is '503'; it must be empty"),
        (backend(http_check="expect status 200", tcp_check="connect"), "it must be empty, for http_check is set"),
        # Who may connect
        (
            {"haproxy_rate_limit": {"requests": 100}},
            "haproxy_rate_limit is {'requests': 100}; it must be {requests: a number above 0",
        ),
        ({"haproxy_rate_limit": {"requests": 0, "period": "1s"}}, "haproxy_rate_limit is"),
        (
            {
                "haproxy_frontends": [
                    {
                        "name": "more",
                        "bind": "*:81",
                        "rate_limit": {"requests": 5, "period": "1s"},
                        "stick_table": "type ip size 1m store gpc0",
                    }
                ]
            },
            "stick_table of more in haproxy_frontends is 'type ip size 1m store gpc0'; it must be empty",
        ),
        ({"haproxy_rate_limit": {"requests": 5, "period": "1"}}, "haproxy_rate_limit is"),
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
            {"haproxy_default_server": "inter 2s\nserver x"},
            "haproxy_default_server is 'inter 2s\\nserver x'; it must be one line",
        ),
        (backend(acl=["a src 192.0.2.1\nbalance first"]), "acl of haproxy_backends is 'a src 192.0.2.1"),
        # Certificates, statistics
        (
            {"haproxy_certificates": [{**TLS, "name": "../x"}]},
            "certificate ../x of haproxy_certificates must have a name of",
        ),
        (
            {"haproxy_certificates": [{"name": "site"}]},
            "certificate site of haproxy_certificates must have one of content and src",
        ),
        (
            {"haproxy_certificates": [TLS, TLS]},
            "haproxy_certificates must not have two certificates of one name (site)",
        ),
        # Other files
        (
            {"haproxy_files": [{"name": "../x", "content": ""}]},
            "file ../x of haproxy_files must have a name of letters, digits and _ . -, such as hosts.map or",
        ),
        (
            {"haproxy_files": [{"name": "/etc/x", "content": ""}]},
            "file /etc/x of haproxy_files must have a name of letters",
        ),
        ({"haproxy_files": [{"name": "a"}]}, "file a of haproxy_files must have one of content and src"),
        (
            {"haproxy_files": [{"name": "a", "content": "", "src": "b"}]},
            "file a of haproxy_files must have one of content and src",
        ),
        (
            {"haproxy_files": [{"name": "a", "src": "b"}, {"name": "a", "src": "c"}]},
            "haproxy_files must not have two files of one name (a)",
        ),
        (
            {"haproxy_files": [{"name": "maps", "src": "b"}, {"name": "maps/a", "src": "c"}]},
            "file maps of haproxy_files must have another name, for that is the folder of another file",
        ),
        (
            {"haproxy_stats_bind": "*:8404"},
            "haproxy_stats_password must have at least 12 characters if haproxy_stats_bind is set",
        ),
        (
            {"haproxy_stats_bind": "*:8404", "haproxy_stats_password": "x" * 12, "haproxy_stats_user": "a:b"},
            "haproxy_stats_user is 'a:b'",
        ),
        (
            backend(mode="tcp", servers=[{**SERVERS[0], "cookie": "a"}]),
            "cookie of server app-1 in servers of api in haproxy_backends is 'a'; it must be empty, for mode tcp",
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


@pytest.mark.parametrize(
    "settings",
    [
        # Whose backend is known when HAProxy has the request
        {"haproxy_use_backend": "%[req.hdr(X-Backend)]"},
        # Sections of the user's own, also pasted as one text
        {"haproxy_use_backend": "own if TRUE", "haproxy_extra": "backend own\n    server one 192.0.2.9:80\n"},
        {"haproxy_servers": [], "haproxy_extra": "backend app\n    server one 192.0.2.9:80\n"},
        # Names of what the role does not make here
        {"haproxy_frontends": [{"name": "stats", "bind": "*:81"}]},
        {"haproxy_bind": "", "haproxy_frontends": [{"name": "public", "bind": "*:81", "default_backend": "app"}]},
        {"haproxy_bind": "", "haproxy_servers": [], "haproxy_backends": [{"name": "app", "servers": SERVERS}]},
        # Peers by the names of the inventory
        {"haproxy_extra": "peers lbs\n    peer lb-1 192.0.2.1:10000\n    peer lb-2 192.0.2.2:10000\n"},
        {
            "haproxy_global_extra": "localpeer one",
            "haproxy_extra": "peers lbs\n    peer one 192.0.2.1:10000\n",
            "haproxy_stick_table": "type ip size 1m peers lbs",
        },
        # Checks
        {"haproxy_httpchk": "/healthz"},
        {"haproxy_http_check": ["send meth HEAD uri /readyz", "expect status 200"]},
        # Where servers and listeners are
        {"haproxy_servers": [{"name": "app-1", "address": "/run/app.sock"}]},
        {"haproxy_servers": [{"name": "app-1", "address": "unix@/run/app.sock"}]},
        {"haproxy_bind": ["192.0.2.1:80 interface eth0", "192.0.2.1:80 interface eth1"]},
        {"haproxy_bind": "/run/public.sock mode 660"},
        # Addresses of all kinds, and a file of them
        {"haproxy_allow": ["10/8", "10.0.0.0/255.0.0.0", "192.0.2.1 ::/0", "localhost"]},
        {"haproxy_deny": ["-f /dev/null"]},
        # Words with a value that is like one of them
        {"haproxy_default_server": "check inter 2s source 192.0.2.1 agent-inter 1s error-limit 9"},
        {"haproxy_balance": "hdr(Host)"},
        {"haproxy_balance": "url_param userid check_post"},
        # Timeouts of what comes before the tunnel, or instead of it
        {"haproxy_frontends": [{"name": "x", "bind": "*:81 accept-proxy", "mode": "tcp", "timeout": {"client": "5s"}}]},
        {"haproxy_backends": [{"name": "x", "mode": "tcp", "timeout": {"server": "5s", "tunnel": 0}}]},
        {"haproxy_mode": "tcp", "haproxy_timeout_client": "5s", "haproxy_timeout_tunnel": "0"},
        # No limit
        {"haproxy_timeout_tunnel": 0},
        {"haproxy_backends": [{"name": "api", "timeout": {"server": "0"}}]},
        {"haproxy_cookie": "SRV insert dynamic", "haproxy_backend_extra": "dynamic-cookie-key secret"},
    ],
)
def test_what_haproxy_takes_is_no_problem(haproxy_program: str, etc: Path, settings: dict[str, Any]) -> None:
    assert problems(**settings) == []
    assert refusal(haproxy_program, render(**settings), etc) == ""


def test_no_keyword_of_haproxy_is_a_slip_of_the_pen(haproxy_program: str, etc: Path) -> None:
    """What HAProxy itself says that a server line may have."""
    file = place(render(), etc)
    said = subprocess.run([haproxy_program, "-dKall", "-c", "-f", file], capture_output=True, text=True).stdout
    keywords = re.findall(r"server <name> <addr> (\S+)", said)
    if haproxy_version(haproxy_program) < (2, 6):
        pytest.skip("HAProxy lists its keywords from 2.6 on")

    assert "inter" in keywords
    assert problems(haproxy_default_server=" ".join(keywords)) == []


def test_page_that_does_not_fit_into_haproxys_buffer_is_named() -> None:
    assert haproxy_problems(
        defaults() | {"haproxy_servers": SERVERS}, {"sorry.html": "x" * 15000, "503.html": "x"}
    ) == ["sorry.html must have less than 15,000 bytes, for HAProxy sends a page from its buffer of 16 KiB"]


def test_every_problem_is_named_at_once() -> None:
    found = problems(haproxy_cookie="x", haproxy_log_days=0, haproxy_timeout_queue=1)

    assert sorted(problem.split()[0] for problem in found) == [
        "haproxy_cookie",
        "haproxy_log_days",
        "haproxy_timeout_queue",
    ]


def test_keys_and_passwords_are_in_no_problem() -> None:
    certificate = {"name": "site", "content": "MIIEvQ-my-key", "src": "my-file"}
    found = problems(haproxy_certificates=[certificate], haproxy_stats_bind="*:1", haproxy_stats_password="my-pass")

    assert len(found) == 2
    assert "my-" not in " ".join(found)
