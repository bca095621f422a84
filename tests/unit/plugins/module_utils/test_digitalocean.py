# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import gzip
import ipaddress
import json
import socket
import ssl
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.alphacoder.scaleout.plugins.module_utils import _digitalocean
from ansible_collections.alphacoder.scaleout.plugins.module_utils._digitalocean import (
    ApiError,
    Client,
    droplet_facts,
    public_ipv4s,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support.fake_api import TOKEN, FakeApi, Reply, SshListener, droplet, error, networks

NOW = 1_800_000_000


class Clock:
    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def now(self) -> float:
        return NOW


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(api: FakeApi, clock: Clock) -> Client:
    return make_client(api.url, clock)


def make_client(url: str, clock: Clock, **options: t.Any) -> Client:
    return Client(token=TOKEN, url=url, sleep=clock.sleep, now=clock.now, **options)


def ids(client: Client, **options: t.Any) -> list[int]:
    return sorted(one["id"] for one in client.list_all("/droplets", "droplets", **options))


class TestPages:
    @pytest.mark.parametrize("links", [{}, {"links": {}}, {"links": {"pages": {}}}], ids=["none", "empty", "no pages"])
    def test_one_page_in_each_of_its_shapes(self, api: FakeApi, client: Client, links: dict[str, t.Any]) -> None:
        api.no_links = links
        api.droplets = [droplet(1), droplet(2)]
        assert ids(client) == [1, 2]
        assert len(api.requests) == 1

    def test_asks_for_the_largest_page(self, api: FakeApi, client: Client) -> None:
        ids(client)
        assert api.requests[0].query == {"per_page": "200", "page": "1"}

    @pytest.mark.parametrize("workers", [1, 3])
    def test_many_pages_are_each_read_once(self, api: FakeApi, client: Client, workers: int) -> None:
        api.droplets = [droplet(n) for n in range(1, 24)]
        assert ids(client, page_size=5, workers=workers) == list(range(1, 24))
        assert sorted(one.query["page"] for one in api.requests) == ["1", "2", "3", "4", "5"]

    def test_pages_are_read_at_the_same_time(
        self, api: FakeApi, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Pages 2 and 3 wait for each other, which never ends if they come one after the other
        both = threading.Barrier(2, timeout=5)
        one_page = Client._page

        def page(self: Client, path: str, key: str, query: dict[str, t.Any], identity: str) -> t.Any:
            if query["page"] > 1:
                both.wait()
            return one_page(self, path, key, query, identity)

        monkeypatch.setattr(Client, "_page", page)
        api.droplets = [droplet(n) for n in (1, 2, 3)]
        assert ids(client, page_size=1, workers=2) == [1, 2, 3]

    def test_never_more_at_once_than_the_api_will_take(
        self, api: FakeApi, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alone = []
        one_page = Client._page

        def page(self: Client, path: str, key: str, query: dict[str, t.Any], identity: str) -> t.Any:
            if threading.current_thread() is threading.main_thread():
                alone.append(query["page"])
            return one_page(self, path, key, query, identity)

        monkeypatch.setattr(Client, "_page", page)
        api.headers = {"ratelimit-limit": "5000", "Ratelimit-Remaining": "2"}
        api.droplets = [droplet(n) for n in range(1, 7)]
        assert ids(client, page_size=1, workers=4) == list(range(1, 7))
        assert alone == [1, 4, 5, 6]

    def test_a_limit_that_is_used_up_is_waited_for_page_by_page(
        self, api: FakeApi, client: Client, clock: Clock
    ) -> None:
        api.headers = {"ratelimit-remaining": "0"}
        api.droplets = [droplet(n) for n in range(1, 4)]
        links = {"pages": {"last": "https://x.example/?page=3"}}
        first = Reply(200, {"droplets": [droplet(1)], "links": links, "meta": {"total": 3}})
        api.replies = [first, error(429, retry_after="9"), error(429, retry_after="4")]
        assert ids(client, page_size=1, workers=4) == [1, 2, 3]
        assert clock.slept == [9, 4]

    @pytest.mark.parametrize("remaining", ["", "many"])
    def test_a_limit_that_is_not_stated_bounds_nothing(self, api: FakeApi, client: Client, remaining: str) -> None:
        api.headers = {"ratelimit-remaining": remaining}
        api.droplets = [droplet(n) for n in range(1, 4)]
        assert ids(client, page_size=1, workers=4) == [1, 2, 3]

    def test_a_page_that_is_refused_meanwhile_is_asked_for_again(
        self, api: FakeApi, client: Client, clock: Clock
    ) -> None:
        api.droplets = [droplet(n) for n in range(1, 7)]
        refused = [error(429, retry_after="3"), error(500)]
        api.before_page = lambda page: api.replies.extend(refused) if page == 1 else None
        assert ids(client, page_size=1, workers=2) == list(range(1, 7))
        assert len(clock.slept) == 2
        assert 3 in clock.slept

    @pytest.mark.parametrize("workers", [1, 4])
    def test_a_droplet_that_goes_meanwhile_hides_no_other(self, api: FakeApi, client: Client, workers: int) -> None:
        api.droplets = [droplet(n) for n in range(1, 13)]

        def go(page: int) -> None:
            # All that follow move up by one, so that the first of page 2 would be on neither page
            if page == 2 and api.droplets[0]["id"] == 1:
                del api.droplets[0]

        api.before_page = go
        assert ids(client, page_size=4, workers=workers) == list(range(2, 13))

    @pytest.mark.parametrize("workers", [1, 4])
    def test_a_droplet_that_appears_meanwhile_doubles_no_other(
        self, api: FakeApi, client: Client, workers: int
    ) -> None:
        api.droplets = [droplet(n) for n in range(1, 13)]

        def appear(page: int) -> None:
            if page == 3 and api.droplets[0]["id"] == 1:
                api.droplets.insert(0, droplet(99))

        api.before_page = appear
        assert ids(client, page_size=4, workers=workers) == [*range(1, 13), 99]

    def test_a_list_that_never_rests_is_read_as_it_is(self, api: FakeApi, client: Client) -> None:
        api.droplets = [droplet(n) for n in range(1, 9)]

        def restless(page: int) -> None:
            api.droplets.append(droplet(api.droplets[-1]["id"] + 1))

        api.before_page = restless
        assert set(range(1, 9)) <= set(ids(client, page_size=4))
        assert len(api.requests) < 20

    def test_a_short_first_page_is_not_taken_for_the_size_of_all(self, api: FakeApi, client: Client) -> None:
        links = {"pages": {"last": "https://x.example/?page=3"}}
        sizes = [(1,), (2, 3, 4, 5), (6, 7, 8, 9)]
        api.replies = [
            Reply(200, {"droplets": [droplet(n) for n in page], "links": links, "meta": {"total": 9}}) for page in sizes
        ]
        assert ids(client, page_size=4) == list(range(1, 10))
        assert len(api.requests) == 3

    def test_a_total_of_more_than_the_filter_lets_through_is_believed_once(self, api: FakeApi, client: Client) -> None:
        page = Reply(200, {"droplets": [droplet(1), droplet(2)], "links": {}, "meta": {"total": 900}})
        api.replies = [page] * 99
        assert ids(client, query={"tag_name": "a"}) == [1, 2]
        assert len(api.requests) == 2

    def test_filters_stay_where_the_next_link_forgets_them(self, api: FakeApi, client: Client) -> None:
        # Without a total only the links say that there is more, and they name a host that must not get the token
        following = {"pages": {"next": "https://elsewhere.example/v2/droplets?page=2"}}
        api.replies = [
            Reply(200, {"droplets": [droplet(1)], "links": following}),
            Reply(200, {"droplets": [droplet(3)], "links": {"pages": {"first": "https://elsewhere.example/"}}}),
        ]
        assert ids(client, query={"tag_name": "a"}, page_size=1) == [1, 3]
        assert [one.query for one in api.requests] == [
            {"tag_name": "a", "per_page": "1", "page": "1"},
            {"tag_name": "a", "per_page": "1", "page": "2"},
        ]

    def test_a_next_link_that_leads_back_ends(self, api: FakeApi, client: Client) -> None:
        page = Reply(200, {"droplets": [droplet(1)], "links": {"pages": {"next": "https://x.example/?page=1"}}})
        api.replies = [page] * 99
        assert ids(client) == [1]
        assert len(api.requests) == 2


class TestRetries:
    def test_retry_after_is_honoured(self, api: FakeApi, client: Client, clock: Clock) -> None:
        api.replies = [error(429, retry_after="7")]
        assert ids(client) == []
        assert clock.slept == [7]

    def test_an_hourly_limit_waits_for_its_reset(self, api: FakeApi, client: Client, clock: Clock) -> None:
        api.replies = [error(429, ratelimit_reset=str(NOW + 31))]
        assert ids(client) == []
        assert clock.slept == [31]

    @pytest.mark.parametrize(
        "headers", [{"retry_after": "3600"}, {"ratelimit_reset": str(NOW + 3600)}], ids=["after", "reset"]
    )
    def test_a_long_limit_is_an_error_at_once(
        self, api: FakeApi, client: Client, clock: Clock, headers: dict[str, str]
    ) -> None:
        api.replies = [error(429, **headers)]
        with pytest.raises(ApiError, match="rate limit reached, try again in 3600 s") as caught:
            ids(client)
        assert caught.value.status == 429
        assert clock.slept == []

    def test_a_limit_of_the_path_alone_does_not_wait_for_the_hour(
        self, api: FakeApi, client: Client, clock: Clock
    ) -> None:
        api.replies = [error(429, ratelimit_remaining="4990", ratelimit_reset=str(NOW + 3000))] * 2
        assert ids(client) == []
        assert clock.slept == [5, 10]

    def test_a_caller_with_more_time_waits_longer(self, api: FakeApi, clock: Clock) -> None:
        api.replies = [error(429, retry_after="200")]
        assert ids(make_client(api.url, clock, max_wait=300.0)) == []
        assert clock.slept == [200]

    def test_a_reset_that_is_past_still_pauses(self, api: FakeApi, client: Client, clock: Clock) -> None:
        api.replies = [error(429, ratelimit_reset=str(NOW - 5)), error(429, retry_after="soon")]
        assert ids(client) == []
        assert clock.slept == [0.5, 1]

    def test_server_errors_back_off_and_end(self, api: FakeApi, clock: Clock) -> None:
        client = make_client(api.url, clock, retries=6)
        api.replies = [error(500, "Unexpected server-side error")] * 9
        with pytest.raises(ApiError, match=r"status 500.*Unexpected server-side error") as caught:
            ids(client)
        assert caught.value.status == 500
        assert clock.slept == [0.5, 1, 2, 4, 8, 8]
        assert len(api.requests) == 7

    def test_a_server_error_and_then_none(self, api: FakeApi, client: Client) -> None:
        api.droplets = [droplet(1)]
        api.replies = [error(503), error(502)]
        assert ids(client) == [1]

    def test_a_poll_gets_past_a_server_error(self, api: FakeApi, client: Client) -> None:
        api.droplets = [droplet(1)]
        api.replies_to = {"GET /droplets/1": [error(500)]}
        assert client.get("/droplets/1")["droplet"]["id"] == 1

    def test_client_errors_are_not_repeated(self, api: FakeApi, client: Client) -> None:
        api.replies = [error(422, "no such\n thing")] * 2
        with pytest.raises(ApiError, match=r"status 422 \(no such thing\)$"):
            client.get("/droplets")
        assert len(api.requests) == 1

    @pytest.mark.parametrize("reply", [error(500), error(504), Reply(delay=0.6)], ids=["500", "504", "timeout"])
    def test_a_create_is_not_sent_twice_when_it_may_have_worked(self, api: FakeApi, clock: Clock, reply: Reply) -> None:
        api.replies = [reply]
        with pytest.raises(ApiError):
            make_client(api.url, clock, timeout=0.3).post("/droplets", {"names": ["a"]})
        assert len(api.requests) == 1

    def test_a_create_is_sent_again_after_a_rate_limit(self, api: FakeApi, client: Client, clock: Clock) -> None:
        api.replies = [error(429, retry_after="2"), Reply(202, {"droplets": []})]
        assert client.post("/droplets", {"names": ["a"]}) == {"droplets": []}
        assert clock.slept == [2]
        assert [one.body for one in api.requests] == [{"names": ["a"]}] * 2

    def test_a_post_that_may_be_repeated_is(self, api: FakeApi, client: Client) -> None:
        api.replies = [error(500)]
        assert client.post("/tags", {"name": "a"}, idempotent=True) == {"tag": {"name": "a"}}

    def test_delete_of_what_is_gone(self, api: FakeApi, client: Client) -> None:
        api.droplets = [droplet(1)]
        assert [client.delete("/droplets/1"), client.delete("/droplets/1")] == [True, False]


class TestErrors:
    @pytest.mark.parametrize(
        ("reply", "text"),
        [
            (error(401, "Unable to authenticate you."), r"401 \(Unable to authenticate you\.\): the token was refused"),
            (error(403), "may not do this.*scope"),
            (error(404), "not found; check api_url"),
            (Reply(200, "<html>welcome</html>"), "not JSON"),
            (Reply(200, "[1]"), "not an object"),
            (Reply(200, {"images": []}), "no list of droplets"),
            (Reply(200, {"droplets": {"id": 1}}), "no list of droplets"),
            (Reply(200, {"droplets": [1]}), "no list of droplets"),
            (Reply(200, {"droplets": [{"name": "no id"}]}), "no list of droplets"),
            (Reply(302, "", {"location": "http://203.0.113.1/"}), "redirect"),
            (Reply(400, {"error": "tag is odd", "messages": None}), "tag is odd"),
            (Reply(418, "[]"), "status 418"),
        ],
    )
    def test_one_line_that_helps(self, api: FakeApi, client: Client, reply: Reply, text: str) -> None:
        api.replies = [reply]
        with pytest.raises(ApiError, match=text) as caught:
            ids(client)
        assert "\n" not in str(caught.value)
        assert caught.value.status == reply.status
        assert len(api.requests) == 1

    def test_what_the_api_says_of_a_quota_is_passed_on(self, api: FakeApi, client: Client) -> None:
        said = "creating this/these droplet(s) will exceed your droplet limit"
        api.replies = [error(422, said)]
        with pytest.raises(ApiError) as caught:
            client.post("/droplets", {"names": ["a", "b"]})
        assert said in str(caught.value)
        assert caught.value.status == 422

    def test_timeout(self, api: FakeApi, clock: Clock) -> None:
        api.replies = [Reply(delay=1.0)] * 2
        with pytest.raises(ApiError, match=r"no answer from 127.0.0.1:\d+ within 0.2 s") as caught:
            make_client(api.url, clock, timeout=0.2, retries=1).get("/droplets")
        assert caught.value.status is None
        assert clock.slept == [0.5]

    def test_refused_connection(self, clock: Clock) -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        with pytest.raises(ApiError, match=f"127.0.0.1:{port} refused the connection"):
            make_client(f"http://127.0.0.1:{port}", clock).get("/droplets")
        assert len(clock.slept) == 4

    def test_unknown_host(self, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(*args: t.Any, **kwargs: t.Any) -> t.NoReturn:
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(ApiError, match=r"host name in api\.invalid can't be resolved"):
            make_client("https://api.invalid/v2", clock).get("/droplets")

    def test_a_server_that_hangs_up(self, clock: Clock) -> None:
        silent = SshListener(b"")
        with pytest.raises(ApiError, match="no answer from"):
            make_client(f"http://127.0.0.1:{silent.port}", clock).get("/droplets")
        silent.close()

    def test_no_trust_in_the_certificate(self, clock: Clock) -> None:
        no_tls = SshListener(b"SSH-2.0-x\r\n" * 9)
        with pytest.raises(ApiError, match=r"is not trusted|no answer from"):
            make_client(f"https://127.0.0.1:{no_tls.port}", clock, retries=0).get("/droplets")
        no_tls.close()


class TestTransport:
    """What Ansible's own HTTP client is there for: compression, certificates, proxies."""

    def test_answers_may_be_compressed(self, api: FakeApi, client: Client) -> None:
        body = gzip.compress(json.dumps({"droplets": [droplet(1)], "meta": {"total": 1}}).encode())
        api.replies = [Reply(200, body, {"content-encoding": "gzip"})]
        assert ids(client) == [1]
        assert api.requests[0].headers["accept-encoding"] == "gzip"

    def test_errors_may_be_compressed(self, api: FakeApi, client: Client) -> None:
        body = gzip.compress(json.dumps({"id": "x", "message": "tag is odd"}).encode())
        api.replies = [Reply(422, body, {"content-encoding": "gzip"})]
        with pytest.raises(ApiError, match="tag is odd"):
            ids(client)

    @pytest.mark.parametrize("body", [b"no gzip", gzip.compress(b"{}" * 99)[:-9]], ids=["other", "cut off"])
    def test_what_cannot_be_unpacked_is_one_line(self, api: FakeApi, clock: Clock, body: bytes) -> None:
        api.replies = [Reply(200, body, {"content-encoding": "gzip"})]
        with pytest.raises(ApiError, match="no answer from") as caught:
            ids(make_client(api.url, clock, retries=0))
        assert "\n" not in str(caught.value)

    @pytest.fixture
    def tls(self, api: FakeApi, tmp_path: Path) -> Path:
        """The API behind TLS, with a certificate that nobody vouches for; the file that holds it."""
        file = certificate(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        api._server.socket = context.wrap_socket(api._server.socket, server_side=True)
        api.url = api.url.replace("http://", "https://")
        return file

    def test_a_certificate_must_be_trusted(self, tls: Path, api: FakeApi, clock: Clock) -> None:
        with pytest.raises(ApiError, match=r"the certificate of 127\.0\.0\.1"):
            make_client(api.url, clock, retries=0).get("/droplets")
        assert api.requests == []

    def test_unless_it_need_not_be(self, tls: Path, api: FakeApi, clock: Clock) -> None:
        api.droplets = [droplet(1)]
        assert ids(make_client(api.url, clock, validate_certs=False)) == [1]

    def test_an_authority_of_ones_own(
        self, tls: Path, api: FakeApi, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(tls))
        assert ids(make_client(api.url, clock)) == []

    def test_certificates_are_read_once(self, client: Client, monkeypatch: pytest.MonkeyPatch, api: FakeApi) -> None:
        made = []
        monkeypatch.setattr(_digitalocean, "make_context", lambda **options: made.append(options))
        api.droplets = [droplet(n) for n in range(1, 5)]
        ids(client, page_size=1, workers=2)
        assert made == [{"validate_certs": True}]

    def test_a_proxy_is_asked_and_sees_no_token(self, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        proxy = Proxy()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(ApiError, match=r"no answer from api\.invalid.*407"):
            make_client("https://api.invalid/v2", clock, retries=0).get("/droplets")
        assert proxy.asked.startswith("CONNECT api.invalid:443 ")
        assert TOKEN not in proxy.asked

    def test_no_proxy_is_honoured(self, tls: Path, api: FakeApi, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert ids(make_client(api.url, clock, validate_certs=False)) == []


class Proxy:
    """Refuses what it is asked, and remembers it."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.asked = ""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _peer = self._socket.accept()
        with connection, self._socket:
            self.asked = connection.recv(65536).decode()
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")


def certificate(folder: Path) -> Path:
    """A key and a certificate of its own for 127.0.0.1, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + made.public_bytes(pem))
    return file


class TestToken:
    @pytest.mark.parametrize("token", ["", "  "])
    def test_missing_names_every_way_to_set_it(self, token: str) -> None:
        with pytest.raises(ApiError) as caught:
            Client(token=token)
        for way in ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN", "DO_API_TOKEN", "api_token"):
            assert way in str(caught.value)

    @pytest.mark.parametrize("token", ["two words", "line\nbreak", "h\xe9"])
    def test_what_no_token_is_never_sent_nor_shown(self, token: str) -> None:
        with pytest.raises(ApiError) as caught:
            Client(token=token)
        assert token not in str(caught.value)

    @pytest.mark.parametrize(
        "url",
        [
            "http://api.digitalocean.com/v2",
            "http://127.0.0.1.example.com/v2",
            "http://128.0.0.1/v2",
            "http://[::2]/v2",
            "http://user@localhost/v2",
            "https://user:word@api.digitalocean.com/v2",
            "https://api.digitalocean.com/v2?x=1",
            "ftp://localhost/v2",
            "localhost:8080",
            "https://[::1/v2",
            "http://localhost:port/v2",
            "",
        ],
    )
    def test_goes_nowhere_unsafe(self, url: str) -> None:
        with pytest.raises(ApiError, match="api_url"):
            Client(token=TOKEN, url=url)

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1:1/v2", "http://127.9.9.9/v2", "http://[::1]:80/v2", "http://localhost:1/v2"]
    )
    def test_may_go_to_this_machine(self, url: str) -> None:
        assert Client(token=TOKEN, url=url).url == url

    def test_is_sent_as_a_bearer_and_not_to_a_proxy(
        self, api: FakeApi, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.delenv("no_proxy", raising=False)
        ids(client)
        assert api.requests[0].headers["authorization"] == f"Bearer {TOKEN}"

    def test_is_not_replaced_by_what_a_netrc_says(
        self, api: FakeApi, client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        assert ids(client) == []

    def test_is_in_no_message(self, api: FakeApi, client: Client) -> None:
        assert TOKEN not in repr(client)
        api.replies = [error(422, f"what is {TOKEN}?")]
        with pytest.raises(ApiError, match=r"what is \*\*\*") as caught:
            client.get("/droplets")
        assert TOKEN not in repr(caught.value)


class TestScopes:
    """Which scopes a request needs is what the official OpenAPI description says of it."""

    @pytest.mark.parametrize(
        ("method", "path", "query", "scopes"),
        [
            ("GET", "/droplets", None, "the scope droplet:read"),
            ("GET", "/droplets", {"tag_name": "pool:app"}, "the scopes droplet:read and tag:read"),
            ("GET", "/droplets/7", None, "the scope droplet:read"),
            ("GET", "/droplets/7/actions", None, "the scope droplet:read"),
            ("POST", "/droplets", None, "droplet:create and tag:create and ssh_key:read and image:read and vpc:read"),
            ("DELETE", "/droplets/7", None, "the scope droplet:delete"),
            ("GET", "/tags", None, "the scope tag:read"),
            ("POST", "/tags", None, "the scope tag:create"),
            ("POST", "/tags/pool:app/resources", None, "the scopes tag:create and droplet:update"),
            ("GET", "/account/keys", None, "the scope ssh_key:read"),
            ("GET", "/reserved_ips", None, "the scope reserved_ip:read"),
        ],
    )
    def test_refusal_names_them(
        self, api: FakeApi, client: Client, method: str, path: str, query: dict[str, str] | None, scopes: str
    ) -> None:
        api.replies = [error(403, "You are not authorized to perform this operation", x_request_id="4d9d8375")]
        with pytest.raises(ApiError) as caught:
            client._request(method, path, query=query)
        text = str(caught.value)
        assert "status 403 (You are not authorized to perform this operation)" in text
        assert "the token may not do this; give it the scope" in text
        assert text.endswith(f" {scopes} (request 4d9d8375)")

    def test_refusal_of_what_is_not_known_names_none(self, api: FakeApi, client: Client) -> None:
        api.replies = [error(403)]
        with pytest.raises(ApiError, match=r"the token may not do this; use one that may$"):
            client.get("/firewalls")


class TestFacts:
    def test_addresses_go_by_type(self) -> None:
        facts = droplet_facts(droplet(1, networks=networks("203.0.113.1", "10.0.0.1", "2001:db8::1")))
        assert (facts["public_ipv4"], facts["private_ipv4"], facts["public_ipv6"]) == (
            "203.0.113.1",
            "10.0.0.1",
            "2001:db8::1",
        )

    @pytest.mark.parametrize("nothing", [{}, None, {"v4": [], "v6": []}, {"v4": [{"type": "public"}]}])
    def test_no_address_yet(self, nothing: t.Any) -> None:
        facts = droplet_facts(droplet(1, networks=nothing))
        assert (facts["public_ipv4"], facts["private_ipv4"], facts["public_ipv6"]) == (None, None, None)

    def test_own_address_is_not_the_reserved_one(self) -> None:
        both = droplet(1, networks=networks("203.0.113.99", "10.0.0.1", None, "203.0.113.1"))
        assert droplet_facts(both, {"203.0.113.99"})["public_ipv4"] == "203.0.113.1"

    @pytest.mark.parametrize(
        "changes",
        [
            {"networks": ["203.0.113.1"]},
            {"networks": {"v4": ["203.0.113.1"]}},
            {"networks": {"v4": 7}},
            {"region": "fra1"},
            {"image": "debian"},
            {"id": "seven"},
            {"id": None},
        ],
    )
    def test_what_is_no_droplet_is_an_error(self, changes: dict[str, t.Any]) -> None:
        with pytest.raises(ApiError, match=r"droplet .* is not as the API documents it"):
            droplet_facts(droplet(1, **changes))

    def test_public_addresses_of_what_is_no_droplet(self) -> None:
        with pytest.raises(ApiError, match=r"droplet app-1 \(id 1\) is not as the API documents it"):
            public_ipv4s(droplet(1, networks=["203.0.113.1"]))

    @pytest.mark.parametrize("status", ["new", "active", "off", "archive"])
    def test_a_locked_droplet_is_one_like_any_other(self, status: str) -> None:
        assert droplet_facts(droplet(1, locked=True, status=status))["status"] == status

    def test_what_the_api_leaves_out_is_none(self) -> None:
        facts = droplet_facts({"id": 5, "image": {"id": 9, "slug": None}, "tags": None})
        assert facts["image"] == 9
        assert facts["tags"] == []
        assert facts["name"] == "5"
        assert facts["vpc_uuid"] is None
