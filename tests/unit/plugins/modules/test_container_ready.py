# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a container is ready, and when there is nothing more to wait for. The engine is a list of what it says."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from ansible_collections.alphacoder.scaleout.plugins.modules import container_ready
from ansible_collections.alphacoder.scaleout.plugins.modules.container_ready import NotReadyError, State, ask, wait

UP, AGAIN = "running 0 0 false", "restarting {} 1 false"
HEALTH = {
    "address": "127.0.0.1",
    "port": 80,
    "path": "/up",
    "headers": {},
    "statuses": [200],
    "status": "200",
    "timeout": 1,
}
NO_PATH = HEALTH | {"path": ""}


class Engine:
    """Says one after the other, and the last again and again."""

    def __init__(self, *said: str, **others: str) -> None:
        self.said, self.others = list(said), others

    def state(self, name: str) -> State:
        if name in self.others:
            return State.read(self.others[name])
        now = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        return State.read(now) if now else State()


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_ready, "POLL", 0.001)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the app answers, one after the other; the last again and again."""
    found: list[str] = []
    monkeypatch.setattr(container_ready, "ask", lambda _health: found.pop(0) if len(found) > 1 else found[0])
    return found


REFUSED = "connection refused"


@pytest.mark.parametrize(
    ("states", "says", "health"),
    [
        ([UP], [""], HEALTH),
        ([UP], [], NO_PATH),
        # What it needs was not there yet
        ([UP, AGAIN.format(1), AGAIN.format(2), "running 2 0 false"], [REFUSED, REFUSED, REFUSED, ""], HEALTH),
    ],
)
def test_ready(states: list[str], says: list[str], health: dict[str, Any], answers: list[str]) -> None:
    answers += says
    wait(Engine(*states), ["shop"], health, 60, 0, True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("states", "says", "health", "why"),
    [
        (
            [UP, AGAIN.format(1), AGAIN.format(3)],
            [REFUSED],
            HEALTH,
            "ends again and again: its container is restarting, restarted 3 times, last exit code 1.",
        ),
        ([UP, ""], [REFUSED], HEALTH, "ended: its container is gone."),
        (
            [UP, "exited 0 137 true"],
            [REFUSED],
            HEALTH,
            "ended: its container is exited, restarted 0 times, and was killed because it used more memory than it "
            "may.",
        ),
        # Nobody asks whether it is ready: it is, as soon as it runs
        (
            [AGAIN.format(0)],
            [],
            NO_PATH,
            "ends again and again: its container is restarting, restarted 0 times, last exit code 1.",
        ),
        # It had answered
        (
            [UP, UP, AGAIN.format(1)],
            [""],
            HEALTH,
            "did not stay up for 60 s: its container is restarting, restarted 1 times, last exit code 1.",
        ),
        (
            [UP, UP, "running 1 0 false"],
            [],
            NO_PATH,
            "did not stay up for 60 s: its container is running, restarted 1 times.",
        ),
    ],
)
def test_nothing_more_to_wait_for(
    states: list[str], says: list[str], health: dict[str, Any], why: str, answers: list[str]
) -> None:
    answers += says
    began = time.monotonic()
    with pytest.raises(NotReadyError) as caught:
        wait(Engine(*states), ["shop"], health, 60, 60, True)  # type: ignore[arg-type]

    assert (caught.value.name, str(caught.value)) == ("shop", why)
    assert time.monotonic() - began < 5


def test_restarts_of_before_do_not_count_of_one_that_was_not_started_now(answers: list[str]) -> None:
    answers += [REFUSED, ""]
    wait(Engine("running 7 0 false"), ["shop"], HEALTH, 60, 0, False)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("says", "steady", "why"),
    [
        ([REFUSED], 0, "did not answer 200 at http://127.0.0.1:80/up within 0 s: connection refused."),
        (["", "it answered 500"], 1, "answered 200 at http://127.0.0.1:80/up, and 1 s later did not: it answered 500."),
    ],
)
def test_app_that_does_not_answer(says: list[str], steady: int, why: str, answers: list[str]) -> None:
    answers += says
    with pytest.raises(NotReadyError) as caught:
        wait(Engine(UP), ["shop"], HEALTH, 0, steady, True)  # type: ignore[arg-type]
    assert str(caught.value) == why


def test_one_of_several_is_named() -> None:
    with pytest.raises(NotReadyError) as caught:
        wait(Engine(UP, b=AGAIN.format(1)), ["a", "b", "c"], NO_PATH, 60, 60, True)  # type: ignore[arg-type]
    assert caught.value.name == "b"


class App(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(2)
        self.send_response(int(self.headers.get("X-Status", "200")) if self.headers["Host"] == "shop" else 400)
        self.send_header("Location", "/login")
        self.end_headers()

    def log_message(self, *_words: Any) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), App) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_app_is_asked_as_the_settings_say(port: int) -> None:
    asked = HEALTH | {"port": port, "headers": {"Host": "shop"}}
    redirects = asked | {"headers": {"Host": "shop", "X-Status": "302"}}

    assert ask(asked) == ""
    assert ask(asked | {"headers": {}}) == "it answered 400"
    assert ask(redirects) == "it answered 302"
    assert ask(redirects | {"statuses": [200, 302]}) == ""
    assert ask(asked | {"path": "/slow"}) == "no answer in 1 s"


def test_nobody_listens(port: int) -> None:
    assert ask(HEALTH | {"address": "127.0.0.2", "port": port}) == "connection refused"
