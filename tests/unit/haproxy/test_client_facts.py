# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What servers are told of a client: what HAProxy sees, or a trusted proxy says and never what the client says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from balancer import App, Balancer, Net
from haproxy_role import render

SERVER = {"name": "app-1", "address": "10.110.0.3", "port": 8000}
CLIENT, PROXY, FAR_PROXY = "203.0.113.7", "192.0.2.1", "192.0.2.2"
FORGED = {
    "Forwarded": "for=10.0.0.9;proto=https",
    "X-Forwarded-For": "10.0.0.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "1",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Ssl": "on",
    "X-Real-IP": "10.0.0.9",
    "X-Request-ID": "mine",
    "True-Client-IP": "10.0.0.9",
    "Client-IP": "10.0.0.9",
    "CF-Connecting-IP": "10.0.0.9",
}


@contextlib.contextmanager
def balancing(program: str, etc: Path, folder: Path, **settings: Any) -> Iterator[Balancer]:
    net = Net()
    app = App(net.place("10.110.0.3:8000"), "app-1")
    balancer = Balancer(program, net, render(haproxy_servers=[SERVER], haproxy_maxconn=1000, **settings), folder, etc)
    try:
        balancer.wait_for()
        yield balancer
    finally:
        balancer.close()
        app.close()
        net.close()


def told(balancer: Balancer, source: str, said: dict[str, str]) -> dict[str, str]:
    """What the app is told, with the addresses that the test uses."""
    headers = {name.replace("-", "_"): value for name, value in said.items()}
    seen = balancer.ask("http://example.org/", source=source, **headers).seen["headers"]
    real = {balancer.net.address(address): address for address in (CLIENT, PROXY, FAR_PROXY)}
    return {name: real.get(value, value) for name, value in seen.items()}


def port(balancer: Balancer) -> str:
    return str(balancer.net.port(80))


@pytest.mark.parametrize("proxies", [[], [PROXY]])
def test_what_a_client_says_of_itself_is_replaced(
    haproxy_program: str, etc: Path, tmp_path: Path, proxies: list[str]
) -> None:
    with balancing(haproxy_program, etc, tmp_path, haproxy_trusted_proxies=proxies) as balancer:
        seen = told(balancer, CLIENT, FORGED | {"X-Own": "of the app", "X-Device-IP": "10.0.0.9"})

    assert len(seen.pop("x-request-id")) == 36
    assert seen == {
        "host": "example.org",
        "accept-encoding": "identity",
        "x-own": "of the app",
        "x-device-ip": "10.0.0.9",
        "x-forwarded-for": CLIENT,
        "x-real-ip": CLIENT,
        "x-forwarded-proto": "http",
        "x-forwarded-host": "example.org",
        "x-forwarded-port": port(balancer),
    }


def test_names_with_underscores_get_no_fact_through(haproxy_program: str, etc: Path, tmp_path: Path) -> None:
    forged = "".join(f"{name.replace('-', '_')}: 10.0.0.9\r\n" for name in FORGED if name.count("-") > 1)
    with balancing(haproxy_program, etc, tmp_path) as balancer, balancer.connect(80) as client:
        client.sendall(f"GET / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n{forged}\r\n".encode())
        with client.makefile("rb") as answer:
            seen = answer.read()

    assert b"200 OK" in seen
    assert b"forwarded_" not in seen
    assert b"_ip" not in seen


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("{client}", CLIENT),
        # What the client itself said comes before what the proxy adds
        ("10.0.0.9, {client}", CLIENT),
        # A proxy that is behind a trusted one
        ("{client}, {far}", CLIENT),
        ("10.0.0.9, {client}, {far}", CLIENT),
        # Nothing said
        ("", PROXY),
    ],
)
def test_what_a_trusted_proxy_says_of_its_client_holds(
    haproxy_program: str, etc: Path, tmp_path: Path, chain: str, client: str
) -> None:
    with balancing(haproxy_program, etc, tmp_path, haproxy_trusted_proxies=[PROXY, FAR_PROXY]) as balancer:
        far, near = (balancer.net.address(address) for address in (FAR_PROXY, CLIENT))
        said = FORGED | {"X-Forwarded-For": chain.format(client=near, far=far)}
        seen = told(balancer, PROXY, {name: value for name, value in said.items() if value})
        logged = balancer.log_line()

    assert (seen["x-forwarded-for"], seen["x-real-ip"]) == (client, client)
    assert (seen["x-forwarded-proto"], seen["x-forwarded-host"], seen["x-forwarded-port"]) == (
        "https",
        "evil.example",
        "1",
    )
    assert logged.startswith(f"{balancer.net.address(client)}:")


def test_what_a_trusted_proxy_does_not_say_is_what_haproxy_sees(
    haproxy_program: str, etc: Path, tmp_path: Path
) -> None:
    with balancing(haproxy_program, etc, tmp_path, haproxy_trusted_proxies=[PROXY]) as balancer:
        seen = told(balancer, PROXY, {"X-Forwarded-For": balancer.net.address(CLIENT)})

    assert seen["x-forwarded-for"] == CLIENT
    assert seen["x-forwarded-proto"] == "http"


def test_redirect_to_https_ends_behind_a_proxy_that_ends_tls(haproxy_program: str, etc: Path, tmp_path: Path) -> None:
    redirect = "scheme https code 301 unless { req.hdr(X-Forwarded-Proto) https }"
    with balancing(
        haproxy_program, etc, tmp_path, haproxy_trusted_proxies=[PROXY], haproxy_redirect=redirect
    ) as balancer:
        statuses = [
            balancer.ask("http://example.org/", source=source, X_Forwarded_Proto=proto).status
            for source, proto in ((PROXY, "https"), (PROXY, "http"), (CLIENT, "https"))
        ]

    assert statuses == [200, 301, 301]


def test_line_of_the_user_has_the_last_word_on_the_protocol(haproxy_program: str, etc: Path, tmp_path: Path) -> None:
    line = "set-header X-Forwarded-Proto https if { req.hdr(CF-Visitor) -m sub https }"
    redirect = "scheme https code 301 unless { req.hdr(X-Forwarded-Proto) https }"
    with balancing(haproxy_program, etc, tmp_path, haproxy_http_request=line, haproxy_redirect=redirect) as balancer:
        seen = told(balancer, CLIENT, {"CF-Visitor": '{"scheme":"https"}'})

    assert seen["x-forwarded-proto"] == "https"


def test_line_of_the_user_may_say_who_the_client_is(haproxy_program: str, etc: Path, tmp_path: Path) -> None:
    line = "set-src hdr(CF-Connecting-IP)"
    with balancing(haproxy_program, etc, tmp_path, haproxy_http_request=line) as balancer:
        seen = told(balancer, PROXY, {"CF-Connecting-IP": "203.0.113.9"})

    assert seen["x-forwarded-for"] == "203.0.113.9"


def test_requests_behind_a_trusted_proxy_are_counted_by_client(haproxy_program: str, etc: Path, tmp_path: Path) -> None:
    limit = {"requests": 2, "period": "1m"}
    with balancing(
        haproxy_program, etc, tmp_path, haproxy_trusted_proxies=[PROXY], haproxy_rate_limit=limit
    ) as balancer:
        statuses = [
            balancer.ask("http://example.org/", source=PROXY, X_Forwarded_For=client).status
            for client in ("203.0.113.8", "203.0.113.8", "203.0.113.8", "203.0.113.9")
        ]

    assert statuses == [200, 200, 429, 200]
