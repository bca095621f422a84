# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real HAProxy with real HTTP servers behind it, and a socket that only looks like HAProxy's."""

from __future__ import annotations

import contextlib
import http.server
import socket
import subprocess
import threading
import typing as t
from pathlib import Path

from support.waiting import wait_until

Answer = bytes | t.Callable[[socket.socket], None]

CONFIG = """\
global
    stats socket {here}/admin level admin
    stats socket {here}/operator level operator
    stats socket {here}/user level user
    stats socket ipv4@127.0.0.1:{port} level admin
    server-state-file {here}/state
defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 30s
    timeout check 1s
    {state}
frontend web
    bind unix@{here}/web
    default_backend app
backend app
    balance roundrobin
    option httpchk GET /check
    cookie SERVER insert
    default-server inter 50ms rise 1 fall 2
    server app-1 127.0.0.1:{one} check weight 100 cookie app-1
    server app-2 127.0.0.1:{two} check weight 100 cookie app-2
    server follower 127.0.0.1:{two} track app/app-1 weight 0
backend plain
    balance static-rr
    server unchecked 127.0.0.1:{one} weight 10
    server off 127.0.0.1:{one} disabled
backend empty
"""


class App:
    """An HTTP server: /check answers with `status`, /hold does not end before `release` is set."""

    def __init__(self) -> None:
        self.status = 200
        self.pages = 0
        self.release = threading.Event()
        app = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/hold":
                    app.release.wait(30)
                app.pages += self.path == "/page"
                self.send_response(app.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: t.Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()


class RealHaproxy:
    def __init__(self, program: str, here: Path, apps: tuple[App, App]) -> None:
        self.program, self.here, self.apps = program, here, apps
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.processes: list[subprocess.Popen[bytes]] = []
        self.clients: list[socket.socket] = []
        self.start()
        wait_until("two servers up", lambda: self.statuses()[:2] == ["UP", "UP"])

    @property
    def socket(self) -> str:
        return str(self.here / "admin")

    def start(self, *, keep_state: bool = False) -> None:
        """Starts it; if it runs already that is a reload, which keeps the servers' states or does not."""
        if keep_state:
            (self.here / "state").write_text(self.ask("show servers state"))
        config = self.here / "haproxy.cfg"
        config.write_text(
            CONFIG.format(
                here=self.here,
                port=self.port,
                one=self.apps[0].port,
                two=self.apps[1].port,
                state="load-server-state-from-file global" if keep_state else "",
            )
        )
        former = [str(self.processes[-1].pid)] if self.processes else []
        command = [self.program, "-db", "-f", str(config), *(["-sf", *former] if former else [])]
        with (self.here / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.processes.append(process)
        wait_until("HAProxy", lambda: process.poll() is not None or f"\nPid: {process.pid}\n" in self.ask("show info"))
        assert process.poll() is None, (self.here / "log").read_text()

    def ask(self, command: str) -> str:
        answer = b""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.socket)
            connection.sendall(f"{command}\n".encode())
            while part := connection.recv(65536):
                answer += part
        return answer.decode()

    def field(self, number: int) -> list[str]:
        rows = [line.split(",") for line in self.ask("show stat app 4 -1").splitlines()[1:] if line]
        return [row[number] for row in rows]

    def statuses(self) -> list[str]:
        return self.field(17)

    def sessions(self) -> list[str]:
        return self.field(4)

    def page(self) -> None:
        """One request of a new client."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.here / "web"))
            client.sendall(b"GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while client.recv(65536):
                pass

    def hold(self, server: str, path: str = "/hold") -> socket.socket:
        """A session on a server that stays until the app releases it."""
        before = self.sessions()
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(self.here / "web"))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nCookie: SERVER={server}\r\n\r\n".encode())
        self.clients.append(client)
        wait_until("a session", lambda: self.sessions() != before)
        return client

    def close(self) -> None:
        for client in self.clients:
            client.close()
        for process in self.processes:
            process.kill()
            process.wait()


class FakeSocket:
    """Answers each command with what a test says, by the command's beginning; all else by a closed connection."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.answers: dict[str, list[Answer] | Answer] = {}
        self.asked: list[str] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            commands = connection.makefile().readline().rstrip("\n").split("; ")
            for command in commands:
                self.asked.append(command)
                found = next((one for start, one in self.answers.items() if command.startswith(start)), None)
                if found is None:
                    return
                one = (found.pop(0) if len(found) > 1 else found[0]) if isinstance(found, list) else found
                if callable(one):
                    one(connection)
                else:
                    # Between two of them HAProxy leaves a line empty
                    connection.sendall(one if len(commands) == 1 else one.rstrip(b"\n") + b"\n\n")

    def close(self) -> None:
        # Wakes accept(), which close alone does not
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
