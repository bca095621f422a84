# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that is slow keeps its requests; one that is gone holds none."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from balancer import App, Balancer, Net
from haproxy_role import render
from support.programs import haproxy_version
from support.waiting import wait_until

SERVERS = [{"name": f"app-{number}", "address": f"10.110.0.{number}", "port": 8000} for number in (3, 4)]
FIRST, SECOND = "10.110.0.3:8000", "10.110.0.4:8000"
# An answer to a check and to any other request
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nyes"
UNREAD_SECONDS = 10


class Server:
    """A server of one thread: it answers a check at once, and does with each other connection what `serve` does."""

    def __init__(self, place: tuple[str, int], backlog: int) -> None:
        self._listener = socket.create_server(place, backlog=backlog)
        self.place = place
        self.busy = False
        self.held: list[socket.socket] = []
        self.gone, self.go_on = threading.Event(), threading.Event()
        self._waiting: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while not self.gone.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            head = connection.recv(65536)
            if b"/hold" in head:
                self.held.append(connection)
            elif head:
                if b"/busy" in head:
                    self.busy = True
                    self.go_on.wait(30)
                with contextlib.suppress(OSError):
                    connection.sendall(OK)
                connection.close()

    def go(self) -> None:
        """From now on the machine answers to nothing, as if it were not there: more connections wait than it lets."""
        self.gone.set()
        # The first ends accept()
        for _ in range(3):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(self.place)
            self._waiting.append(waiting)

    def close(self) -> None:
        self.gone.set()
        self.go_on.set()
        # Closing it alone leaves it to the thread that waits for a connection
        self._listener.shutdown(socket.SHUT_RDWR)
        for connection in [self._listener, *self.held, *self._waiting]:
            connection.close()


@contextlib.contextmanager
def balancing(
    program: str, etc: Path, folder: Path, servers: list[dict[str, Any]], backlog: int = 0, **settings: Any
) -> Iterator[tuple[Balancer, Server]]:
    net = Net()
    text = render(haproxy_servers=servers, haproxy_maxconn=1000, **settings)
    server = Server(net.place(FIRST), backlog)
    other = App(net.place(SECOND), "app-4")
    balancer = Balancer(program, net, text, folder, etc)
    try:
        balancer.wait_for()
        yield balancer, server
    finally:
        balancer.close()
        server.close()
        other.close()
        net.close()


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("POST", 502)])
def test_request_at_a_server_that_is_gone_is_ended(
    haproxy_program: str, etc: Path, tmp_path: Path, method: str, status: int
) -> None:
    servers = [SERVERS[0], SERVERS[1] | {"backup": True}]
    with (
        balancing(haproxy_program, etc, tmp_path, servers, haproxy_httpchk="GET /check") as (balancer, server),
        ThreadPoolExecutor() as pool,
    ):
        answer = pool.submit(balancer.ask, "http://example.org/hold", method)
        wait_until("the request is at the server", lambda: server.held)
        server.go()

        if haproxy_version(haproxy_program) < (3, 0):
            # A GET is sent to the other server, which answers
            assert answer.result(40).status == status
        else:
            with pytest.raises(http.client.RemoteDisconnected):
                answer.result(40)


def test_connection_to_a_server_that_is_gone_is_ended_in_mode_tcp(
    haproxy_program: str, etc: Path, tmp_path: Path
) -> None:
    with balancing(haproxy_program, etc, tmp_path, SERVERS[:1], haproxy_mode="tcp") as (balancer, server):
        client = balancer.connect(80)
        client.sendall(b"/hold")
        wait_until("the connection is at the server", lambda: server.held)
        server.go()
        client.settimeout(40)

        assert client.recv(1) == b""


def test_request_at_a_server_that_is_only_slow_is_answered(haproxy_program: str, etc: Path, tmp_path: Path) -> None:
    with (
        balancing(
            haproxy_program,
            etc,
            tmp_path,
            SERVERS[:1],
            backlog=100,
            haproxy_httpchk="GET /check",
            haproxy_timeout_check="100ms",
        ) as (balancer, server),
        ThreadPoolExecutor() as pool,
    ):
        answer = pool.submit(balancer.ask, "http://example.org/busy")
        wait_until("the request is at the server", lambda: server.busy)
        balancer.wait_for(app__app_3="DOWN")
        down_at = time.monotonic()
        # What ends requests at a server that is gone looks once a second
        wait_until("two looks", lambda: answer.done() or time.monotonic() > down_at + 2.5)
        server.go_on.set()

        assert answer.result(40).status == 200


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["http", "tcp"])
def test_upload_to_an_app_that_does_not_read_for_long_arrives(
    haproxy_program: str, etc: Path, tmp_path: Path, mode: str
) -> None:
    sizes = [100_000, 300_000, 2_000_000, 20_000_000]
    net = Net()
    app = App(net.place(FIRST), "app-3")
    text = render(haproxy_servers=SERVERS[:1], haproxy_maxconn=1000, haproxy_mode=mode)
    balancer = Balancer(haproxy_program, net, text, tmp_path, etc)
    begin = time.monotonic() + UNREAD_SECONDS
    app.before_body = lambda: time.sleep(max(begin - time.monotonic(), 0))

    def upload(size: int) -> tuple[int, int]:
        client = http.client.HTTPConnection("example.org")
        client.sock = balancer.connect(80)
        client.sock.settimeout(60)
        client.request("POST", "/", b"x" * size)
        answer = client.getresponse()
        return answer.status, len(answer.read()) > 0

    try:
        balancer.wait_for()
        with ThreadPoolExecutor() as pool:
            assert list(pool.map(upload, sizes)) == [(200, True)] * len(sizes)
    finally:
        balancer.close()
        app.close()
        net.close()
