# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's own check of an app and HAProxy's are the same request, and take the same answers for a yes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_health import health_check, health_problems
from balancer import Balancer, Net
from haproxy_role import render
from support.waiting import wait_until

SERVER = {"name": "app-3", "address": "10.110.0.3", "port": 8000}


@contextlib.contextmanager
def app_that_says(place: tuple[str, int], status: int) -> Iterator[list[str]]:
    """An app that answers everything so. Yields the requests that it gets."""
    seen: list[str] = []
    with socket.create_server(place) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    if head := connection.recv(65536):
                        seen.append(head.decode())
                        answer = (
                            f"HTTP/1.1 {status} X\r\nLocation: /login\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                        )
                        connection.sendall(answer.encode())
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield seen
        finally:
            # Closing it alone leaves it to the thread that waits for a connection
            listener.shutdown(socket.SHUT_RDWR)


def parts(request: str) -> tuple[str, dict[str, str]]:
    """The method and the path, and the headers but those of the connection."""
    first, *lines = request.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return first.rpartition(" ")[0], {key: value for key, value in headers.items() if key != "connection"}


HOST = {"Host": "shop.example.org"}
ODD = HOST | {"X-Forwarded-Proto": "https", "User-Agent": 'it\'s 100 % "ours" \\ #1 $HOME, {x}'}


@pytest.mark.parametrize(
    ("settings", "status", "is_up"),
    [
        ({"app_health_path": "/up?deep=1"}, 200, True),
        ({"app_health_path": "/up"}, 302, False),
        ({"app_health": {"path": "/up", "headers": ODD, "status": "200-399"}}, 302, True),
        ({"app_health": {"path": "/up", "headers": {"X-Forwarded-Proto": "https"}, "status": "200,401"}}, 401, True),
        ({"app_health": {"path": "/up", "headers": HOST, "status": "200-299"}}, 301, False),
    ],
)
def test_haproxy_asks_as_the_role_does(
    haproxy_program: str, etc: Path, tmp_path: Path, settings: dict[str, Any], status: int, is_up: bool
) -> None:
    assert list(health_problems(settings)) == []
    check = health_check(settings, "10.110.0.3:8000")
    assert (status in check["statuses"]) == is_up

    net = Net()
    checks = {"haproxy_httpchk": check["httpchk"], "haproxy_http_check": check["http_check"]}
    text = render(haproxy_servers=[SERVER], haproxy_maxconn=1000, **checks)
    with contextlib.closing(net), app_that_says(net.place("10.110.0.3:8000"), status) as seen:
        balancer = Balancer(haproxy_program, net, text, tmp_path, etc)
        try:
            balancer.wait_for(app__app_3="UP" if is_up else "DOWN")
            wait_until("a check", lambda: seen)
        finally:
            balancer.close()
    own, by_haproxy = parts(check["request"]), parts(seen[0])
    if "Host" not in settings.get("app_health", {}).get("headers", {}):
        # HAProxy sends none unless told, and curl and others always do
        own[1].pop("host")
    assert by_haproxy == own


def test_without_a_path_nobody_asks() -> None:
    for settings in ({}, {"app_health": {}}, {"app_health_path": ""}):
        check = health_check(settings)
        assert (check["path"], check["httpchk"], check["http_check"]) == ("", "", [])


def test_timeout_is_the_same_for_both() -> None:
    assert health_check({"app_health": {"path": "/up", "timeout": 2}})["timeout"] == 2
