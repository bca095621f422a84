# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.alphacoder.scaleout.plugins.module_utils._digitalocean import (
    ApiError,
    Client,
    droplet_facts,
)
from fake_api import TOKEN, FakeApi, Reply, SshListener, droplet, error, networks

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
            (error(404), "not there; check api_url"),
            (Reply(200, "<html>welcome</html>"), "not JSON"),
            (Reply(200, "[1]"), "no object"),
            (Reply(200, {"images": []}), "no list of droplets"),
            (Reply(200, {"droplets": {"id": 1}}), "no list of droplets"),
            (Reply(200, {"droplets": [1]}), "no list of droplets"),
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
        with pytest.raises(ApiError, match=r"host name in api\.invalid is unknown"):
            make_client("https://api.invalid/v2", clock).get("/droplets")

    def test_a_server_that_hangs_up(self, clock: Clock) -> None:
        silent = SshListener(b"")
        with pytest.raises(ApiError, match="no answer from"):
            make_client(f"http://127.0.0.1:{silent.port}", clock).get("/droplets")
        silent.close()

    def test_no_trust_in_the_certificate(self, clock: Clock) -> None:
        no_tls = SshListener(b"SSH-2.0-x\r\n" * 9)
        with pytest.raises(ApiError, match=r"no trust in the certificate|no answer from"):
            make_client(f"https://127.0.0.1:{no_tls.port}", clock, retries=0).get("/droplets")
        no_tls.close()


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

    def test_what_the_api_leaves_out_is_none(self) -> None:
        facts = droplet_facts({"id": 5, "image": {"id": 9, "slug": None}, "tags": None})
        assert facts["image"] == 9
        assert facts["tags"] == []
        assert facts["name"] == "5"
        assert facts["vpc_uuid"] is None
