# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages say, count and log, with a counter that needs no servers."""

from __future__ import annotations

import io
import json
import re

import pytest
from flask.testing import FlaskClient
from hits.batcher import Figures, NotRecordedError
from hits.recent import Recent
from hits.web import create_app


class FakeCounter:
    def __init__(self) -> None:
        self.hits = 1233
        self.reason = ""

    def hit(self) -> Figures:
        self.check()
        self.hits += 1
        return Figures(self.hits, 56, Recent(60, {"app-10": 1, "app-7": 3000}))

    def check(self) -> None:
        if self.reason:
            raise NotRecordedError(self.reason)


@pytest.fixture
def counter() -> FakeCounter:
    return FakeCounter()


@pytest.fixture
def client(counter: FakeCounter) -> FlaskClient:
    return create_app("app-7", counter).test_client()


def test_page_shows_instance_and_figures(client: FlaskClient, counter: FakeCounter) -> None:
    response = client.get("/")

    assert response.status_code == 200
    assert response.mimetype == "text/html"
    assert "APP INSTANCE" in response.text
    assert "app-7" in response.text
    assert "<dt>Total hits</dt><dd>1,234</dd>" in response.text
    assert "<dt>Hits in the last day</dt><dd>56</dd>" in response.text
    assert "<script" not in response.text
    assert counter.hits == 1234


def test_page_has_a_bar_for_each_instance(client: FlaskClient) -> None:
    text = client.get("/").text

    assert "last 60 s" in text
    assert re.findall(r"<span>(app-\d+)</span> <span>(.+?) <small>(.+?)</small>", text) == [
        ("app-7", "100 %", "3,000 hits"),
        ("app-10", "0 %", "1 hit"),
    ]
    assert re.findall(r'<rect width="([\d.]+)"', text) == ["99.97", "0.03"]
    assert text.count('class="mine"') == 1
    # The policy lets no other style in
    assert " style=" not in text


def test_figures_that_may_lag_or_are_unknown_say_so(client: FlaskClient, counter: FakeCounter) -> None:
    assert "may lag" not in client.get("/").text
    counter.hit = lambda: Figures(None, None, lag="hits wait in Redis")  # type: ignore[method-assign]
    text = client.get("/").text

    assert "The figures may lag: hits wait in Redis." in text
    assert text.count("<dd>unknown</dd>") == 2
    assert "None" not in text
    assert "<svg" not in text
    answer = client.get("/api/hits").json
    assert (answer["total"], answer["last_day"], answer["lag"]) == (None, None, "hits wait in Redis")


def test_api_shows_the_same_as_json_and_counts(client: FlaskClient, counter: FakeCounter) -> None:
    assert client.get("/api/hits").json == {
        "instance": "app-7",
        "last_day": 56,
        "total": 1234,
        "recent": {"seconds": 60, "hits": {"app-7": 3000, "app-10": 1}},
        "lag": None,
    }
    assert counter.hits == 1234


@pytest.mark.parametrize(("path", "mimetype"), [("/", "text/html"), ("/api/hits", "application/json")])
def test_head_counts_nothing(client: FlaskClient, counter: FakeCounter, path: str, mimetype: str) -> None:
    response = client.head(path)

    assert response.status_code == 200
    assert response.mimetype == mimetype
    assert "Content-Length" not in response.headers
    assert counter.hits == 1233


@pytest.mark.parametrize("path", ["/", "/api/hits"])
def test_hit_that_is_not_recorded_shows_no_figure(client: FlaskClient, counter: FakeCounter, path: str) -> None:
    counter.reason = "PostgreSQL cannot be reached"
    response = client.get(path)

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "2"
    assert "could not be recorded" in response.text
    assert "PostgreSQL cannot be reached" in response.text
    assert "1,23" not in response.text
    assert "Total hits" not in response.text
    assert response.is_json == (path == "/api/hits")


def test_readyz_follows_the_counter_and_healthz_does_not(client: FlaskClient, counter: FakeCounter) -> None:
    assert client.get("/readyz").json == {"status": "ok", "instance": "app-7"}
    counter.reason = "PostgreSQL is read-only"
    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json == {
        "status": "unavailable",
        "instance": "app-7",
        "reason": "PostgreSQL is read-only",
    }
    assert client.get("/healthz").status_code == 200
    assert counter.hits == 1233


def test_bug_shows_a_page_without_its_details(client: FlaskClient, counter: FakeCounter) -> None:
    counter.check = lambda: 1 / 0  # type: ignore[method-assign,assignment]
    response = client.get("/")

    assert response.status_code == 500
    assert "Internal Server Error" in response.text
    assert "division" not in response.text
    assert response.headers["Cache-Control"] == "no-store"


def test_other_addresses_and_methods_are_refused(client: FlaskClient, counter: FakeCounter) -> None:
    missing, posted = client.get("/nothing"), client.post("/")

    assert missing.status_code == 404
    assert "There is nothing at this address." in missing.text
    assert posted.status_code == 405
    assert "GET" in posted.headers["Allow"]
    assert client.get("/api/nothing").is_json
    assert counter.hits == 1233


@pytest.mark.parametrize("path", ["/", "/api/hits", "/healthz", "/readyz", "/metrics", "/nothing"])
def test_every_answer_is_locked_down(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers

    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


def test_one_proxy_is_believed(client: FlaskClient, capsys: pytest.CaptureFixture[str]) -> None:
    client.get("/", headers={"X-Forwarded-For": "203.0.113.9, 198.51.100.4"})

    assert json.loads(capsys.readouterr().out)["client"] == "198.51.100.4"


def test_log_has_a_line_a_request_and_no_secrets(
    client: FlaskClient, counter: FakeCounter, capsys: pytest.CaptureFixture[str]
) -> None:
    client.get("/?token=s3cret", headers={"Authorization": "s3cret", "Cookie": "a=s3cret"})
    client.get("/a%0Ab")
    client.get("/healthz")
    client.get("/readyz")
    client.get("/metrics")
    counter.reason = "PostgreSQL cannot be reached"
    client.get("/readyz")

    out = capsys.readouterr().out
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [
        ("GET", "/", 200),
        ("GET", "/a\nb", 404),
        ("GET", "/readyz", 503),
    ]
    assert {line["instance"] for line in lines} == {"app-7"}
    assert "s3cret" not in out


def value(client: FlaskClient, sample: str) -> float:
    """Return what /metrics says of a sample; 0 where it does not know it yet."""
    lines = dict(line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if line[0] != "#")
    return float(lines.get(sample, 0))


def test_metrics_count_requests_by_route_and_status(client: FlaskClient, counter: FakeCounter) -> None:
    good = 'hits_http_requests_total{method="GET",route="/",status="200"}'
    failed = 'hits_http_requests_total{method="GET",route="/",status="503"}'
    odd = 'hits_http_requests_total{method="other",route="other",status="405"}'
    timed = 'hits_http_request_seconds_count{route="/"}'
    before = [value(client, sample) for sample in (good, failed, odd, timed)]
    client.get("/")
    client.get("/")
    client.open("/", method="BREW")
    counter.reason = "PostgreSQL cannot be reached"
    client.get("/")

    after = [value(client, sample) for sample in (good, failed, odd, timed)]
    assert [now - then for now, then in zip(after, before, strict=True)] == [2, 1, 1, 3]
    assert client.get("/metrics").mimetype == "text/plain"
    assert "python_info" not in client.get("/metrics").text


def test_metrics_are_not_shown_to_who_comes_through_the_proxy(client: FlaskClient) -> None:
    response = client.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"})

    assert response.status_code == 404
    assert "hits_http" not in response.text


def test_log_that_nobody_reads_any_more_costs_no_page(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Broken())

    assert client.get("/").status_code == 200
