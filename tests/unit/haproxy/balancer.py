# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's haproxy.cfg in a real HAProxy, with real back ends and clients beside it.

All is at addresses of 127.0.0.0/8, which are a machine's own to the last one: what a configuration says of
10.110.0.3:443 holds here for 127.N.0.3:20443. So each server, load balancer and client keeps an address of its own.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import http.server
import json
import re
import shutil
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from haproxy_role import place
from support.programs import lacks
from support.waiting import wait_until

PREFIXES = {"10.110": 0, "192.0.2": 250, "198.51.100": 251, "203.0.113": 252}


class Net:
    """The second byte of this test run's addresses, which no other run on this machine has."""

    def __init__(self) -> None:
        if sys.platform != "linux":
            lacks("these tests use addresses of 127.0.0.0/8, which only Linux has without being told")
        self._guard = socket.socket()
        for self.number in range(20, 250):
            with contextlib.suppress(OSError):
                self._guard.bind((f"127.{self.number}.255.254", 20000))
                return
        raise AssertionError("no free addresses: does some process keep them?")

    def close(self) -> None:
        self._guard.close()

    def address(self, of: str) -> str:
        """Where an address of a recipe is here."""
        for prefix, third in PREFIXES.items():
            if of.startswith(f"{prefix}."):
                rest = of.removeprefix(f"{prefix}.")
                return f"127.{self.number}.{rest if '.' in rest else f'{third}.{rest}'}"
        raise AssertionError(f"{of} is no address that a recipe may have: {', '.join(PREFIXES)}")

    @staticmethod
    def port(of: int) -> int:
        """Which port it is here: none that needs root, or that the kernel gives to clients."""
        return of % 10000 + (20000 if of < 10000 else 10000)

    def place(self, of: str) -> tuple[str, int]:
        """Where `ADDRESS:PORT` of a recipe is here."""
        address, _, port = of.partition(":")
        return self.address(address), self.port(int(port))

    def moved(self, text: str, own: str) -> str:
        """The configuration with the addresses and ports of here; `own` is the load balancer's address."""
        here = self.address(own)
        text = re.sub(
            r"^(\s+bind\s+(?:quic4@)?)(?:\*|127\.0\.0\.1|10\.110\.[\d.]+|):(\d+)",
            lambda found: f"{found[1]}{here}:{self.port(int(found[2]))}",
            text,
            flags=re.MULTILINE,
        )
        text = re.sub(
            r"(?<![\d.])(127\.0\.0\.1|(?:10|192|198|203)\.\d+\.\d+\.\d+):(\d+)",
            lambda found: f"{here if found[1] == '127.0.0.1' else self.address(found[1])}:{self.port(int(found[2]))}",
            text,
        )
        text = re.sub(
            r"(?<![\d.])((?:10\.110|192\.0\.2|198\.51\.100|203\.0\.113)\.[\d.]+)(?![\d:])",
            lambda found: self.address(found[1]),
            text,
        )
        return re.sub(r"(?<= port )(\d+)", lambda found: str(self.port(int(found[1]))), text)


class Balancer:
    """HAProxy with the configuration that the role made."""

    def __init__(
        self,
        program: str,
        net: Net,
        text: str,
        folder: Path,
        etc: Path,
        *,
        own: str = "10.110.0.2",
        files: Mapping[str, str] | None = None,
        changes: Mapping[str, str] | None = None,
    ) -> None:
        self.net, self.own, self.folder = net, own, folder
        folder.mkdir(exist_ok=True)
        for name in ("certs", "pages", "files"):
            (folder / name).mkdir(exist_ok=True)
        shutil.copytree(etc / "pages", folder / "pages", dirs_exist_ok=True)
        shutil.copytree(etc / "certs", folder / "certs", dirs_exist_ok=True)
        for name, content in (files or {}).items():
            (folder / name).write_text(content)
        for old, new in (changes or {}).items():
            assert old in text, f"{old!r} is not in:\n{text}"
            text = text.replace(old, new)
        text = re.sub(r"^\s+chroot .*\n", "", self.net.moved(text, own), flags=re.MULTILINE)
        # What takes seconds in a service takes a moment here
        text = re.sub(r"\b((?:fast|down)?inter) \d+m?s", r"\1 200ms", text)
        self.text = text.replace("/run/haproxy/", f"{folder}/").replace(" /dev/log ", f" {folder}/log ")
        config = place(self.text, folder)
        for lua in folder.glob("*.lua"):
            lua.write_text(lua.read_text().replace("/run/haproxy/", f"{folder}/"))
        # No server's state, as after a boot
        (folder / "server-state").write_text("1\n")
        self._log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        (folder / "log").unlink(missing_ok=True)
        self._log.bind(str(folder / "log"))
        self._output = (folder / "output").open("w+b")
        self.process = subprocess.Popen(
            [program, "-db", "-f", str(config)], stdout=self._output, stderr=subprocess.STDOUT
        )

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._output.close()
        self._log.close()

    def said(self) -> str:
        return (self.folder / "output").read_text()

    def tell(self, command: str) -> str:
        """What the runtime API answers."""
        answer = b""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.folder / "admin.sock"))
            connection.sendall(f"{command}\n".encode())
            while part := connection.recv(65536):
                answer += part
        return answer.decode()

    def statuses(self) -> dict[str, str]:
        """The first word of each server's status."""
        rows = [line.split(",") for line in self.tell("show stat -1 4 -1").splitlines()[1:] if line]
        return {f"{row[0]}/{row[1]}": row[17].split()[0] for row in rows}

    def sessions(self, backend: str) -> dict[str, int]:
        """How many connections each of a backend's servers has."""
        rows = [line.split(",") for line in self.tell(f"show stat {backend} 4 -1").splitlines()[1:] if line]
        return {row[1]: int(row[4]) for row in rows}

    def wait_for(self, **statuses: str) -> None:
        """Return when all servers are up but those that are named, as `backend__server="DOWN"`."""
        wanted = {name.replace("__", "/").replace("_", "-"): status for name, status in statuses.items()}

        def as_wanted() -> object:
            assert self.process.poll() is None, "HAProxy has ended"
            found = self.statuses()
            assert not set(wanted) - {name.replace("_", "-") for name in found}, found
            wrong = {
                name: status
                for name, status in found.items()
                if status not in ("no", wanted.get(name.replace("_", "-"), "UP"))
            }
            return bool(found) and not wrong

        try:
            wait_until(f"all UP but {wanted}", as_wanted)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said()}\n{self.text}") from error
        # What it warns of, it often leaves out
        warnings = re.findall(r"\[WARNING\].*config : .*", self.said())
        # It measures the time, which on a busy machine is another one
        warnings = [warning for warning in warnings if "hash algorithm used for this password takes" not in warning]
        assert not warnings, warnings

    def log_line(self) -> str:
        """The next line of the access log, without what syslog puts before it."""
        self._log.settimeout(10)
        while True:
            line = self._log.recv(65536).decode()
            if "haproxy[" in line and not re.search(r"\]: (Server|Proxy|backend|Health|\w+/\S+ changed)", line):
                return line.partition("]: ")[2].rstrip()

    def connect(self, port: int, source: str = "203.0.113.7") -> socket.socket:
        """A client's connection."""
        place = (self.net.address(self.own), self.net.port(port))
        connection = socket.create_connection(place, 10, (self.net.address(source), 0))
        # Longer than it takes to find out that a server is gone
        connection.settimeout(30)
        return connection

    def connect_tls(self, port: int, name: str, source: str = "203.0.113.7", **options: Any) -> ssl.SSLSocket:
        return tls(**options).wrap_socket(self.connect(port, source), server_hostname=name)

    def ask(
        self,
        url: str,
        method: str = "GET",
        *,
        source: str = "203.0.113.7",
        body: bytes | None = None,
        tls_options: Mapping[str, Any] | None = None,
        **headers: str,
    ) -> Answer:
        """The answer to one request of a new client; `X_Name="value"` is a header."""
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        if scheme == "https":
            connection: socket.socket = self.connect_tls(443, host, source, **(tls_options or {}))
        else:
            _, _, port = host.partition(":")
            connection = self.connect(int(port or 80), source)
        client = http.client.HTTPConnection(host)
        client.sock = connection
        with contextlib.closing(client):
            more = {name.replace("_", "-"): value for name, value in headers.items()}
            client.request(method, slash + path, body, {"Host": host, **more})
            response = client.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.body = status, body
        self.headers = {name.lower(): value for name, value in headers.items()}

    def __repr__(self) -> str:
        return f"{self.status} {self.headers} {self.body[:500]!r}"

    @property
    def seen(self) -> dict[str, Any]:
        """What the app has seen of the request."""
        assert self.status == 200, self
        return dict(json.loads(self.body))

    @property
    def server(self) -> str:
        return str(self.seen["server"])

    @property
    def cookie(self) -> str:
        return self.headers["set-cookie"].partition(";")[0]


def tls(certificate: Path | None = None, **settings: Any) -> ssl.SSLContext:
    """A client that takes any certificate, and has its own or none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate)
    for name, value in settings.items():
        setattr(context, name, value)
    return context


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 100
    context: ssl.SSLContext | None = None

    def get_request(self) -> Any:
        connection, address = super().get_request()
        if self.context:
            connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is none of the test's business."""


class Backend:
    """A server of any protocol: `serve` gets each connection."""

    def __init__(
        self, place: tuple[str, int], serve: Callable[[socket.socket], None], certificate: Path | None = None
    ) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                # Longer than a client waits, so that whoever ends a connection is not this one
                self.request.settimeout(60)
                with contextlib.suppress(OSError):
                    serve(self.request)

        self._start(place, Handler, certificate)

    def _start(self, place: tuple[str, int], handler: type, certificate: Path | None) -> None:
        self._server = _Server(place, handler)
        if certificate:
            self._server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._server.context.load_cert_chain(certificate)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class App(Backend):
    """An HTTP server that answers with what it has seen, or as `answers` says for a path."""

    def __init__(self, place: tuple[str, int], name: str, certificate: Path | None = None) -> None:
        self.name, self.answers, self.seen = name, dict[str, Any](), list[str]()
        self.before_body: Callable[[], object] = lambda: None
        app = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def answer(self) -> None:
                app.before_body()
                length = int(self.headers.get("Content-Length") or 0)
                text = self.rfile.read(length)
                path = self.path.partition("?")[0]
                app.seen.append(f"{self.command} {self.path}")
                if self.headers.get("Upgrade") == "websocket":
                    return self.echo()
                found = app.answers.get(path, 200)
                found = found(self.headers) if callable(found) else found
                status, headers, body = found if isinstance(found, tuple) else (found, {}, None)
                if body is None:
                    known = {
                        "server": app.name,
                        "method": self.command,
                        "path": self.path,
                        "headers": {key.lower(): value for key, value in self.headers.items()},
                        "client": self.client_address[0],
                        "body": len(text),
                    }
                    body = json.dumps(known).encode()
                self.send_response(status)
                for key, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_POST = do_HEAD = do_OPTIONS = do_PUT = do_DELETE = answer

            def echo(self) -> None:
                """A websocket's beginning, and then whatever comes."""
                self.send_response(101)
                self.send_header("Upgrade", "websocket")
                self.send_header("Connection", "Upgrade")
                key = f"{self.headers['Sec-WebSocket-Key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
                self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
                self.end_headers()
                while part := self.connection.recv(65536):
                    self.connection.sendall(app.name.encode() + b" " + part)
                self.close_connection = True

            def log_message(self, *_args: Any) -> None:
                pass

        self._start(place, Handler, certificate)
