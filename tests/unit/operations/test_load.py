# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load of scenario operations tells the truth: each failure is seen, and a slow answer keeps no request back."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support import REPO
from support.waiting import wait_until

LOAD = REPO / "tests" / "support" / "load.py"


class Server(ThreadingHTTPServer):
    """Answers `status` after `delay` seconds; 0 closes the connection without an answer."""

    daemon_threads = True
    status = 200
    delay = 0.0
    connections = 0

    def get_request(self) -> tuple[socket.socket, Any]:
        self.connections += 1
        return super().get_request()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        time.sleep(self.server.delay)
        if not self.server.status:
            self.close_connection = True
            return
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def run(port: int, folder: Path, seconds: float = 1.0, rate: int = 100) -> list[dict[str, Any]]:
    output = folder / "requests.jsonl"
    command = [sys.executable, str(LOAD), f"http://127.0.0.1:{port}/", str(output), "--rate", str(rate)]
    process = subprocess.Popen(command)
    wait_until("load", output.exists)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.terminate()
    assert process.wait(40) == 0
    return [json.loads(line) for line in output.read_text().splitlines()]


def test_half_of_the_requests_are_on_new_connections(server: Server, tmp_path: Path) -> None:
    requests = run(server.server_port, tmp_path, 2.0)

    new = sum(request["new"] for request in requests)
    assert {request["status"] for request in requests} == {200}
    assert abs(len(requests) - 2 * new) <= 1
    # The others share those of 20 clients, with one more where an answer has not come when the next request is due
    assert new < server.connections < new + (len(requests) - new) / 2


def test_slow_answer_keeps_no_request_back_and_counts_in_full(server: Server, tmp_path: Path) -> None:
    server.delay = 0.5
    requests = run(server.server_port, tmp_path)

    due = sorted(request["at"] for request in requests)
    assert max(later - earlier for earlier, later in pairwise(due)) < 0.02
    assert min(request["seconds"] for request in requests) >= 0.5


@pytest.mark.parametrize("status", [500, 503, 0])
def test_failure_is_seen(server: Server, tmp_path: Path, status: int) -> None:
    server.status = status
    requests = run(server.server_port, tmp_path, 0.5)

    assert Counter(request["status"] for request in requests) == {status: len(requests)}
    assert all("error" in request for request in requests) == (status == 0)


def test_refused_connection_is_seen(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        requests = run(taken.getsockname()[1], tmp_path, 0.5)

    assert requests
    assert {request["status"] for request in requests} == {0}
