# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each recipe of docs/recipes.md does in a real HAProxy what the page says that a client sees."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import re
import socket
import ssl
import struct
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_haproxy import haproxy_problems
from balancer import App, Backend, Balancer, Net
from haproxy_role import defaults, render
from support.programs import find_program
from support.waiting import wait_until
from test_docs_examples import OPTIONS, REPO, argument_spec, resolved

PAGE = REPO / "docs" / "recipes.md"
# What a recipe does not set is over in a moment
SHORT = {f"timeout {side}          60s": f"timeout {side}          200ms" for side in ("client", "server")}
SHORT_TUNNELS = {"timeout tunnel          1h": "timeout tunnel          200ms"}
OFFICE, ELSEWHERE = "192.0.2.9", "203.0.113.9"


def recipe(title: str) -> dict[str, Any]:
    """The settings of the recipe with this heading."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"docs/recipes.md has no recipe {title}"
    yamls = re.findall(r"^```yaml\n(.*?)^```$", found[1], re.MULTILINE | re.DOTALL)
    assert len(yamls) == 1, f"{title} must have one block of yaml"
    return dict(yaml.safe_load(yamls[0]))


class Kitchen:
    """Where a recipe is tried out."""

    def __init__(self, program: str, net: Net, etc: Path, folder: Path, stack: contextlib.ExitStack) -> None:
        self.program, self.net, self.etc, self.folder, self._stack = program, net, etc, folder, stack

    def balancer(
        self,
        title: str,
        *,
        changes: dict[str, str] | None = None,
        sources: dict[str, str] | None = None,
        own: str = "10.110.0.2",
        **variables: Any,
    ) -> Balancer:
        """HAProxy with this recipe; `sources` are the texts of its files on the controller, by name."""
        settings = recipe(title)
        # Group app is none of its business
        if settings.get("haproxy_bind") == "":
            settings["haproxy_servers"] = []
        values = resolved(settings, {}, **variables)
        listed = values.get("haproxy_files", []) if "haproxy_files" in OPTIONS else values.pop("haproxy_files", [])
        assert ArgumentSpecValidator(argument_spec(OPTIONS)).validate(values).error_messages == []
        assert haproxy_problems({**defaults(), **values}) == []
        files = {
            f"files/{file['name']}": self.net.moved(file.get("content") or (sources or {})[file["name"]], own)
            for file in listed
        }
        balancer = Balancer(
            self.program,
            self.net,
            # Few enough for the open files that anyone may have
            render(**values, **{"haproxy_maxconn": 1000} | variables),
            self.folder / f"lb-{own.rpartition('.')[2]}",
            self.etc,
            own=own,
            files=files,
            changes=changes,
        )
        self._stack.callback(balancer.close)
        return balancer

    def app(self, place: str, *, tls: bool = False) -> App:
        """An HTTP server where the recipe has one; its name is that place."""
        app = App(self.net.place(place), place, self.etc / "certs" / "site.pem" if tls else None)
        self._stack.callback(app.close)
        return app

    def apps(self) -> tuple[App, App]:
        """The hosts of group app."""
        return self.app("10.110.0.3:8000"), self.app("10.110.0.4:8000")

    def backend(self, place: str, serve: Callable[[socket.socket], None], *, tls: bool = False) -> Backend:
        backend = Backend(self.net.place(place), serve, self.etc / "certs" / "site.pem" if tls else None)
        self._stack.callback(backend.close)
        return backend

    def talkers(self, *places: str) -> None:
        """Servers that say their place to each client, and then repeat what it says."""
        for place in places:
            self.backend(place, lambda client, place=place: talk(client, place))  # type: ignore[misc]


def talk(client: socket.socket, place: str) -> None:
    client.sendall(f"{place}\n".encode())
    while part := client.recv(65536):
        client.sendall(part)


def line(client: socket.socket) -> str:
    """The next line that a server says; empty at the end of the connection."""
    text = b""
    while not text.endswith(b"\n") and (part := client.recv(1)):
        text += part
    return text.decode().strip()


def may_be_silent(client: socket.socket) -> bool:
    """Whether a connection lives on though nothing was said for longer than the defaults of `changes` allow."""
    client.settimeout(0.5)
    with contextlib.suppress(TimeoutError, ssl.SSLWantReadError):
        assert client.recv(1) == b"", "a server that spoke unasked"
        return False
    client.settimeout(10)
    client.sendall(b"still here\n")
    return line(client).endswith("still here")


def is_over(client: socket.socket) -> bool:
    """Whether the connection ends."""
    with contextlib.suppress(ConnectionError):
        return client.recv(1) == b""
    return True


def who_answers(talk_to: Callable[[], tuple[socket.socket, str]]) -> set[str]:
    """The servers of four connections that are open at once."""
    talks = [talk_to() for _ in range(4)]
    for client, _ in talks:
        client.close()
    return {name for _, name in talks}


def goes_where_room_is(lb: Balancer, backend: str, talk_to: Callable[[], tuple[socket.socket, str]]) -> bool:
    """Whether the backend chooses the server with the fewest connections; by turns, every other one goes elsewhere."""
    wait_until("no session", lambda: not any(lb.sessions(backend).values()))
    taken = [talk_to() for _ in range(4)]
    busy = taken[0][1]
    for client, name in taken:
        if name != busy:
            client.close()
    left = [name for _, name in taken].count(busy)
    wait_until("an idle server", lambda: sum(lb.sessions(backend).values()) == left)
    return busy not in [name for _, name in (talk_to(), talk_to())]


def websocket(client: socket.socket, host: str, path: str = "/live") -> str:
    """Become a websocket; the status that the server answers with."""
    client.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    text = b""
    while not text.endswith(b"\r\n\r\n"):
        part = client.recv(1)
        assert part, text
        text += part
    return text.decode().split()[1]


@pytest.fixture(scope="session")
def net() -> Iterator[Net]:
    with contextlib.closing(Net()) as found:
        yield found


@pytest.fixture
def kitchen(haproxy_program: str, net: Net, etc: Path, tmp_path: Path) -> Iterator[Kitchen]:
    with contextlib.ExitStack() as stack:
        yield Kitchen(haproxy_program, net, etc, tmp_path, stack)


def test_every_recipe_is_tried() -> None:
    headings = re.findall(r"^## (.*)$", PAGE.read_text(), re.MULTILINE)
    source = Path(__file__).read_text()

    assert len(headings) >= 25
    assert [heading for heading in headings if f'kitchen.balancer("{heading}"' not in source] == []


def test_table_of_the_page_has_every_recipe() -> None:
    text = PAGE.read_text()
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)

    assert sorted(re.findall(r"\[([^]]*)\]\(#", text[: text.index("## ")])) == sorted(headings)


def test_wordpress(kitchen: Kitchen) -> None:
    def ready(headers: Any) -> int:
        return 200 if headers["Host"] == "blog.example.org" and headers["X-Forwarded-Proto"] == "https" else 301

    one, two = kitchen.apps()
    one.answers["/wp-login.php"] = ready
    # It is not installed
    two.answers["/wp-login.php"] = 302
    lb = kitchen.balancer("WordPress")
    # With a plain `HEAD /wp-login.php` both would be down; and both would be up, if a redirection would do
    lb.wait_for(app__app_2="DOWN")
    assert one.seen[0] == "HEAD /wp-login.php"

    moved = lb.ask("http://blog.example.org/a?b=1")
    assert (moved.status, moved.headers["location"]) == (301, "https://blog.example.org/a?b=1")
    assert lb.ask("https://blog.example.org/").seen["headers"]["x-forwarded-proto"] == "https"
    assert lb.ask("https://blog.example.org/xmlrpc.php", "POST", source=OFFICE).status == 403
    assert lb.ask("https://blog.example.org/wp-admin/", source=OFFICE).status == 200
    assert lb.ask("https://blog.example.org/wp-admin/", source=ELSEWHERE).status == 403
    assert lb.ask("https://blog.example.org/wp-admin/admin-ajax.php", source=ELSEWHERE).status == 200
    tries = [lb.ask("https://blog.example.org/wp-login.php", "POST", source=ELSEWHERE).status for _ in range(6)]
    assert tries == [200] * 5 + [429]
    assert lb.ask("https://blog.example.org/wp-login.php", source=ELSEWHERE).status == 200
    assert lb.ask("https://blog.example.org/wp-login.php", "POST", source=OFFICE).status == 200


def test_nextcloud(kitchen: Kitchen) -> None:
    one, two = kitchen.apps()

    def status(maintenance: str) -> Callable[[Any], tuple[int, dict[str, str], bytes]]:
        text = f'{{"installed":true,"maintenance":{maintenance}}}'.encode()
        return lambda headers: (200, {}, text) if headers["Host"] == "cloud.example.org" else (400, {}, b"")

    one.answers["/status.php"], two.answers["/status.php"] = status("false"), status("true")
    offices = [kitchen.app(place) for place in ("10.110.0.21:9980", "10.110.0.22:9980")]
    lb = kitchen.balancer("Nextcloud", changes=SHORT_TUNNELS)
    lb.wait_for(app__app_2="DOWN")
    assert {office.seen[0] for office in offices} == {"GET /hosting/discovery"}

    assert lb.ask("http://cloud.example.org/").headers["location"] == "https://cloud.example.org/"
    answers = [lb.ask("https://cloud.example.org/") for _ in range(4)]
    assert {answer.server for answer in answers} == {one.name}
    assert answers[0].headers["set-cookie"] == "SERVERID=app-1; path=/; HttpOnly; Secure"
    editing = lb.connect_tls(443, "cloud.example.org")
    assert websocket(editing, "cloud.example.org", "/cool/x?WOPISrc=x") == "101"
    assert may_be_silent(editing)
    for name in ("caldav", "carddav"):
        moved = lb.ask(f"https://cloud.example.org/.well-known/{name}")
        assert (moved.status, moved.headers["location"]) == (301, "/remote.php/dav")
    # Two who edit a document meet; documents are spread
    found = {
        n: {lb.ask(f"https://cloud.example.org/cool/ws?WOPISrc=doc{n}").server for _ in range(3)} for n in range(8)
    }
    assert {len(servers) for servers in found.values()} == {1}
    assert set.union(*found.values()) == {"10.110.0.21:9980", "10.110.0.22:9980"}


def test_gitlab(kitchen: Kitchen) -> None:
    one, _ = kitchen.app("10.110.0.11:80"), kitchen.app("10.110.0.12:80")
    registries = [kitchen.app(place) for place in ("10.110.0.11:5000", "10.110.0.12:5000")]
    for registry in registries:
        registry.answers["/v2/"] = 401
    kitchen.talkers("10.110.0.11:22", "10.110.0.12:22")
    lb = kitchen.balancer("GitLab")
    lb.wait_for()

    assert {registry.seen[0] for registry in registries} == {"GET /v2/"}
    assert lb.ask("http://gitlab.example.org/").status == 301
    assert lb.ask("https://gitlab.example.org/").server.endswith(":80")
    assert lb.ask("https://registry.example.org/v2/app").server.endswith(":5000")

    def ssh() -> tuple[socket.socket, str]:
        client = lb.connect(2222)
        return client, line(client)

    assert who_answers(ssh) == {"10.110.0.11:22", "10.110.0.12:22"}
    assert goes_where_room_is(lb, "git", ssh)
    one.answers["/-/readiness"] = 503
    lb.wait_for(app__gitlab_1="DOWN", git__gitlab_1="DOWN")
    assert who_answers(ssh) == {"10.110.0.12:22"}


def test_websockets(kitchen: Kitchen) -> None:
    kitchen.apps()
    live = [kitchen.app(place) for place in ("10.110.0.3:9000", "10.110.0.4:9000")]
    lb = kitchen.balancer("Websockets", changes=SHORT | SHORT_TUNNELS)
    lb.wait_for()
    assert {app.seen[0] for app in live} == {"GET /readyz"}

    def open_one() -> tuple[socket.socket, str]:
        client = lb.connect(80)
        assert websocket(client, "www.example.org") == "101"
        client.sendall(b"hello\n")
        return client, line(client)

    sessions = [open_one() for _ in range(4)]
    assert Counter(said for _, said in sessions) == {f"{app.name} hello": 2 for app in live}
    assert may_be_silent(sessions[0][0])
    for client, _ in sessions:
        client.close()
    assert goes_where_room_is(lb, "live", open_one)
    assert lb.ask("http://www.example.org/").server.endswith(":8000")


def test_grpc(kitchen: Kitchen) -> None:
    from concurrent.futures import ThreadPoolExecutor

    import grpc

    class Echo(grpc.GenericRpcHandler):
        def __init__(self, place: str) -> None:
            self.place = place

        def service(self, call: Any) -> Any:
            if call.method == "/test.Echo/Name":
                return grpc.unary_unary_rpc_method_handler(
                    lambda request, _: f"{self.place} {request.decode()}".encode()
                )
            if call.method == "/test.Echo/Stream":
                return grpc.stream_stream_rpc_method_handler(lambda requests, _: (part * 2 for part in requests))
            if call.method == "/test.Echo/Missing":
                return grpc.unary_unary_rpc_method_handler(
                    lambda _, context: context.abort(grpc.StatusCode.NOT_FOUND, "no")
                )
            return None

    for place in ("10.110.0.3:8000", "10.110.0.4:8000"):
        server = grpc.server(ThreadPoolExecutor(4), [Echo(place)])
        server.add_insecure_port("{}:{}".format(*kitchen.net.place(place)))
        server.start()
        kitchen._stack.callback(server.stop, 0)
    lb = kitchen.balancer("gRPC")
    lb.wait_for()

    certificate = (kitchen.etc / "certs" / "site.pem").read_bytes()
    channel = grpc.secure_channel(
        "{}:{}".format(*kitchen.net.place("10.110.0.2:443")),
        grpc.ssl_channel_credentials(certificate),
        [("grpc.ssl_target_name_override", "example.org")],
    )
    with channel:
        name = channel.unary_unary("/test.Echo/Name")
        # In mode tcp one server would have all calls of a channel
        assert {name(b"hi", timeout=10).decode() for _ in range(4)} == {"10.110.0.3:8000 hi", "10.110.0.4:8000 hi"}
        stream = channel.stream_stream("/test.Echo/Stream")
        assert list(stream(iter([b"a", b"b"]), timeout=10)) == [b"aa", b"bb"]
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary("/test.Echo/Missing")(b"", timeout=10)
        # In a trailer
        assert error.value.code() == grpc.StatusCode.NOT_FOUND


def test_rewriting_paths(kitchen: Kitchen) -> None:
    kitchen.apps()
    shop = kitchen.app("10.110.0.21:8080")
    shop.answers["/old"] = (302, {"Location": "/login?next=/", "Set-Cookie": "sid=1; Path=/; HttpOnly"}, b"")
    shop.answers["/home"] = (302, {"Location": "/"}, b"")
    shop.answers["/away"] = (302, {"Location": "//cdn.example.org/x"}, b"")
    lb = kitchen.balancer("Rewriting paths")
    lb.wait_for()
    assert shop.seen[0] == "GET /healthz"

    seen = lb.ask("http://www.example.org/shop/cart?id=/shop/1").seen
    assert (seen["path"], seen["server"]) == ("/cart?id=/shop/1", shop.name)
    assert seen["headers"]["x-forwarded-prefix"] == "/shop"
    assert lb.ask("http://www.example.org/shop").headers["location"] == "/shop/"
    answer = lb.ask("http://www.example.org/shop/old")
    assert answer.headers["location"] == "/shop/login?next=/"
    assert answer.headers["set-cookie"] == "sid=1; Path=/shop/; HttpOnly"
    assert lb.ask("http://www.example.org/shop/home").headers["location"] == "/shop/"
    assert lb.ask("http://www.example.org/shop/away").headers["location"] == "//cdn.example.org/x"
    assert lb.ask("http://www.example.org/shops").seen["path"] == "/shops"


async def http3(place: tuple[str, int], name: str, path: str) -> tuple[int, dict[str, Any]]:
    """The status of a page, and what the app has seen of the request."""
    from aioquic.asyncio.client import connect
    from aioquic.asyncio.protocol import QuicConnectionProtocol
    from aioquic.h3.connection import H3_ALPN, H3Connection
    from aioquic.h3.events import DataReceived, HeadersReceived
    from aioquic.quic.configuration import QuicConfiguration

    class Client(QuicConnectionProtocol):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            self.http, self.status, self.body = H3Connection(self._quic), 0, b""
            self.over = asyncio.get_running_loop().create_future()

        def quic_event_received(self, event: Any) -> None:
            for part in self.http.handle_event(event):
                if isinstance(part, HeadersReceived):
                    self.status = int(dict(part.headers)[b":status"])
                elif isinstance(part, DataReceived):
                    self.body += part.data
                if part.stream_ended:
                    self.over.set_result(None)

    configuration = QuicConfiguration(alpn_protocols=H3_ALPN, server_name=name, verify_mode=ssl.CERT_NONE)
    async with asyncio.timeout(10), connect(*place, configuration=configuration, create_protocol=Client) as client:
        fields = {":method": "GET", ":scheme": "https", ":authority": name, ":path": path}
        stream = client._quic.get_next_available_stream_id()
        client.http.send_headers(stream, [(key.encode(), value.encode()) for key, value in fields.items()], True)
        client.transmit()
        await client.over
        return client.status, json.loads(client.body)


def test_http3(kitchen: Kitchen) -> None:
    if "+QUIC" not in subprocess.run([kitchen.program, "-vv"], capture_output=True, text=True).stdout:
        pytest.skip("this HAProxy is built without QUIC, as the page says")
    kitchen.apps()
    lb = kitchen.balancer("HTTP/3")
    lb.wait_for()

    assert lb.ask("https://www.example.org/").headers["alt-svc"] == 'h3=":443"; ma=86400'
    unsafe = lb.ask("http://www.example.org/")
    assert unsafe.headers["location"] == "https://www.example.org/"
    assert "alt-svc" not in unsafe.headers
    status, seen = asyncio.run(http3(kitchen.net.place("10.110.0.2:443"), "www.example.org", "/a"))
    assert status == 200
    assert seen["path"] == "/a"
    assert seen["headers"]["host"] == "www.example.org"
    assert seen["headers"]["x-forwarded-proto"] == "https"


def test_rate_limit_by_key(kitchen: Kitchen) -> None:
    kitchen.apps()
    lb = kitchen.balancer("Rate limit by key", changes={"gt 600": "gt 3", "gt 2000": "gt 12"})
    lb.wait_for()

    def ask(key: str, source: str) -> int:
        return lb.ask("http://api.example.org/api/x", source=source, X_API_Key=key).status

    assert lb.ask("http://api.example.org/api/x").status == 401
    assert lb.ask("http://api.example.org/").status == 200
    # By address, none of them would reach the limit
    assert [ask("one", f"203.0.113.{number}") for number in range(20, 25)] == [200] * 3 + [429] * 2
    assert ask("two", "203.0.113.20") == 200
    refused = lb.ask("http://api.example.org/api/x", X_API_Key="one")
    assert (refused.headers["retry-after"], json.loads(refused.body)) == ("60", {"error": "too many requests"})
    assert [ask(f"invented-{number}", "203.0.113.30") for number in range(13)] == [200] * 12 + [429]


def test_cors(kitchen: Kitchen) -> None:
    one, two = kitchen.apps()
    for app in (one, two):
        app.answers["/api/broken"] = 500
    lb = kitchen.balancer("CORS")
    lb.wait_for()
    friend, stranger = "https://shop.example.org", "https://evil.example.net"

    asked = lb.ask("http://a.example.org/api/x", "OPTIONS", Origin=friend, Access_Control_Request_Method="PUT")
    assert asked.status == 204
    assert asked.headers["access-control-allow-origin"] == friend
    assert "PUT" in asked.headers["access-control-allow-methods"]
    assert "Authorization" in asked.headers["access-control-allow-headers"]
    assert asked.headers["access-control-max-age"] == "3600"
    assert one.seen + two.seen == []
    # An error has to be readable, too
    for path in ("x", "broken"):
        answer = lb.ask(f"http://a.example.org/api/{path}", Origin=friend)
        assert answer.headers["access-control-allow-origin"] == friend
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["vary"] == "Origin"
    for method in ("GET", "OPTIONS"):
        answer = lb.ask("http://a.example.org/api/x", method, Origin=stranger, Access_Control_Request_Method="PUT")
        assert "access-control-allow-origin" not in answer.headers
        # A cache must not hand this answer to a friend
        assert answer.headers["vary"] == "Origin"
    outside = lb.ask("http://a.example.org/page", Origin=friend).headers
    assert not {"access-control-allow-origin", "vary"} & set(outside)


def test_https_everywhere(kitchen: Kitchen) -> None:
    for app in kitchen.apps():
        app.answers["/frame"] = (200, {"X-Frame-Options": "DENY"}, b"{}")
    lb = kitchen.balancer("HTTPS everywhere")
    lb.wait_for()

    hops = [lb.ask("http://example.org/a"), lb.ask("https://example.org/a"), lb.ask("https://www.example.org/a")]
    assert [hop.headers.get("location") for hop in hops] == ["https://example.org/a", "https://www.example.org/a", None]
    policy = [hop.headers.get("strict-transport-security") for hop in hops]
    # With http-response, the second would have none
    assert policy == [None] + ["max-age=31536000; includeSubDomains"] * 2
    assert {hop.headers["x-content-type-options"] for hop in hops} == {"nosniff"}
    assert {hop.headers["referrer-policy"] for hop in hops} == {"strict-origin-when-cross-origin"}
    assert hops[2].headers["x-frame-options"] == "SAMEORIGIN"
    assert lb.ask("https://www.example.org/frame").headers["x-frame-options"] == "DENY"
    assert "server" not in hops[2].headers


def test_basic_authentication(kitchen: Kitchen) -> None:
    kitchen.apps()
    lb = kitchen.balancer("Basic authentication")
    lb.wait_for()
    ada, alan, wrong = "Basic YWRhOmxvdmVsYWNl", "Basic YWxhbjp0dXJpbmc=", "Basic YWRhOnR1cmluZw=="

    asked = lb.ask("http://www.example.org/internal/x")
    assert (asked.status, asked.headers["www-authenticate"]) == (401, 'Basic realm="Staff"')
    assert lb.ask("http://www.example.org/internal/x", Authorization=wrong).status == 401
    seen = lb.ask("http://www.example.org/internal/x", Authorization=alan, X_User="ada").seen["headers"]
    assert seen["x-user"] == "alan"
    assert "authorization" not in seen
    assert lb.ask("http://www.example.org/internal/edit/x", Authorization=ada).status == 200
    assert lb.ask("http://www.example.org/internal/edit/x", Authorization=alan).status == 403
    public = lb.ask("http://www.example.org/", Authorization="Bearer x", X_User="ada").seen["headers"]
    assert "x-user" not in public
    assert public["authorization"] == "Bearer x"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two CAs, and a client certificate of each."""
    folder = tmp_path_factory.mktemp("authority")
    openssl, new = find_program("openssl"), "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"

    def run(command: str) -> None:
        subprocess.run([openssl, *command.split()], cwd=folder, check=True, capture_output=True)

    for ca, client in (("partners", "acme"), ("strangers", "mallory")):
        run(f"req -x509 {new} -subj /CN={ca} -days 2 -keyout {ca}.key -out {ca}.crt")
        run(f"req {new} -subj /CN={client} -keyout {client}.key -out {client}.csr")
        run(f"x509 -req -in {client}.csr -CA {ca}.crt -CAkey {ca}.key -CAcreateserial -days 2 -out {client}.crt")
        (folder / f"{client}.pem").write_text(
            (folder / f"{client}.key").read_text() + (folder / f"{client}.crt").read_text()
        )
    return folder


def test_client_certificates(kitchen: Kitchen, authority: Path) -> None:
    kitchen.apps()
    sources = {"partners-ca.pem": (authority / "partners.crt").read_text()}
    lb = kitchen.balancer("Client certificates", sources=sources)
    lb.wait_for()
    acme = {"certificate": authority / "acme.pem"}

    assert lb.ask("https://api.example.org/partners/x").status == 403
    assert "x-partner" not in lb.ask("https://api.example.org/", X_Partner="acme").seen["headers"]
    seen = lb.ask("https://api.example.org/partners/x", tls_options=acme, X_Partner="mallory").seen["headers"]
    assert seen["x-partner"] == "acme"
    # With `ca-ignore-err all` it would come in
    with pytest.raises((ssl.SSLError, ConnectionError)):
        lb.ask("https://api.example.org/", tls_options={"certificate": authority / "mallory.pem"})


def test_blocked_addresses_and_bots(kitchen: Kitchen) -> None:
    kitchen.apps()
    lb = kitchen.balancer("Blocked addresses and bots")
    lb.wait_for()

    for source in ("198.51.100.66", "203.0.113.200"):
        with pytest.raises((ConnectionError, OSError)):
            lb.ask("http://www.example.org/", source=source)
    for source in ("198.51.100.67", "203.0.113.100"):
        assert lb.ask("http://www.example.org/", source=source).status == 200
    assert lb.ask("http://www.example.org/", User_Agent="Mozilla/5.0 (EvilBot/2.0)").status == 403
    assert lb.ask("http://www.example.org/robots.txt", User_Agent="Mozilla/5.0 (EvilBot/2.0)").status == 200
    assert lb.ask("http://www.example.org/", User_Agent="Mozilla/5.0").status == 200


def proxied(client: socket.socket) -> str:
    """The address of a client that a PROXY header of version 1 or 2 tells; nothing for one of HAProxy's own checks."""
    start = client.recv(12, socket.MSG_WAITALL)
    if start != b"\r\n\r\n\0\r\nQUIT\n":
        words = (start + line(client).encode()).decode().split()
        return words[2] if words[:2] == ["PROXY", "TCP4"] else ""
    kind, _, length = struct.unpack("!BBH", client.recv(4, socket.MSG_WAITALL))
    rest = client.recv(length, socket.MSG_WAITALL)
    return socket.inet_ntoa(rest[:4]) if kind & 15 else ""


def test_tls_by_name_passed_through(kitchen: Kitchen) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(kitchen.etc / "certs" / "site.pem")

    def serve(place: str) -> Callable[[socket.socket], None]:
        def with_tls(client: socket.socket) -> None:
            address = proxied(client)
            with context.wrap_socket(client, server_side=True) as secure:
                secure.sendall(f"{place} {address}\n".encode())

        return with_tls

    for place in ("10.110.0.21:443", "10.110.0.31:443"):
        kitchen.backend(place, serve(place))
    lb = kitchen.balancer("TLS by name, passed through")
    lb.wait_for()
    client = kitchen.net.address(ELSEWHERE)

    def ask(name: str) -> str:
        with lb.connect_tls(443, name, ELSEWHERE) as connection:
            return line(connection)

    assert ask("shop.example.org") == f"10.110.0.21:443 {client}"
    assert ask("SHOP.example.org") == f"10.110.0.21:443 {client}"
    assert ask("acme.tenants.example.org") == f"10.110.0.31:443 {client}"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask("www.example.org")
    with lb.connect(443) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: shop.example.org\r\n\r\n")
        assert is_over(plain)


def test_postgresql_with_patroni(kitchen: Kitchen) -> None:
    nodes = [f"10.110.0.{number}" for number in (31, 32, 33)]
    kitchen.talkers(*(f"{node}:5432" for node in nodes))
    patroni = [kitchen.app(f"{node}:8008") for node in nodes]

    def lead(leader: App | None) -> None:
        for node in patroni:
            node.answers["/primary"] = 200 if node is leader else 503
            node.answers["/replica"] = 503 if node is leader else 200

    lead(patroni[0])
    lb = kitchen.balancer("PostgreSQL with Patroni")
    down = {f"postgresql_primary__db_{number}": "DOWN" for number in (2, 3)}
    lb.wait_for(postgresql_replicas__db_1="DOWN", **down)

    session = lb.connect(5000)
    assert line(session) == "10.110.0.31:5432"

    def read() -> tuple[socket.socket, str]:
        client = lb.connect(5001)
        return client, line(client)

    assert who_answers(read) == {"10.110.0.32:5432", "10.110.0.33:5432"}
    assert goes_where_room_is(lb, "postgresql_replicas", read)
    lead(patroni[1])
    down = {f"postgresql_primary__db_{number}": "DOWN" for number in (1, 3)}
    lb.wait_for(postgresql_replicas__db_2="DOWN", **down)
    # Without on-marked-down it would go on writing to a replica
    assert is_over(session)
    assert line(lb.connect(5000)) == "10.110.0.32:5432"


class Redis:
    """What checks ask a Redis server or a sentinel, and a client that PINGs."""

    def __init__(self, place: str) -> None:
        self.place, self.role, self.master = place, "master", ""

    def serve(self, client: socket.socket) -> None:
        known = False
        while (command := line(client)) != "QUIT" and command:
            words = command.split()
            if words[0] == "AUTH":
                known = words[1] == "a-secret"
                answer = "+OK" if known else "-WRONGPASS"
            elif words[0] == "SENTINEL":
                answer = f"*2\r\n${len(self.master)}\r\n{self.master}\r\n$4\r\n6379"
            elif not known:
                answer = "-NOAUTH"
            elif words[0] == "INFO":
                answer = f"$99\r\n# Replication\r\nrole:{self.role}"
            else:
                answer = f"+{self.place}"
            client.sendall(f"{answer}\r\n".encode())


def test_redis_with_sentinel(kitchen: Kitchen) -> None:
    redis = [Redis(f"10.110.0.{number}:6379") for number in (31, 32)]
    sentinels = [Redis(f"10.110.0.{number}:26379") for number in (31, 32, 33)]
    for server in redis + sentinels:
        kitchen.backend(server.place, server.serve)
    for sentinel in sentinels:
        sentinel.master = kitchen.net.address("10.110.0.31")
    redis[1].role = "slave"
    lb = kitchen.balancer("Redis with Sentinel")

    def name() -> str:
        with contextlib.closing(lb.connect(6379)) as client, contextlib.suppress(ConnectionError):
            client.sendall(b"AUTH a-secret\r\nPING\r\n")
            return line(client) + line(client)
        return ""

    wait_until("the first master", lambda: name() == "+OK+10.110.0.31:6379")
    # Two sentinels have another master; the first one was cut off and does not know it
    redis[1].role = "master"
    for sentinel in sentinels[1:]:
        sentinel.master = kitchen.net.address("10.110.0.32")
    wait_until("the second master", lambda: name() == "+OK+10.110.0.32:6379")
    # By its role alone, both would be up
    assert {name() for _ in range(6)} == {"+OK+10.110.0.32:6379"}
    session = lb.connect(6379)
    redis[1].role = "slave"
    wait_until("nobody who agrees", lambda: name() == "")
    assert is_over(session)
    redis[1].role = "master"
    wait_until("the second master again", lambda: name() == "+OK+10.110.0.32:6379")
    sentinels[2].master = ""
    wait_until("no majority", lambda: name() == "")


def test_mariadb_with_galera(kitchen: Kitchen) -> None:
    nodes = [f"10.110.0.{number}" for number in (31, 32, 33)]
    kitchen.talkers(*(f"{node}:3306" for node in nodes))
    checks = [kitchen.app(f"{node}:9200") for node in nodes]
    lb = kitchen.balancer("MariaDB with Galera")
    lb.wait_for()

    session = lb.connect(3306)
    assert line(session) == "10.110.0.31:3306"
    assert {line(lb.connect(3306, f"203.0.113.{number}")) for number in range(1, 5)} == {"10.110.0.31:3306"}
    checks[0].answers["/"] = 503
    lb.wait_for(galera__db_1="DOWN")
    assert is_over(session)
    assert line(lb.connect(3306)) == "10.110.0.32:3306"
    checks[0].answers["/"] = 200
    lb.wait_for()
    # Without the stick table, the first one would have them again while the second one has open transactions
    assert {line(lb.connect(3306, f"203.0.113.{number}")) for number in range(1, 5)} == {"10.110.0.32:3306"}


def test_rabbitmq(kitchen: Kitchen) -> None:
    pages = [kitchen.app(place) for place in ("10.110.0.41:15672", "10.110.0.42:15672")]
    kitchen.talkers("10.110.0.41:5672")
    other = kitchen.backend("10.110.0.42:5672", lambda client: talk(client, "10.110.0.42:5672"))
    lb = kitchen.balancer("RabbitMQ", changes=SHORT | SHORT_TUNNELS)
    lb.wait_for()
    assert {page.seen[0] for page in pages} == {"GET /"}

    def amqp() -> tuple[socket.socket, str]:
        client = lb.connect(5672)
        return client, line(client)

    sessions = [amqp() for _ in range(4)]
    names = [name for _, name in sessions]
    assert Counter(names) == {"10.110.0.41:5672": 2, "10.110.0.42:5672": 2}
    assert may_be_silent(sessions[0][0])
    for client, _ in sessions:
        client.close()
    assert goes_where_room_is(lb, "rabbitmq", amqp)
    sessions = [amqp() for _ in range(4)]
    names = [name for _, name in sessions]
    first = lb.ask("http://rabbit.example.org:15672/")
    again = {lb.ask("http://rabbit.example.org:15672/", Cookie=first.cookie).server for _ in range(4)}
    assert again == {first.server}
    other.close()
    lb.wait_for(rabbitmq__rabbit_2="DOWN")
    assert is_over(sessions[names.index("10.110.0.42:5672")][0])
    assert line(lb.connect(5672)) == "10.110.0.41:5672"


def test_mail_with_the_proxy_protocol(kitchen: Kitchen) -> None:
    farewells: list[str] = []

    def smtp(client: socket.socket) -> None:
        address = proxied(client)
        client.sendall(f"220 mail ESMTP for {address} at {client.getsockname()[0]}\r\n".encode())
        while command := line(client):
            farewells.append(command)
            client.sendall(b"250 fine\r\n" if command != "QUIT" else b"221 bye\r\n")

    def imap(client: socket.socket) -> None:
        client.sendall(f"* OK for {proxied(client)} at {client.getsockname()[0]}\r\n".encode())

    for host in ("10.110.0.41", "10.110.0.42"):
        kitchen.backend(f"{host}:25", smtp)
        kitchen.backend(f"{host}:993", imap)
    lb = kitchen.balancer("Mail with the PROXY protocol")
    lb.wait_for()
    address = kitchen.net.address(ELSEWHERE)

    def deliver() -> tuple[socket.socket, str]:
        client = lb.connect(25, ELSEWHERE)
        greeting = line(client)
        assert greeting.startswith(f"220 mail ESMTP for {address} ")
        return client, greeting

    assert goes_where_room_is(lb, "smtp_servers", deliver)
    # One client stays at one server
    mailboxes = {line(lb.connect(993, ELSEWHERE)) for _ in range(4)}
    assert [greeting.partition(" at")[0] for greeting in mailboxes] == [f"* OK for {address}"]
    wait_until("checks that take their leave", lambda: "QUIT" in farewells)
    assert set(farewells) == {"EHLO lb.example.org", "QUIT"}


def test_kubernetes_api(kitchen: Kitchen) -> None:
    servers = [kitchen.app(f"10.110.0.{number}:6443", tls=True) for number in (51, 52, 53)]
    servers[2].answers["/readyz"] = 500
    lb = kitchen.balancer("Kubernetes API", changes=SHORT | SHORT_TUNNELS)
    lb.wait_for(apiservers__control_3="DOWN")

    def watch() -> tuple[socket.socket, str]:
        """As kubectl logs -f does."""
        client = lb.connect_tls(6443, "kubernetes")
        assert websocket(client, "kubernetes") == "101"
        client.sendall(b"hello\n")
        return client, line(client)

    session, name = watch()
    assert may_be_silent(session)
    assert {name, watch()[1]} == {f"{server.name} hello" for server in servers[:2]}
    session.close()
    servers[0].answers["/readyz"] = servers[1].answers["/readyz"] = 500
    servers[2].answers["/readyz"] = 200
    session = watch()[0]
    lb.wait_for(apiservers__control_1="DOWN", apiservers__control_2="DOWN")
    assert is_over(session)
    assert watch()[1] == f"{servers[2].name} hello"


def test_blue_and_green_by_weight(kitchen: Kitchen) -> None:
    blue, green = kitchen.apps()
    lb = kitchen.balancer("Blue and green by weight")
    lb.wait_for()
    assert {blue.seen[0], green.seen[0]} == {"GET /readyz"}

    found = Counter(lb.ask("http://www.example.org/").server for _ in range(100))
    # Without weights, half of them
    assert 9 <= found[green.name] <= 11
    first = lb.ask("http://www.example.org/")
    assert {lb.ask("http://www.example.org/", Cookie=first.cookie).server for _ in range(20)} == {first.server}
    for cookie, release, app in (("green-1", "blue", blue), ("blue-1", "green", green)):
        answer = lb.ask("http://www.example.org/", Cookie=f"RELEASE={cookie}", X_Release=release)
        assert answer.server == app.name


def test_names_from_a_map(kitchen: Kitchen) -> None:
    kitchen.apps()
    shop = kitchen.app("10.110.0.21:8080")
    lb = kitchen.balancer("Names from a map")
    lb.wait_for()
    assert shop.seen[0] == "GET /healthz"

    for name in ("shop.example.org", "shop.example.net", "SHOP.example.org", "shop.example.org:80"):
        assert lb.ask(f"http://{name}/").server == shop.name
    for name in ("www.example.org", "other.example.org"):
        assert lb.ask(f"http://{name}/").server.endswith(":8000")
    moved = [lb.ask(f"http://www.example.org/{path}") for path in ("old-page", "prices", "prices/1")]
    assert [(one.status, one.headers.get("location")) for one in moved] == [
        (301, "/new-page"),
        (301, "https://shop.example.org/prices"),
        (200, None),
    ]


class Dns:
    """A name server that knows SRV records of one name, and the addresses of their targets."""

    def __init__(self, place: tuple[str, int]) -> None:
        self.servers: list[tuple[str, int]] = []
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        self._socket.bind(place)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                question, client = self._socket.recvfrom(4096)
                if not question:
                    return
                self._socket.sendto(self._answer(question), client)

    def _answer(self, question: bytes) -> bytes:
        end = question.index(b"\0", 12) + 5
        kind = struct.unpack("!H", question[end - 4 : end - 2])[0]
        asked = question[12 : end - 4]
        answers, additional = [], []
        for address, port in self.servers:
            label = address.replace(".", "-").encode()
            target = bytes([len(label)]) + label + b"\4node\0"
            record = target + struct.pack("!HHIH", 1, 1, 1, 4) + socket.inet_aton(address)
            if kind == 33:
                data = struct.pack("!HHH", 1, 1, port) + target
                answers.append(asked + struct.pack("!HHIH", 33, 1, 1, len(data)) + data)
                additional.append(record)
            elif kind == 1 and asked == target:
                answers.append(record)
        head = question[:2] + struct.pack("!HHHHH", 0x8580, 1, len(answers), 0, len(additional))
        return head + question[12:end] + b"".join(answers + additional)

    def close(self) -> None:
        # A thread that waits would keep the address
        with socket.socket(type=socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self._socket.getsockname())
        self._thread.join(10)
        self._socket.close()


def test_servers_from_dns(kitchen: Kitchen) -> None:
    apps = [kitchen.app(f"10.110.0.{number}:8000") for number in (61, 62, 63)]
    dns = Dns(kitchen.net.place("10.110.0.2:8600"))
    kitchen._stack.callback(dns.close)
    places = [kitchen.net.place(app.name) for app in apps]
    dns.servers = places[:2]
    # The kernel's ports are above those of Net
    quick = {"hold valid 5s": "hold valid 50ms\n    hold obsolete 50ms\n    timeout resolve 50ms"}
    lb = kitchen.balancer("Servers from DNS", changes=quick)

    def found() -> set[str]:
        answers = [lb.ask("http://www.example.org/") for _ in range(6)]
        return {answer.server for answer in answers if answer.status == 200}

    wait_until("both servers", lambda: found() == {apps[0].name, apps[1].name})
    dns.servers = places[1:]
    wait_until("the third instead of the first", lambda: found() == {apps[1].name, apps[2].name})


def test_peers(kitchen: Kitchen) -> None:
    kitchen.apps()
    one = kitchen.balancer("Peers", inventory_hostname="lb-1")
    two = kitchen.balancer("Peers", inventory_hostname="lb-2", own="10.110.0.5")
    for lb in (one, two):
        lb.wait_for()
        # If it does not know itself by name, HAProxy only warns, and does without
        assert "peers" not in lb.said().replace(str(lb.folder), "")
    clients = [f"203.0.113.{number}" for number in range(1, 7)]

    first = [one.ask("http://www.example.org/", source=client).server for client in clients]
    assert len(set(first)) == 2
    wait_until("the table at the other one", lambda: "used:6" in two.tell("show table app"))
    # By chance, one in 64
    assert [two.ask("http://www.example.org/", source=client).server for client in reversed(clients)] == first[::-1]


def test_log_as_json(kitchen: Kitchen) -> None:
    kitchen.apps()
    lb = kitchen.balancer("Log as JSON")
    lb.wait_for()

    lb.ask('http://www.example.org/a?b="c"', User_Agent='Odd "agent" \\ of\tours', source=ELSEWHERE)
    entry = json.loads(lb.log_line())
    assert entry["agent"] == 'Odd "agent" \\ of\tours'
    assert entry["host"] == "www.example.org"
    assert entry["client"] == kitchen.net.address(ELSEWHERE)
    assert (entry["method"], entry["uri"], entry["status"], entry["end"]) == ("GET", '/a?b="c"', 200, "----")
    assert entry["server"] in ("app/app-1", "app/app-2")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", entry["time"])


def test_caching(kitchen: Kitchen) -> None:
    apps = kitchen.apps()
    for app in apps:
        app.answers["/static/app.js"] = (200, {"Cache-Control": "max-age=60"}, b"{}")
        app.answers["/page"] = (200, {"Cache-Control": "max-age=60"}, b"{}")
        app.answers["/static/private"] = (200, {"Cache-Control": "private"}, b"{}")
    lb = kitchen.balancer("Caching")
    lb.wait_for()

    def asked(path: str) -> int:
        for _ in range(4):
            assert lb.ask(f"http://www.example.org{path}").status == 200
        return sum(app.seen.count(f"GET {path}") for app in apps)

    assert (asked("/static/app.js"), asked("/page"), asked("/static/private")) == (1, 4, 4)
    assert "age" in lb.ask("http://www.example.org/static/app.js").headers


def test_compression(kitchen: Kitchen) -> None:
    text = b"a text that repeats itself; " * 100
    for app in kitchen.apps():
        app.answers["/page"] = (200, {"Content-Type": "text/html; charset=utf-8"}, text)
        app.answers["/picture"] = (200, {"Content-Type": "image/png"}, text)
        app.answers["/packed"] = (200, {"Content-Type": "text/html", "Content-Encoding": "br"}, text)
    lb = kitchen.balancer("Compression")
    lb.wait_for()

    answer = lb.ask("http://www.example.org/page", Accept_Encoding="gzip, br")
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body) == text
    assert len(answer.body) < len(text) / 4
    for path, encoding in (("picture", None), ("packed", "br")):
        answer = lb.ask(f"http://www.example.org/{path}", Accept_Encoding="gzip, br")
        assert (answer.headers.get("content-encoding"), answer.body) == (encoding, text)
    assert "content-encoding" not in lb.ask("http://www.example.org/page", Accept_Encoding="identity").headers
