# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The haproxy.cfg that the role makes: what is in it, how it reads, and that HAProxy takes it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_haproxy import haproxy_problems
from haproxy_role import ROLE, SERVERS, defaults, refusal, render, section
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.programs import haproxy_version

# A red run has to be the change's doing; outside of CI each run tries others
# No shrinking: a run of HAProxy for each step takes minutes, and the variables of a failure are readable as they are
settings.register_profile(
    "found",
    max_examples=150,
    deadline=None,
    derandomize="CI" in os.environ,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


def test_common_case_reads_like_written_by_hand() -> None:
    text = render(haproxy_httpchk="GET /readyz", haproxy_cookie="SERVERID insert indirect nocache httponly")

    assert section(text, "backend app") == [
        "balance roundrobin",
        "cookie SERVERID insert indirect nocache httponly",
        "option httpchk GET /readyz",
        "http-check expect status 200",
        "http-reuse safe",
        "retry-on conn-failure empty-response",
        "# A request that may have changed something is not sent twice",
        "http-request disable-l7-retry unless METH_GET",
        "# Half of all connections at most: a backend whose servers are gone leaves others theirs",
        ".if version_atleast(3.2.20)",
        *["http-request pause 1000ms if { nbsrv eq 0 } { be_conn le 5120 }"] * 10,
        ".else",
        "http-request lua.wait_for_server 10s if { nbsrv eq 0 } { be_conn le 5120 }",
        ".endif",
        "default-server check inter 2s fastinter 1s downinter 1s fall 3 rise 2 weight 100",
        "# Down until it has passed its checks, as after a boot",
        ".if version_atleast(3.2.20)",
        "default-server init-state fully-down",
        ".endif",
        "server app-1 192.0.2.1:8000 cookie app-1",
        "server app-2 192.0.2.2:8000 cookie app-2",
    ]
    assert [line for line in text.splitlines() if line and not line.startswith(("#", " "))] == [
        "global",
        "defaults",
        "frontend public",
        "backend app",
    ]


def test_version_that_is_too_old_is_named_before_it_refuses_a_line() -> None:
    # HAProxy ends at an alert
    lines = section(render(), "global")[:3]

    assert lines[0] == ".if version_before(2.4.14)"
    assert lines[1].startswith('.alert "This file is for HAProxy 2.4.14')
    assert lines[2] == ".endif"


def test_file_has_no_needless_white_space() -> None:
    text = render(
        haproxy_httpchk="GET /readyz",
        haproxy_rate_limit={"requests": 1, "period": "1s"},
        haproxy_backends=[{"name": "other"}],
        haproxy_extra=["userlist people", "    user me insecure-password secret"],
    )
    lines = text.splitlines()

    assert [line for line in lines if line != line.rstrip()] == []
    # One empty line before each section, and nowhere else
    starts = [number for number, line in enumerate(lines) if line and line[0].isalpha()]
    assert [number for number, line in enumerate(lines) if not line] == [number - 1 for number in starts]
    assert text.endswith("    user me insecure-password secret\n")


def test_request_id_is_logged_after_a_path_of_any_length() -> None:
    # HAProxy cuts a line at 1024 bytes unless told otherwise, and logs a path of up to that length, the id after it
    assert "log /dev/log len 4096 local0" in section(render(), "global")


def test_request_id_can_be_turned_off() -> None:
    text = render(haproxy_unique_id_format="")

    assert "unique-id" not in text
    assert "X-Request-ID" not in text


@pytest.mark.parametrize(("bind", "layer"), [("*:80", "connection"), ("*:80 accept-proxy", "session")])
def test_addresses_of_a_proxy_header_are_the_ones_that_are_allowed(bind: str, layer: str) -> None:
    text = render(haproxy_bind=bind, haproxy_allow=["192.0.2.0/24"], haproxy_deny=["192.0.2.7"])

    assert [line for line in section(text, "frontend public") if "haproxy_" in line] == [
        "acl haproxy_deny src 192.0.2.7",
        "acl haproxy_allow src 192.0.2.0/24",
        f"tcp-request {layer} reject if haproxy_deny",
        f"tcp-request {layer} reject unless haproxy_allow",
    ]


def test_maxconn_fits_the_machine() -> None:
    assert "maxconn 10240" in section(render(), "global")
    assert "maxconn 77" in section(render(haproxy_maxconn="77"), "global")


def test_tcp_mode_has_nothing_of_http() -> None:
    text = render(haproxy_mode="tcp", haproxy_bind="*:5432", haproxy_balance="leastconn")

    assert section(text, "frontend public") == ["bind *:5432", "option tcplog", "default_backend app"]
    assert section(text, "backend app")[:2] == [
        "balance leastconn",
        "default-server check inter 2s fastinter 1s downinter 1s fall 3 rise 2 weight 100",
    ]


def test_each_section_takes_lines_that_no_variable_is_for() -> None:
    text = render(
        haproxy_global_extra="tune.bufsize 32768",
        haproxy_defaults_extra="option tcpka",
        haproxy_frontend_extra="monitor-uri /lb",
        haproxy_backend_extra=["compression algo gzip", "compression type text/html"],
    )

    assert section(text, "global")[-1] == "tune.bufsize 32768"
    assert section(text, "defaults")[-1] == "option tcpka"
    assert section(text, "frontend public")[-1] == "monitor-uri /lb"
    lines = section(text, "backend app")
    at = lines.index("compression algo gzip")
    assert lines[at + 1] == "compression type text/html"
    assert lines[at - 1].startswith("default-server check")


def test_block_is_taken_as_it_was_pasted() -> None:
    block = "tune.bufsize 32768\n\n  # More\n  tune.maxrewrite 2048\n"
    text = render(haproxy_global_extra=block, haproxy_backend_extra=block, haproxy_extra=f"ring own\n  {block}")
    lines = ["tune.bufsize 32768", "# More", "tune.maxrewrite 2048"]

    assert section(text, "global")[-3:] == lines
    backend = section(text, "backend app")
    at = backend.index(lines[0])
    assert backend[at : at + 3] == lines
    assert section(text, "ring own") == lines


# Each is the name of an ACL of the same section
CONDITIONAL = {
    "haproxy_frontends": {
        "tcp_request": "connection reject if {}",
        "http_request": "set-header X-Own yes if {}",
        "http_response": "set-header X-Own yes if {}",
        "http_after_response": "set-header X-Own yes if {}",
        "redirect": "prefix https://example.org if {}",
        "use_backend": "app if {}",
        "extra": "http-after-response set-header X-Extra yes if {}",
    },
    "haproxy_backends": {
        "stick": "on src if {}",
        "http_request": "set-header X-Own yes if {}",
        "http_response": "set-header X-Own yes if {}",
        "use_server": "app-1 if {}",
        "extra": "force-persist if {}",
    },
}


@pytest.mark.parametrize(
    ("variable", "key"), [(variable, key) for variable, keys in CONDITIONAL.items() for key in keys]
)
def test_condition_may_name_an_acl(haproxy_program: str, etc: Path, variable: str, key: str) -> None:
    section = {
        "haproxy_frontends": {"bind": "*:81", "default_backend": "app"},
        "haproxy_backends": {"servers": SERVERS, "stick_table": "type ip size 1k"},
    }[variable]
    text = CONDITIONAL[variable][key].format("bad")

    assert (
        refusal(
            haproxy_program,
            render(**{variable: [{"name": "own", "acl": "bad src 192.0.2.9", key: text, **section}]}),
            etc,
        )
        == ""
    )


def test_every_key_whose_manual_has_a_condition_is_tested_with_one() -> None:
    options = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    for variable, tested in CONDITIONAL.items():
        # The others of more than one line, which take none
        without = {"acl", "bind", "option", "http_check", "tcp_check"}
        raw = {key for key, option in options[variable]["options"].items() if option["type"] == "raw"}
        assert raw - without == set(tested)


@pytest.mark.parametrize("network", ["192.0.2.{}", "2001:db8:1111:2222:3333:4444:5555:{:x}/128"])
def test_list_of_addresses_may_be_of_any_length(haproxy_program: str, etc: Path, network: str) -> None:
    networks = [network.format(number) for number in range(250)] * 4
    own = {"name": "own", "bind": "*:81", "allow": networks, "deny": networks, "default_backend": "app"}
    text = render(
        haproxy_allow=networks, haproxy_deny=networks, haproxy_trusted_proxies=networks, haproxy_frontends=[own]
    )

    assert refusal(haproxy_program, text, etc) == ""
    assert text.count(networks[-1] + "\n") == 6


def test_value_of_a_dynamic_cookie_is_haproxys_own(haproxy_program: str, etc: Path) -> None:
    text = render(
        haproxy_cookie="SRV insert indirect nocache dynamic",
        haproxy_backend_extra="dynamic-cookie-key a-secret",
        haproxy_servers=[SERVERS[0], {**SERVERS[1], "cookie": "mine"}],
    )

    assert section(text, "backend app")[-2:] == [
        "server app-1 192.0.2.1:8000",
        "server app-2 192.0.2.2:8000 cookie mine",
    ]
    assert refusal(haproxy_program, text, etc) == ""


@pytest.mark.parametrize(("retry_on", "kept_for_get_only"), [("conn-failure", 0), ("none", 0), ("conn-failure 503", 1)])
def test_rule_for_get_only_is_there_where_requests_would_be_sent_again(retry_on: str, kept_for_get_only: int) -> None:
    lines = section(render(haproxy_retry_on=retry_on), "backend app")

    assert lines.count("http-request disable-l7-retry unless METH_GET") == kept_for_get_only


WAITING = "http-request lua.wait_for_server 10s if { nbsrv eq 0 } { be_conn le 5120 }"
LOADED = "lua-load /etc/haproxy/wait-for-server.lua"


def test_only_backends_that_could_have_a_server_wait_for_one() -> None:
    backends = [
        {"name": "closed", "maintenance": True, "servers": SERVERS},
        {"name": "bytes", "mode": "tcp", "servers": SERVERS},
        {"name": "empty"},
        {"name": "open", "servers": SERVERS},
    ]
    text = render(haproxy_backends=backends)

    assert [WAITING in section(text, f"backend {one['name']}") for one in backends] == [False, False, False, True]
    assert LOADED in section(text, "global")


@pytest.mark.parametrize(
    "settings", [{"haproxy_wait_for_server": ""}, {"haproxy_mode": "tcp", "haproxy_balance": "roundrobin"}]
)
def test_nothing_waits_and_nothing_is_loaded_where_nothing_can(settings: dict[str, Any]) -> None:
    text = render(**settings)

    assert "wait_for_server" not in text
    assert LOADED not in section(text, "global")


@pytest.mark.parametrize(
    ("wait", "pause"),
    [("10s", "1000ms"), ("4s", "400ms"), ("1m", "6000ms"), ("1h", "360000ms"), ("250ms", "25ms"), ("500us", "1ms")],
)
def test_ten_pauses_are_as_long_as_a_request_may_wait(wait: str, pause: str) -> None:
    lines = section(render(haproxy_wait_for_server=wait), "backend app")

    assert lines.count(f"http-request pause {pause} if {{ nbsrv eq 0 }} {{ be_conn le 5120 }}") == 10


@pytest.mark.parametrize(
    ("settings", "is_there"),
    [
        ({}, True),
        # HAProxy would leave it down for ever
        ({"haproxy_servers": [SERVERS[0], SERVERS[1] | {"check": False}]}, False),
        ({"haproxy_servers": [SERVERS[0] | {"options": "no-check"}]}, False),
        ({"haproxy_default_server": "no-check"}, False),
        # HAProxy refuses the one, and would take the other for up
        ({"haproxy_servers": [SERVERS[0] | {"options": "track other/app-1"}]}, False),
        ({"haproxy_backend_extra": "server more 192.0.2.3:80 track app/app-1"}, False),
        ({"haproxy_extra": ["backend more", "    server more 192.0.2.3:80 track app/app-1"]}, False),
        # The user's own word
        ({"haproxy_default_server": "init-state up"}, False),
        ({"haproxy_servers": [SERVERS[0] | {"options": "init-state up"}]}, False),
        ({"haproxy_wait_for_server": ""}, False),
        ({"haproxy_mode": "tcp"}, False),
    ],
)
def test_servers_are_down_at_first_where_each_is_checked_and_none_tracked(
    settings: dict[str, Any], is_there: bool
) -> None:
    lines = section(render(**settings), "backend app")

    assert ("default-server init-state fully-down" in lines) == is_there


def test_texts_of_extra_vars_are_taken_as_what_they_say() -> None:
    text = render(haproxy_maintenance="false", haproxy_servers=[{**SERVERS[0], "backup": "no", "check": "yes"}])

    assert "maintenance.html" not in text
    assert section(text, "backend app")[-1] == "server app-1 192.0.2.1:8000"


OWN_FRONTEND = {"name": "own", "bind": "*:9000", "default_backend": "app"}
OWN_BACKEND = {"name": "own", "servers": [SERVERS[0] | {"name": "one"}]}


@pytest.mark.parametrize(
    ("settings", "header", "line"),
    [
        ({"haproxy_acl": "is_api path_beg /api/"}, "frontend public", "acl is_api path_beg /api/"),
        ({"haproxy_tcp_request": "inspect-delay 2s"}, "frontend public", "tcp-request inspect-delay 2s"),
        (
            {"haproxy_http_after_response": "set-header X-By lb"},
            "frontend public",
            "http-after-response set-header X-By lb",
        ),
        ({"haproxy_hash_type": "consistent"}, "backend app", "hash-type consistent"),
        ({"haproxy_http_reuse": "never"}, "backend app", "http-reuse never"),
        ({"haproxy_stick_table": "type ip size 1k"}, "backend app", "stick-table type ip size 1k peers local"),
        ({"haproxy_retry_on": "conn-failure"}, "backend app", "retry-on conn-failure"),
        ({"haproxy_timeout_connect": "7s"}, "defaults", "timeout connect 7s"),
        ({"haproxy_timeout_http_request": "7s"}, "defaults", "timeout http-request 7s"),
        ({"haproxy_timeout_http_keep_alive": "7s"}, "defaults", "timeout http-keep-alive 7s"),
        ({"haproxy_timeout_check": "7s"}, "defaults", "timeout check 7s"),
        ({"haproxy_ssl_default_bind_ciphers": "AESGCM"}, "global", "ssl-default-bind-ciphers AESGCM"),
        (
            {"haproxy_ssl_default_bind_ciphersuites": "TLS_AES_128_GCM_SHA256"},
            "global",
            "ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256",
        ),
        (
            {"haproxy_ssl_default_bind_options": "ssl-min-ver TLSv1.3"},
            "global",
            "ssl-default-bind-options ssl-min-ver TLSv1.3",
        ),
        (
            {"haproxy_frontends": [OWN_FRONTEND | {"http_after_response": "set-header X-By lb"}]},
            "frontend own",
            "http-after-response set-header X-By lb",
        ),
        (
            {"haproxy_backends": [OWN_BACKEND | {"use_server": "one if TRUE"}]},
            "backend own",
            "use-server one if TRUE",
        ),
        ({"haproxy_backends": [OWN_BACKEND | {"fullconn": 100}]}, "backend own", "fullconn 100"),
        (
            {"haproxy_backends": [OWN_BACKEND | {"retry_on": "conn-failure"}]},
            "backend own",
            "retry-on conn-failure",
        ),
    ],
)
def test_setting_stands_in_its_section_in_its_own_words(
    haproxy_program: str, etc: Path, settings: dict[str, Any], header: str, line: str
) -> None:
    text = render(**settings)

    assert line in section(text, header)
    assert refusal(haproxy_program, text, etc) == ""


def test_haproxy_takes_the_defaults(haproxy_program: str, etc: Path) -> None:
    assert refusal(haproxy_program, render(), etc) == ""


def test_haproxy_takes_every_feature_at_once(haproxy_program: str, etc: Path) -> None:
    variables: dict[str, Any] = {
        "haproxy_bind": ["*:80", "*:443 ssl crt /etc/haproxy/certs/ alpn h2,http/1.1"],
        "haproxy_redirect": "scheme https code 301 unless { ssl_fc }",
        "haproxy_use_backend": ["api if { path_beg /api/ }", "api if { hdr(host) -i api.example.org }"],
        "haproxy_http_response": "set-header Strict-Transport-Security max-age=31536000",
        "haproxy_rate_limit": {"requests": 100, "period": "10s"},
        "haproxy_httpchk": "GET /readyz",
        "haproxy_http_check": ["send hdr Host example.org", "expect rstring ^ready"],
        "haproxy_cookie": "SERVERID insert indirect nocache secure httponly maxidle 30m maxlife 8h attr SameSite=Lax",
        "haproxy_stats_bind": "192.0.2.9:8404",
        "haproxy_stats_password": "a-secret-of-16",
        "haproxy_error_pages": {503: "503.html", 429: "429.html"},
        "haproxy_frontends": [
            {
                "name": "pg",
                "bind": "*:5432",
                "mode": "tcp",
                "default_backend": "postgres",
            },
            {"name": "behind", "bind": "*:81 accept-proxy", "allow": ["2001:db8::/32"], "default_backend": "api"},
        ],
        "haproxy_backends": [
            {"name": "api", "maintenance": True, "servers": [{**SERVERS[0], "options": "send-proxy-v2", "weight": 0}]},
            {
                "name": "postgres",
                "mode": "tcp",
                "balance": "source",
                "hash_type": "consistent",
                "stick_table": "type ip size 1m expire 30m",
                "stick": ["on src"],
                "option": "pgsql-check user me",
                "timeout": {"tunnel": "4h"},
                "servers": [{**SERVERS[0], "slowstart": "30s", "maxconn": 5, "maxqueue": 3, "backup": True}],
            },
        ],
    }

    assert haproxy_problems({**defaults(), "haproxy_servers": SERVERS, **variables}) == []
    assert refusal(haproxy_program, render(**variables), etc) == ""


words = st.text("abcdefghijklmnopqrstuvwxyz0123456789_.:-", min_size=1, max_size=12).filter(
    lambda text: text not in ("public", "app", "stats")
)
times = st.builds("{}{}".format, st.integers(1, 500), st.sampled_from(["ms", "s", "m", "h"]))
balances = [
    "roundrobin",
    "static-rr",
    "leastconn",
    "first",
    "source",
    "random",
    "random(4)",
    "rdp-cookie",
    "rdp-cookie(mstshash)",
    "hash src",
]
balances_of_http = ["uri", "uri whole", "uri depth 3", "url_param user", "url_param user check_post", "hdr(User-Agent)"]
networks = st.sampled_from(["192.0.2.7", "192.0.2.0/24", "2001:db8::/32", "2001:db8::7"])


def optional(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keys)


def servers(mode: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    required = {
        "name": words,
        "address": st.sampled_from(["192.0.2.1", "2001:db8::1", "localhost"]),
        "port": st.integers(1, 65535),
    }
    keys: dict[str, st.SearchStrategy[Any]] = {
        "weight": st.integers(0, 256),
        "backup": st.booleans(),
        "maxconn": st.integers(0, 10000),
        "maxqueue": st.integers(0, 100),
        "slowstart": times,
        "check": st.booleans(),
        "disabled": st.booleans(),
        "options": st.sampled_from(
            ["send-proxy-v2", "ssl verify none", "inter 1s", "on-marked-down shutdown-sessions"]
        ),
    }
    if mode == "http":
        keys["cookie"] = words
    return st.lists(st.fixed_dictionaries(required, optional=keys), max_size=4, unique_by=lambda server: server["name"])


def lines(*choices: str) -> st.SearchStrategy[Any]:
    return st.sampled_from(choices) | st.lists(st.sampled_from(choices), max_size=3, unique=True)


def backend(mode: str) -> dict[str, st.SearchStrategy[Any]]:
    keys: dict[str, st.SearchStrategy[Any]] = {
        "balance": st.sampled_from(balances + (balances_of_http if mode == "http" else [])),
        "hash_type": st.sampled_from(["map-based", "consistent", "consistent sdbm avalanche"]),
        "httpchk": st.sampled_from(["GET /readyz", "HEAD / HTTP/1.0", "OPTIONS /"]),
        "http_check": st.sampled_from(["expect status 200", ["send hdr Host example.org", "expect string ready"], []]),
        "default_server": st.builds("inter {} fall {} rise {}".format, times, st.integers(1, 9), st.integers(1, 9)),
        "stick_table": st.just("type ip size 1m expire 30m"),
    }
    if mode == "http":
        keys |= {
            "cookie": st.builds(
                "{} {} {}".format,
                st.sampled_from(["SERVERID", "JSESSIONID"]),
                st.just("insert"),
                st.sampled_from(["", "indirect nocache", "nocache httponly secure maxidle 5m maxlife 1h"]),
            ).map(str.strip)
            | st.sampled_from(["SRV rewrite", "JSESSIONID prefix nocache"]),
            "http_reuse": st.sampled_from(["never", "safe", "aggressive", "always"]),
            "maintenance": st.booleans(),
        }
    return keys


def frontend(mode: str) -> dict[str, st.SearchStrategy[Any]]:
    keys: dict[str, st.SearchStrategy[Any]] = {
        "allow": st.lists(networks, max_size=3),
        "deny": st.lists(networks, max_size=3),
        "tcp_request": lines("inspect-delay 5s", "content accept if { src 192.0.2.7 }"),
    }
    if mode == "http":
        keys |= {
            "rate_limit": st.fixed_dictionaries({"requests": st.integers(1, 10000), "period": times}),
            "acl": lines("static path_beg /static/", "own src 192.0.2.0/24"),
            "http_request": lines("deny if { path_beg /admin }", "set-header X-Via lb", "capture req.hdr(Host) len 40"),
            "http_response": lines("set-header X-Frame-Options DENY", "del-header Server"),
            "redirect": lines("scheme https code 301 unless { ssl_fc }", "prefix https://example.org if { path /old }"),
        }
    return keys


@st.composite
def valid_variables(draw: st.DrawFn) -> dict[str, Any]:
    mode = draw(st.sampled_from(["http", "http", "tcp"]))
    flat = draw(optional(**frontend(mode), **backend(mode)))
    variables = {f"haproxy_{key}": value for key, value in flat.items()}
    variables |= {
        "haproxy_mode": mode,
        "haproxy_bind": draw(
            lines("*:80", "192.0.2.1:8080", ":::8443 v4v6 ssl crt /etc/haproxy/certs/ alpn h2,http/1.1").filter(bool)
        ),
        "haproxy_servers": draw(servers(mode).filter(bool)),
        "haproxy_maxconn": draw(st.integers(0, 4000)),
        "haproxy_retries": draw(st.integers(0, 5)),
        "haproxy_log_format": draw(st.sampled_from([defaults()["haproxy_log_format"], "", '%ci %ST %{+Q}r "%ID"'])),
    }
    # In mode tcp, tunnel holds instead of client and server
    of_http = ("client", "server") if mode == "http" else ()
    for name in (*of_http, "connect", "http_request", "http_keep_alive", "queue", "check", "tunnel"):
        if draw(st.booleans()):
            variables[f"haproxy_timeout_{name}"] = draw(times)
    variables["haproxy_backends"] = []
    modes = {"app": mode}
    for name in draw(st.lists(words, max_size=3, unique=True)):
        modes[name] = draw(st.sampled_from(["http", "tcp"]))
        more = draw(
            optional(**backend(modes[name]), retries=st.integers(0, 9), timeout=optional(tunnel=times, queue=times))
        )
        variables["haproxy_backends"].append(
            {"name": name, "mode": modes[name], "servers": draw(servers(modes[name])), **more}
        )
    variables["haproxy_frontends"] = []
    others = words.filter(lambda name: name not in modes)
    for number, name in enumerate(draw(st.lists(others, max_size=3, unique=True))):
        of = draw(st.sampled_from(["http", "tcp"]))
        targets = [target for target, target_mode in modes.items() if target_mode == of]
        more = draw(optional(**frontend(of), maxconn=st.integers(1, 5000), timeout=optional(client_fin=times)))
        if targets:
            more["default_backend"] = draw(st.sampled_from(targets))
        variables["haproxy_frontends"].append({"name": name, "mode": of, "bind": f"*:{9000 + number}", **more})
    if draw(st.booleans()):
        variables |= {"haproxy_stats_bind": "192.0.2.9:8404", "haproxy_stats_password": "a-secret-of-16"}
    return variables


@pytest.mark.slow
@settings(settings.get_profile("found"), suppress_health_check=list(HealthCheck))
@given(variables=valid_variables())
def test_haproxy_takes_what_the_role_takes(one_haproxy_program: str, etc: Path, variables: dict[str, Any]) -> None:
    if haproxy_version(one_haproxy_program) < (2, 6):
        variables = {key: "source" if value == "hash src" else value for key, value in variables.items()}
        for more in variables["haproxy_backends"]:
            more["balance"] = more.get("balance", "first").replace("hash src", "source")

    assert haproxy_problems({**defaults(), **variables}) == []
    assert refusal(one_haproxy_program, render(**variables), etc) == ""
