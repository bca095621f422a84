# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a HAProxy that starts takes its servers for, and how long a request waits for one of them."""

from __future__ import annotations

import contextlib
import http.server
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from haproxy_role import ROLE, elsewhere, place, render
from support.programs import haproxy_version
from support.waiting import wait_until

NAMES = (
    "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state "
    "srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port "
    "srv_check_addr srv_agent_addr srv_agent_port"
)


def statuses(folder: Path) -> dict[str, str]:
    """The first word of each server's status; nothing while nobody answers."""
    answer = b""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(folder / "admin.sock"))
        connection.sendall(b"show stat -1 4 -1\n")
        while part := connection.recv(65536):
            answer += part
    rows = [line.split(",") for line in answer.decode().splitlines()[1:] if line]
    return {row[1]: row[17].split()[0] for row in rows}


@contextlib.contextmanager
def running(program: str, folder: Path, text: str, lua: str = "") -> Iterator[Path]:
    """Run HAProxy with this configuration; its output is in the file that is returned."""
    (folder / "pages").mkdir(exist_ok=True)
    (folder / "pages" / "503.html").write_text("<p>Sorry</p>")
    path = place(text, folder)
    if lua:
        (folder / "wait-for-server.lua").write_text(elsewhere(lua, folder))
    said = folder / "said"
    with said.open("w") as output:
        process = subprocess.Popen([program, "-db", "-f", str(path)], stdout=output, stderr=output)
    try:
        wait_until("servers", lambda: process.poll() is not None or statuses(folder))
        assert process.poll() is None, said.read_text()
        yield said
    finally:
        process.kill()
        process.wait()


def server(name: str, port: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "address": "127.0.0.1", "port": port, **more}


def configuration(port: int, **settings: Any) -> str:
    """The role's file with a server `one` in its backend, and what `settings` says."""
    common = {"haproxy_bind": "unix@/run/haproxy/web", "haproxy_maxconn": 50, "haproxy_httpchk": "GET /readyz"}
    return render(**{**common, "haproxy_servers": [server("one", port)], **settings})


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections, and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(("noted", "status"), [(None, "DOWN"), ("", "DOWN"), ("3 app 1 one {}", "UP")])
def test_server_is_down_until_it_was_asked_unless_a_former_process_knows_it(
    haproxy_program: str, tmp_path: Path, silent: int, noted: str | None, status: str
) -> None:
    if noted is not None:
        row = noted.format(f"127.0.0.1 2 0 1 1 9 15 3 4 6 0 0 0 - {silent} - 0 0 - - 0")
        (tmp_path / "server-state").write_text(f"1\n# {NAMES}\n{row}\n")
    text = configuration(
        silent,
        haproxy_servers=[server("one", silent), server("out", silent, disabled=True)],
        haproxy_backends=[
            {"name": "unasked", "servers": [server("unasked", silent, check=False)]},
            {"name": "bytes", "mode": "tcp", "servers": [server("two", silent)]},
        ],
    )
    with running(haproxy_program, tmp_path, text) as said:
        found = statuses(tmp_path)

    assert found == {"one": status, "out": "MAINT", "unasked": "no", "two": "UP"}, said.read_text()


def test_server_that_tracks_another_is_down_with_it(haproxy_program: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    tracking = {"name": "other", "servers": [server("two", port, check=False, options="track app/one")]}
    settings = {"haproxy_backends": [tracking], "haproxy_default_server": "inter 50ms"}
    with running(haproxy_program, tmp_path, configuration(port, **settings)):
        wait_until("both are down", lambda: statuses(tmp_path) == {"one": "DOWN", "two": "DOWN"})


def test_haproxy_starts_and_serves_though_the_script_fails(haproxy_program: str, tmp_path: Path, silent: int) -> None:
    if haproxy_version(haproxy_program) >= (3, 2):
        pytest.skip("HAProxy does without the script from 3.2.20 on")
    lua = (ROLE / "files" / "wait-for-server.lua").read_text()
    lua = lua.replace("server:get_stats()", "nothing()").replace("txn.f:nbsrv() == 0", "nothing()")
    assert lua.count("nothing()") == 2
    text = configuration(silent, haproxy_timeout_server="10ms").replace("if { nbsrv eq 0 } {", "if {")
    with running(haproxy_program, tmp_path, text, lua) as said:
        assert ask(tmp_path) == 504, said.read_text()


def ask(folder: Path) -> int:
    """Return the status of the answer to a request."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(folder / "web"))
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return int(client.makefile("rb").readline().split()[1])


class Page(http.server.BaseHTTPRequestHandler):
    """An empty page for each request."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        pass


def test_request_waits_until_a_server_is_up_and_little_longer(haproxy_program: str, tmp_path: Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as app:
        port = app.server_address[1]
    text = configuration(port, haproxy_default_server="inter 100ms rise 1", haproxy_wait_for_server="4s")
    answers: list[tuple[int, float]] = []

    def request() -> None:
        answers.append((ask(tmp_path), time.monotonic()))

    with running(haproxy_program, tmp_path, text):
        waiting = threading.Thread(target=request)
        waiting.start()
        # More than one of the ten pauses
        waiting.join(1)
        assert answers == []
        with http.server.ThreadingHTTPServer(("127.0.0.1", port), Page) as app:
            threading.Thread(target=app.serve_forever, args=(0.02,), daemon=True).start()
            wait_until("the server is up", lambda: statuses(tmp_path)["one"] == "UP")
            up = time.monotonic()
            waiting.join()
            app.shutdown()

    status, answered = answers[0]
    assert status == 200
    # A tenth of haproxy_wait_for_server, and what a busy machine takes
    assert answered - up < 0.4 + 0.5


def test_request_waits_no_longer_than_it_may(haproxy_program: str, tmp_path: Path, silent: int) -> None:
    text = configuration(silent, haproxy_wait_for_server="1s")
    with running(haproxy_program, tmp_path, text):
        start = time.monotonic()
        assert ask(tmp_path) == 503
        assert 0.9 < time.monotonic() - start < 1.9
