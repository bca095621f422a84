# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients get and servers see, with the configuration of vars/main.yml."""

from __future__ import annotations

import base64
import http.client
import json
import re
import shlex
import socket
import ssl
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from http.cookies import SimpleCookie

import pytest
from balancer import LOG, Balancer, Reply, fresh, proxy_header
from support import REPO
from support.waiting import wait_until

FORGED = {"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1", "X-Forwarded-Proto": "https"}

# Algorithms


def test_roundrobin_gives_each_server_the_same_number(balancer: Balancer) -> None:
    assert balancer.spread("app") == dict.fromkeys(balancer.servers, 100)


def test_static_rr_follows_the_weights(balancer: Balancer) -> None:
    assert list(balancer.spread("static_rr").values()) == [50, 100, 150]


def test_leastconn_takes_the_idle_server(balancer: Balancer) -> None:
    with balancer.held("leastconn", 2) as busy:
        (idle,) = set(balancer.servers) - set(busy)
        assert balancer.spread("leastconn", one_connection=True) == dict.fromkeys(balancer.servers, 0) | {idle: 300}


def test_first_takes_the_second_server_only_when_the_first_is_full(balancer: Balancer) -> None:
    first, second, _ = balancer.servers
    assert balancer.spread("first", one_connection=True) == dict.fromkeys(balancer.servers, 0) | {first: 300}
    with balancer.held("first", 1) as full:
        assert full == [first]
        assert balancer.spread("first", one_connection=True) == dict.fromkeys(balancer.servers, 0) | {second: 300}


def test_random_uses_every_server_about_as_often(balancer: Balancer) -> None:
    got = balancer.spread("random")

    # Five standard deviations (8.2) of a fair choice
    assert all(59 <= count <= 141 for count in got.values()), got


@pytest.mark.parametrize("backend", ["source", "uri", "url_param", "hdr", "hash"])
def test_hash_keeps_each_key_on_its_server_and_uses_all(balancer: Balancer, backend: str) -> None:
    def ask(key: int) -> str:
        how: dict = {
            "source": {"proxy": proxy_header(f"203.0.113.{key}"), "port": 8004},
            "uri": {"path": f"/item/{key}"},
            "url_param": {"path": f"/?page={key % 7}&user={key}"},
            "hdr": {"headers": {"X-User": f"user-{key}"}},
            "hash": {"headers": {"X-Tenant": f"tenant-{key}"}},
        }
        return balancer.get(backend=backend, **how[backend]).server

    # Not 66: that address is refused
    keys = range(100, 150)
    rounds = [[ask(key) for key in keys] for _ in range(6)]

    assert all(homes == rounds[0] for homes in rounds[1:])
    assert set(rounds[0]) == set(balancer.servers)


def test_source_keeps_a_client_whatever_it_asks(balancer: Balancer) -> None:
    homes = {balancer.get(f"/{n}", backend="source", headers={"X-User": str(n)}).server for n in range(300)}

    assert len(homes) == 1


def ask_tcp(balancer: Balancer, port: int, *parts: bytes) -> list[dict[str, str]]:
    """Send each part, and return what the server says of it."""
    with socket.create_connection((balancer.address, port), timeout=10) as connection:
        lines = connection.makefile()
        answers = []
        for part in parts:
            connection.sendall(part)
            answers.append(json.loads(lines.readline()))
        return answers


def rdp_request(user: str) -> bytes:
    """The first packet of an RDP client (MS-RDPBCGR 2.2.1.1): TPKT, X.224 connection request, the cookie."""
    cookie = f"Cookie: mstshash={user}\r\n".encode()
    x224 = bytes([6 + len(cookie), 0xE0, 0, 0, 0, 0, 0]) + cookie
    return bytes([3, 0]) + (4 + len(x224)).to_bytes(2, "big") + x224


def test_rdp_cookie_keeps_a_user_on_one_server_and_uses_all(balancer: Balancer) -> None:
    users = [f"user{n}" for n in range(50)]
    rounds = [[ask_tcp(balancer, 8011, rdp_request(user))[0]["server"] for user in users] for _ in range(6)]

    assert all(homes == rounds[0] for homes in rounds[1:])
    assert set(rounds[0]) == set(balancer.servers)


# Health checks


@pytest.mark.parametrize(
    ("backend", "path", "bad"),
    [
        ("by_status", "/check/status", {"status": 500}),
        # The status alone would be good
        ("by_body", "/check/body", {"body": "starting"}),
    ],
)
def test_server_leaves_after_fall_checks_and_returns_after_rise(
    balancer: Balancer, backend: str, path: str, bad: dict[str, object]
) -> None:
    gone, *stay = balancer.servers
    good = {"body": "ready"}

    def waiting() -> int:
        """How many checks were answered when a further one waits; -1 while none does."""
        asked, answered = balancer.seen(gone, path)
        return answered if asked == answered + 1 else -1

    def answer(*answers: object) -> None:
        """Have the waiting check and the next ones answered like this; return when one waits again."""
        asked, answered = balancer.seen(gone, path)
        balancer.tell(gone, {path: [*answers, "hold"]})
        wait_until(
            "checks", lambda: balancer.seen(gone, path) == (answered + len(answers) + 1, answered + len(answers))
        )
        assert asked >= answered

    def status() -> str:
        return balancer.status(backend, gone)

    balancer.tell(gone, {path: ["hold"]})
    try:
        wait_until("a check that waits", lambda: waiting() >= 0)
        answer(good)
        assert status() == "UP"
        left = int(balancer.stats(backend)[gone]["chkdown"])
        # Two in a row are one too few, and a good one forgives them
        answer(bad, bad)
        assert status() == "UP 1/3"
        answer(good)
        assert status() == "UP"
        answer(bad, bad, bad)
        assert status() == "DOWN"
        assert balancer.spread(backend, 30) == {gone: 0} | dict.fromkeys(stay, 15)
        answer(good)
        assert status() == "DOWN 1/2"
        answer(bad)
        assert status() == "DOWN"
        answer(good, good)
        assert status() == "UP"
        assert int(balancer.stats(backend)[gone]["chkdown"]) == left + 1
    finally:
        balancer.tell(gone, {path: [good]})
    assert balancer.spread(backend, 30)[gone] > 0


def test_requests_wait_for_a_server_while_none_is_up(balancer: Balancer) -> None:
    backend, path = "by_status", "/check/status"
    balancer.tell_all({path: [{"status": 500}]})
    try:
        wait_until("every server DOWN", lambda: balancer.all_down(backend))
        with ThreadPoolExecutor(20) as pool:
            waiting = [pool.submit(balancer.get, backend=backend) for _ in range(20)]
            wait_until("requests", lambda: balancer.waiting(backend) == 20)
            assert not any(request.done() for request in waiting)
            balancer.tell(balancer.servers[0], {path: [{}]})
            assert {request.result().server for request in waiting} == {balancer.servers[0]}
    finally:
        balancer.tell_all({path: [{}]})
    wait_until("every server UP", lambda: balancer.all_up(backend))


# Cookies


def cookie_of(reply: Reply) -> SimpleCookie:
    return SimpleCookie(reply.headers["Set-Cookie"])


def with_cookie(balancer: Balancer, value: str) -> Reply:
    return balancer.get(backend="cookie", headers={"Cookie": f"other=1; SERVERID={value}"})


def test_cookie_has_its_attributes_and_keeps_the_client(balancer: Balancer) -> None:
    first = balancer.get(backend="cookie")
    cookie = cookie_of(first)["SERVERID"]

    assert (cookie["httponly"], cookie["secure"], cookie["path"]) == (True, True, "/")
    assert first.headers["Set-Cookie"].endswith("; SameSite=Lax")
    # nocache: no shared cache may keep the answer that sets it
    assert "private" in first.headers.get_all("Cache-Control")
    replies = [with_cookie(balancer, cookie.value) for _ in range(20)]
    assert {reply.server for reply in replies} == {first.server}
    # indirect: the server does not see it, and it is only set again for the date of maxidle, in units of 4 s
    again = [cookie_of(reply)["SERVERID"].value for reply in replies if reply.headers["Set-Cookie"]]
    assert cookie.value not in again
    assert {value.split("|")[0] for value in again} <= {cookie.value.split("|")[0]}
    assert replies[0].seen_headers("Cookie") == ["other=1"]


BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def aged(date: str, seconds: int) -> str:
    """A date of HAProxy's cookies (units of 4 s, in base 64), so much earlier."""
    number = 0
    for letter in date:
        number = number * 64 + BASE64.index(letter)
    number -= seconds // 4
    return "".join(BASE64[number >> shift & 63] for shift in (24, 18, 12, 6, 0))


@pytest.mark.parametrize(
    ("idle", "old", "mark"),
    [
        # maxidle is 30 minutes, and maxlife 8 hours
        (28 * 60, 7 * 3600, "V"),
        (31 * 60, 7 * 3600, "E"),
        (60, 8 * 3600 + 60, "O"),
    ],
)
def test_cookie_lives_as_long_as_maxidle_and_maxlife(balancer: Balancer, idle: int, old: int, mark: str) -> None:
    reply = balancer.get(backend="cookie")
    value = cookie_of(reply)["SERVERID"].value
    server, seen, born = value.split("|")
    reply = with_cookie(balancer, "|".join((server, aged(seen, idle), aged(born, old))))

    # What HAProxy thought of the cookie is in the log's %tsc
    flags = log_fields(balancer, reply)["flags"]
    assert flags[2] == mark
    if mark == "V":
        assert reply.server == server
    else:
        assert len(cookie_of(reply)["SERVERID"].value.split("|")) == 3


def test_client_moves_on_when_its_server_dies(balancer: Balancer) -> None:
    reply = balancer.get(backend="cookie")
    cookie, gone = cookie_of(reply)["SERVERID"].value, reply.server
    host = balancer.service.host(gone)
    host.check_output("systemctl kill --signal=KILL backend")
    try:
        # No check may have noticed yet
        moved = with_cookie(balancer, cookie)
        assert moved.server != gone
        new = cookie_of(moved)["SERVERID"].value
        assert new.startswith(f"{moved.server}|")
        assert {with_cookie(balancer, new).server for _ in range(10)} == {moved.server}
    finally:
        host.check_output("systemctl restart backend")
    for backend in ("cookie", "app", "by_body"):
        wait_until("server UP", lambda backend=backend: balancer.all_up(backend))


# PROXY protocol


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("client", ["203.0.113.7", "2001:db8::7"])
def test_proxy_header_tells_the_client(balancer: Balancer, client: str, version: int) -> None:
    reply = balancer.get(port=8004, proxy=proxy_header(client, version), headers=FORGED)

    assert reply.seen_headers("X-Forwarded-For") == [client]
    assert log_fields(balancer, reply)["client"] == f"{client}:34567"


def test_connection_without_proxy_header_is_refused(balancer: Balancer) -> None:
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        balancer.get(port=8004)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_server_gets_a_proxy_header(balancer: Balancer, version: str) -> None:
    reply = balancer.get(backend=f"proxy_{version}")

    client, port = reply.client.split(":")
    assert reply.seen["proxy"] == f"{version} TCP4 {client} {balancer.address} {port} 8001"
    assert balancer.get(backend="app").seen["proxy"] is None


# TLS


def trust(*names: str) -> ssl.SSLContext:
    """A client that trusts these certificates and no others."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    for name in names:
        text = (REPO / ".build" / "molecule-haproxy" / name).with_suffix(".test.pem").read_text()
        context.load_verify_locations(cadata=text[: text.index("-----END CERTIFICATE-----") + 26])
    return context


@pytest.mark.parametrize("name", ["one", "two"])
def test_tls_shows_the_certificate_of_the_name(balancer: Balancer, name: str) -> None:
    context = trust(name)
    with (
        socket.create_connection((balancer.address, 443), timeout=10) as connection,
        context.wrap_socket(connection, server_hostname=f"{name}.test") as secure,
    ):
        assert secure.selected_alpn_protocol() == "h2"
        assert secure.version() == "TLSv1.3"


def test_tls_before_1_2_is_refused(balancer: Balancer) -> None:
    context = trust("one")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection((balancer.address, 443), timeout=10) as connection, pytest.raises(ssl.SSLError):
        context.wrap_socket(connection, server_hostname="one.test")


def test_client_without_a_certificate_of_the_ca_is_refused(balancer: Balancer) -> None:
    def get(certificate: str | None, **headers: str) -> Reply:
        context = trust("one")
        context.set_alpn_protocols([])
        if certificate:
            context.load_cert_chain(REPO / ".build" / "molecule-haproxy" / f"{certificate}.pem")
        return balancer.get(port=8009, tls=context, name="one.test", headers=headers)

    assert get("laptop").seen_headers("X-Client") == ["/O=Test/CN=laptop"]
    # What a client says of itself is replaced
    assert get("laptop", **{"X-Client": "/CN=root"}).seen_headers("X-Client") == ["/O=Test/CN=laptop"]
    for certificate in (None, "stranger"):
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            get(certificate)


def curl(balancer: Balancer, *arguments: str) -> str:
    """curl, from a server's droplet: it speaks HTTP/2, and its address is another than the test's."""
    return balancer.service.host(balancer.servers[0]).check_output("curl --silent --max-time 10 " + " ".join(arguments))


def test_http_2_request_comes_through(balancer: Balancer) -> None:
    output = curl(
        balancer,
        "--insecure --http2 --write-out '\\n%{http_version} %{http_code}'",
        f"--resolve one.test:443:{balancer.address} https://one.test/over/h2",
    )
    body, last = output.rsplit("\n", 1)

    assert last == "2 200"
    seen = json.loads(body)
    headers = {name.lower(): value for name, value in seen["headers"]}
    assert (seen["target"], headers["host"], headers["x-forwarded-proto"]) == ("/over/h2", "one.test", "https")


def test_http_1_is_served_over_tls_too(balancer: Balancer) -> None:
    context = trust("one")
    context.set_alpn_protocols(["http/1.1"])
    reply = balancer.get(port=443, tls=context, name="one.test", headers={"X-Forwarded-Proto": "http"})

    assert reply.seen_headers("X-Forwarded-Proto") == ["https"]


def test_plain_request_is_redirected_to_https(balancer: Balancer) -> None:
    reply = balancer.get("/some/page?n=1", port=8003, headers={"Host": "one.test"})

    assert (reply.status, reply.headers["Location"]) == (301, "https://one.test/some/page?n=1")


# TCP


def test_tcp_passes_bytes_on_in_turn(balancer: Balancer) -> None:
    parts = (b"\x00\x01 no HTTP at all\n", b"second part")
    homes = []
    for _ in range(30):
        answers = ask_tcp(balancer, 8010, *parts)
        assert [answer["got"].encode("latin-1") for answer in answers] == list(parts)
        homes.append(answers[0]["server"])

    assert {homes.count(server) for server in balancer.servers} == {10}


# Who may connect, and how often


def test_denied_address_is_refused_and_others_are_not(balancer: Balancer) -> None:
    there = f"--write-out %{{http_code}} --output /dev/null http://{balancer.private_address}"

    assert curl(balancer, f"{there}:8005/ || true") == "000"
    assert balancer.get(port=8005).status == 200
    # And the other way round
    assert curl(balancer, f"{there}:8006/") == "200"
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        balancer.get(port=8006)


def test_lists_go_by_the_client_that_a_proxy_header_tells(balancer: Balancer) -> None:
    assert balancer.get(port=8004, proxy=proxy_header("203.0.113.65")).status == 200
    for client in ("203.0.113.66", "198.51.100.7"):
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            balancer.get(port=8004, proxy=proxy_header(client))


def test_client_that_asks_too_often_gets_429_until_it_asks_less(balancer: Balancer) -> None:
    wait_until("no requests in the last period", lambda: "used:0" in balancer.runtime("show table limited"))
    statuses = [balancer.get(port=8007).status for _ in range(40)]

    # The window of 2 s slides: a slow machine may let some more through
    assert statuses[:20] == [200] * 20
    assert statuses.count(429) >= 10
    assert set(statuses) == {200, 429}
    # Another client is not touched
    assert (
        curl(balancer, f"--write-out %{{http_code}} --output /dev/null http://{balancer.private_address}:8007/")
        == "200"
    )
    wait_until("recovery", lambda: balancer.get(port=8007).status == 200)


# Routing


def test_requests_are_routed_by_a_map(balancer: Balancer) -> None:
    first, second, _ = balancer.servers
    homes = [balancer.get(port=8008, headers={"Host": host}).server for host in ("images.test", "else.test")]

    assert homes == [first, second]


def test_requests_are_routed_by_host_and_path(balancer: Balancer) -> None:
    first, second, third = balancer.servers

    def home(path: str, host: str) -> str:
        return balancer.get(path, port=8002, headers={"Host": host}).server

    assert home("/", "images.test") == first
    assert home("/api/users", "images.test") == first
    assert home("/api/users", "www.test") == second
    assert home("/apis", "www.test") == third
    assert home("/", "www.images.test") == third


# Statistics


@pytest.mark.parametrize(("path", "has"), [("/stats", "Statistics Report"), ("/metrics", "haproxy_server_status")])
def test_statistics_need_the_password(balancer: Balancer, path: str, has: str) -> None:
    def ask(password: str | None) -> tuple[int, str]:
        request = urllib.request.Request(f"http://{balancer.private_address}:8404{path}")
        if password:
            request.add_header("Authorization", "Basic " + base64.b64encode(f"stats:{password}".encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    status, text = ask("page of the tests")
    assert (status, has in text) == (200, True)
    for password in (None, "page of the test", "page of the tests "):
        status, text = ask(password)
        assert (status, has in text) == (401, False)


def test_statistics_are_not_at_the_public_address(balancer: Balancer) -> None:
    with pytest.raises(ConnectionRefusedError):
        balancer.get("/stats", port=8404)


# Pages


def test_client_gets_a_friendly_page_when_no_server_comes_up(balancer: Balancer) -> None:
    began = time.monotonic()
    reply = balancer.get(backend="dead")

    # As long as haproxy_wait_for_server says, and no answer of another kind
    assert 4 <= time.monotonic() - began < 6
    assert (reply.status, reply.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert b"None of our servers can answer" in reply.body


def test_backend_in_maintenance_shows_its_page(balancer: Balancer) -> None:
    reply = balancer.get(backend="maintenance")

    assert (reply.status, reply.headers["Retry-After"]) == (503, "60")
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"<h1>Closed for the tests</h1>" in reply.body


# Headers


def test_client_cannot_forge_what_servers_are_told_of_it(balancer: Balancer) -> None:
    reply = balancer.get(headers=FORGED)

    assert reply.seen_headers("X-Forwarded-For") == [reply.client.split(":")[0]]
    assert reply.seen_headers("X-Forwarded-Proto") == ["http"]
    assert reply.seen_headers("Forwarded") == []


def test_what_a_trusted_proxy_says_of_the_client_holds(balancer: Balancer) -> None:
    headers = FORGED | {"X-Forwarded-Host": "shop.example.org", "X-Forwarded-Port": "443"}
    said = [word for name, value in headers.items() for word in ("--header", f"{name}: {value}")]
    command = shlex.join(["curl", "--silent", *said, f"http://{balancer.private_address}/"])
    trusted, other = balancer.servers[:2]

    def told(name: str) -> dict[str, str]:
        seen = json.loads(balancer.service.host(name).check_output(command))
        return {key.lower(): value for key, value in seen["headers"] if "forwarded" in key.lower()}

    assert told(trusted) == {
        "forwarded": "for=192.0.2.1",
        "x-forwarded-for": "192.0.2.1",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "shop.example.org",
        "x-forwarded-port": "443",
    }
    assert told(other) == {
        "x-forwarded-for": balancer.service.hostvars[other]["private_address"],
        "x-forwarded-proto": "http",
        "x-forwarded-host": balancer.private_address,
        "x-forwarded-port": "80",
    }


def test_every_request_has_an_id_of_its_own_that_the_log_has_too(balancer: Balancer) -> None:
    replies = [balancer.get(headers={"X-Request-ID": "forged"}) for _ in range(20)]
    ids = [reply.seen_headers("X-Request-ID") for reply in replies]

    assert all(len(found) == 1 and re.fullmatch(r"[0-9a-f-]{36}", found[0]) for found in ids), ids
    assert len({found[0] for found in ids}) == 20
    assert log_fields(balancer, replies[7])["id"] == ids[7][0]


# Log

LINE = re.compile(
    r"(?P<written>\S+) \S+ haproxy\[\d+\]: (?P<client>\S+) \[(?P<accepted>[^]]+)\] (?P<frontend>\S+) "
    r"(?P<backend>[^/ ]+)/(?P<server>\S+) (?P<times>\S+) (?P<status>\d+) (?P<bytes>\d+) (?P<cookies>\S+ \S+) "
    r'(?P<flags>\S{4}) (?P<connections>\S+) (?P<queues>\S+) (?:\S+ \S+ )?"(?P<request>[^"]*)" (?P<id>\S+)'
)


def log_fields(balancer: Balancer, reply: Reply) -> dict[str, str]:
    """The log line of that reply's request, taken apart."""
    (request_id,) = reply.seen_headers("X-Request-ID")
    wait_until("line in the log", lambda: balancer.host.run("grep --quiet %s %s", request_id, LOG).rc == 0)
    (line,) = balancer.host.check_output("grep %s %s", request_id, LOG).splitlines()
    found = LINE.fullmatch(line)
    assert found, line
    return found.groupdict()


def test_log_line_tells_all_of_a_request(balancer: Balancer) -> None:
    path = fresh("logged")
    before = datetime.now()
    reply = balancer.get(f"{path}?n=1", backend="app")
    fields = log_fields(balancer, reply)

    written = datetime.fromisoformat(fields["written"])
    assert abs((written - before.astimezone()).total_seconds()) < 60
    assert fields["client"] == reply.client
    accepted = datetime.strptime(fields["accepted"], "%d/%b/%Y:%H:%M:%S.%f")
    assert abs((accepted - before).total_seconds()) < 60
    assert (fields["frontend"], fields["backend"], fields["server"]) == ("any", "app", reply.server)
    # Request, queue, connect, response, all: milliseconds, none of them missing
    times = [int(time) for time in fields["times"].split("/")]
    assert len(times) == 5
    assert min(times) >= 0
    assert max(times) == times[-1]
    assert (fields["status"], fields["cookies"], fields["flags"]) == ("200", "- -", "----")
    # With the head, whose size HAProxy only estimates
    assert 0 < int(fields["bytes"]) - len(reply.body) < 200
    # Connections: process, frontend, backend, server; retries
    assert re.fullmatch(r"\d+/\d+/\d+/\d+/0", fields["connections"])
    assert fields["queues"] == "0/0"
    assert fields["request"] == f"GET {path}?n=1 HTTP/1.1"
