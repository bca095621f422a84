# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every hit that was answered with 200 is on record, and none twice, whichever server or worker is killed when."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count

import psycopg
import pytest
from hits.batcher import NotRecordedError
from hits.ledger import RECORD, Ledger
from hits.schema import migrate
from hits.settings import Settings
from hits.spool import Batch, NotSpooledError, Spool
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from support.hits_servers import (
    App,
    Postgres,
    Redis,
    children,
    on_record,
    running_app,
    running_postgres,
    running_redis,
)
from support.waiting import wait_until

CLIENTS = 64
# Much more than it takes: the machine may have other things to do
PATIENCE = 60.0


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def cache() -> Iterator[Redis]:
    with running_redis(durable=True) as server:
        yield server


numbers = count()


@pytest.fixture
def database(postgres: Postgres) -> str:
    """The name of an empty database."""
    name = f"outage{next(numbers)}"
    postgres.query(f"CREATE DATABASE {name}", "postgres")
    return name


@pytest.fixture
def apps(postgres: Postgres, cache: Redis, database: str) -> Iterator[tuple[App, App]]:
    """Two instances of two workers each."""
    with ExitStack() as stack:
        one, two = (
            stack.enter_context(running_app(f"app-{number}", postgres.url(database), cache.url, workers=2))
            for number in (1, 2)
        )
        for app in (one, two):
            wait_until("ready", lambda app=app: app.get("/readyz").status == 200, PATIENCE)  # type: ignore[misc]
        yield one, two


class Crowd:
    """Clients that ask the instances in turn for as long as they are let, and keep what they were told."""

    def __init__(self, apps: tuple[App, ...], limit: int | None = None) -> None:
        self._apps = apps
        self._limit = limit
        self._asked = count()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.totals: list[int | None] = []
        self.answers = Counter[str]()
        self.reasons = Counter[str]()
        self.wrong: list[str] = []
        self._threads = [threading.Thread(target=self._run, args=[number]) for number in range(CLIENTS)]

    def _run(self, number: int) -> None:
        app = self._apps[number % len(self._apps)]
        connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=30)
        while not self._stop.is_set() and (self._limit is None or next(self._asked) < self._limit):
            try:
                connection.request("GET", "/api/hits")
                response = connection.getresponse()
                self._keep(response.status, response.headers, json.loads(response.read()))
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                with self._lock:
                    self.answers["none"] += 1
                    self.wrong.append(repr(error))
        connection.close()

    def _keep(self, status: int, headers: http.client.HTTPMessage, told: dict[str, object]) -> None:
        with self._lock:
            if status == 200:
                self.answers["spooled" if told["total"] is None or told["lag"] else "recorded"] += 1
                self.totals.append(told["total"])  # type: ignore[arg-type]
                return
            self.answers[str(status)] += 1
            self.reasons[str(told.get("error"))] += 1
            if status != 503 or headers["Retry-After"] != "2" or {"total", "last_day", "recent"} & told.keys():
                self.wrong.append(f"{status} {told}")

    @property
    def counted(self) -> int:
        return self.answers["recorded"] + self.answers["spooled"]

    def await_more(self, kind: str, number: int = 100) -> None:
        """Wait until so many more answers were of a kind: "recorded", "spooled", "503"."""
        goal = self.answers[kind] + number
        wait_until(f"{number} more answers {kind}", lambda: self.answers[kind] >= goal, PATIENCE)

    @contextmanager
    def at_work(self) -> Iterator[Crowd]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self.join()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


def await_empty_spool(cache: Redis, database: str) -> None:
    wait_until("an empty spool", lambda: cache.client.llen(f"hits:spool:{database}") == 0, PATIENCE)
    assert int(str((cache.client.get(f"hits:spool:{database}:hits") or b"0").decode())) == 0


def ask_until_all_are_back(apps: tuple[App, App]) -> int:
    """Ask until no worker has been without PostgreSQL for 40 answers in a row; return how many hits that were."""
    lags: list[str | None] = []

    def all_are_back() -> bool:
        lags.append(apps[len(lags) % 2].get().json["lag"])
        return len(lags) >= 40 and not any(lags[-40:])

    wait_until("workers that are all back", all_are_back, PATIENCE)
    return len(lags)


@pytest.mark.slow
def test_crowd_is_counted_exactly(postgres: Postgres, database: str, apps: tuple[App, App]) -> None:
    crowd = Crowd(apps, limit=20_000)
    with crowd.at_work():
        crowd.join()

    assert crowd.wrong == []
    assert crowd.answers == {"recorded": 20_000}
    assert sorted(map(int, filter(None, crowd.totals)))[-1] == 20_000
    assert on_record(postgres, database) == 20_000


def test_postgresql_that_is_killed_costs_no_hit(
    postgres: Postgres, cache: Redis, database: str, apps: tuple[App, App]
) -> None:
    with Crowd(apps).at_work() as crowd:
        for _ in range(3):
            crowd.await_more("recorded")
            postgres.crash()
            try:
                crowd.await_more("spooled", 500)
                assert [app.get("/readyz").status for app in apps] == [200, 200]
            finally:
                postgres.start()
        crowd.await_more("recorded")

    await_empty_spool(cache, database)
    assert crowd.wrong == []
    assert set(crowd.answers) == {"recorded", "spooled"}, crowd.reasons
    assert on_record(postgres, database) == crowd.counted
    # What is shown is true again, without a restart: a worker comes back when its pause of some seconds is over
    before = crowd.counted + ask_until_all_are_back(apps)
    await_empty_spool(cache, database)
    shown = [apps[number % 2].get().json for number in range(4)]
    assert [answer["lag"] for answer in shown] == [None] * 4
    assert [answer["total"] for answer in shown] == list(range(before + 1, before + 5))


def test_redis_that_is_killed_costs_no_hit(
    postgres: Postgres, cache: Redis, database: str, apps: tuple[App, App]
) -> None:
    with Crowd(apps).at_work() as crowd:
        for _ in range(3):
            crowd.await_more("recorded", 300)
            cache.stop(signal.SIGKILL)
            try:
                crowd.await_more("recorded", 300)
            finally:
                cache.start()
        crowd.await_more("recorded", 300)

    assert crowd.wrong == []
    assert set(crowd.answers) == {"recorded"}, crowd.reasons
    assert on_record(postgres, database) == crowd.counted


def test_worker_that_is_killed_loses_no_answered_hit(
    postgres: Postgres, cache: Redis, database: str, apps: tuple[App, App]
) -> None:
    with Crowd(apps).at_work() as crowd:
        for number in range(3):
            crowd.await_more("recorded", 300)
            os.kill(children(apps[number % 2].pid)[0], signal.SIGKILL)
        postgres.crash()
        try:
            crowd.await_more("spooled", 300)
            os.kill(children(apps[0].pid)[0], signal.SIGKILL)
            crowd.await_more("spooled", 300)
        finally:
            postgres.start()
        # Likely in the middle of a move
        os.kill(children(apps[1].pid)[0], signal.SIGKILL)
        crowd.await_more("recorded", 300)

    await_empty_spool(cache, database)
    assert set(crowd.answers) <= {"recorded", "spooled", "none"}
    # Whoever got no answer may have been counted; nobody else may
    assert crowd.counted <= on_record(postgres, database) <= crowd.counted + crowd.answers["none"]
    assert crowd.answers["none"] < 5 * CLIENTS


def test_nothing_untrue_is_shown_while_both_are_down(
    postgres: Postgres, cache: Redis, database: str, apps: tuple[App, App]
) -> None:
    with Crowd(apps).at_work() as crowd:
        crowd.await_more("recorded")
        postgres.crash()
        try:
            crowd.await_more("spooled")
            cache.stop(signal.SIGKILL)
            try:
                crowd.await_more("503")
                for app in apps:
                    ready, page = app.get("/readyz"), app.get("/")
                    assert (ready.status, page.status, page.headers["Retry-After"]) == (503, 503, "2")
                    assert "Redis cannot be reached" in ready.json["reason"]
                    assert "Total hits" not in page.text
                    assert app.get("/healthz").status == 200
            finally:
                cache.start()
            crowd.await_more("spooled")
        finally:
            postgres.start()
        crowd.await_more("recorded")

    await_empty_spool(cache, database)
    assert crowd.wrong == []
    # A batch that Redis was about to answer when it was killed may be in its file, and its hits were told 503
    uncertain = 4 * CLIENTS
    assert crowd.counted <= on_record(postgres, database) <= crowd.counted + min(uncertain, crowd.answers["503"])


def test_hits_wait_for_a_redis_that_is_back_in_a_moment(
    postgres: Postgres, cache: Redis, database: str, apps: tuple[App, App]
) -> None:
    with Crowd(apps).at_work() as crowd:
        crowd.await_more("recorded")
        # As where their host restarts
        cache.stop(signal.SIGKILL)
        postgres.crash()
        try:
            cache.start()
            crowd.await_more("spooled")
        finally:
            postgres.start()
        crowd.await_more("recorded")

    await_empty_spool(cache, database)
    assert crowd.wrong == []
    assert crowd.answers["503"] == 0
    assert on_record(postgres, database) == crowd.counted


def test_instance_that_is_to_end_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hits.ledger.sleep", lambda _seconds: pytest.fail("it waits"))
    nowhere = Settings("postgresql://hits@127.0.0.1:1/hits", "redis://127.0.0.1:1/0", "app-1")
    ledger = Ledger(nowhere, stays=lambda: False)
    try:
        with pytest.raises(NotRecordedError, match="Redis cannot be reached"):
            ledger.record(1)
    finally:
        ledger.close()


def test_hits_of_an_instance_that_is_gone_are_moved_by_another(
    postgres: Postgres, cache: Redis, database: str, apps: tuple[App, App]
) -> None:
    assert apps[0].total() == 1
    postgres.crash()
    try:
        page = apps[0].get("/")
        assert "The figures may lag: PostgreSQL" in page.text
        shown = [apps[0].get().json["total"] for _ in range(5)]
        # A worker that had no hit before does not know the total
        assert set(shown) <= {None, *range(3, 8)}
        metrics = dict(line.rsplit(" ", 1) for line in apps[0].get("/metrics").text.splitlines() if line[0] != "#")
        assert float(metrics["hits_spool_length"]) == cache.client.llen(f"hits:spool:{database}") == 6
        assert float(metrics['hits_database_errors_total{database="postgresql"}']) > 0
        assert apps[0].stop() == 0
    finally:
        postgres.start()
    # Nobody asks the other one for anything
    await_empty_spool(cache, database)
    assert on_record(postgres, database) == 7
    totals: list[int | None] = []

    # One that has not asked PostgreSQL since does not know that it is back
    def knows_the_total() -> bool:
        totals.append(apps[1].get().json["total"])
        return totals[-1] is not None

    wait_until("the total is known", knows_the_total)
    await_empty_spool(cache, database)
    assert on_record(postgres, database) == 7 + len(totals)


def test_sigterm_ends_an_instance_with_every_answered_hit_waiting(
    postgres: Postgres, cache: Redis, database: str, apps: tuple[App, App]
) -> None:
    postgres.crash()
    try:
        with Crowd(apps[:1]).at_work() as crowd:
            crowd.await_more("spooled", 500)
            assert apps[0].stop() == 0
        assert int(cache.client.get(f"hits:spool:{database}:hits") or 0) == crowd.counted
    finally:
        postgres.start()

    await_empty_spool(cache, database)
    assert on_record(postgres, database) == crowd.counted


def test_postgresql_that_never_answers_keeps_no_hit_waiting_for_it(cache: Redis) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://hits@127.0.0.1:{silent.getsockname()[1]}/silent"
        with running_app("app-1", url, cache.url) as app:
            assert app.get("/readyz").status == 200
            answers = [app.get() for _ in range(20)]
            assert app.stop() == 0

    assert {(answer.status, answer.json["total"], answer.json["last_day"]) for answer in answers} == {(200, None, None)}
    assert {answer.json["lag"].partition(",")[0] for answer in answers} == {"PostgreSQL cannot be reached"}
    assert cache.client.get("hits:spool:silent:hits") == b"20"


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("appendonly", "no", "no append-only file"),
        ("maxmemory-policy", "allkeys-lru", "may evict"),
        ("maxmemory", "1", "no memory left"),
    ],
)
def test_redis_that_may_lose_hits_is_given_none(cache: Redis, setting: str, value: str, reason: str) -> None:
    spool = Spool(cache.client, "postgresql://hits@nowhere/refused")
    former = dict(cache.client.config_get())
    try:
        cache.client.config_set("maxmemory", value if setting == "maxmemory" else "1gb")
        cache.client.config_set(setting, value)
        with pytest.raises(NotSpooledError, match=reason):
            spool.push(Batch("app-1", "life", 1, 0, 5), "figures")
    finally:
        for name in ("maxmemory", "maxmemory-policy", "appendonly"):
            cache.client.config_set(name, former[name])
        # Until the file is written anew, Redis refuses to be stopped
        wait_until(
            "the append-only file is written",
            lambda: (
                not any(
                    cache.client.info("persistence")[f"aof_rewrite_{what}"] for what in ("in_progress", "scheduled")
                )
            ),
        )
    assert spool.length() == 0
    assert spool.push(None, "figures") is None


@pytest.mark.parametrize("worth_a_try", ["hit", "check"])
def test_redis_without_memory_is_no_reason_to_call_an_instance_ready(cache: Redis, worth_a_try: str) -> None:
    spool = Spool(cache.client, "postgresql://hits@nowhere/full")
    cache.client.config_set("maxmemory", "1")
    try:
        with pytest.raises(NotSpooledError, match="Redis has no memory left to keep hits in"):
            spool.push(Batch("app-1", "life", 1, 0, 5) if worth_a_try == "hit" else None, "figures")
    finally:
        cache.client.config_set("maxmemory", "0")


def test_redis_without_memory_keeps_what_waits_and_gives_it_back_under_load(
    postgres: Postgres, cache: Redis, database: str, apps: tuple[App, App]
) -> None:
    with Crowd(apps).at_work() as crowd:
        crowd.await_more("recorded")
        postgres.crash()
        try:
            crowd.await_more("spooled")
            cache.client.config_set("maxmemory", "1")
            crowd.await_more("503")
        finally:
            postgres.start()
        # Still without memory, and never idle
        crowd.await_more("recorded")
        await_empty_spool(cache, database)
        crowd.await_more("recorded")
        cache.client.config_set("maxmemory", "0")
        crowd.await_more("recorded")

    # A worker whose pause was not over had hits wait once there was memory
    await_empty_spool(cache, database)
    assert crowd.wrong == []
    assert on_record(postgres, database) == crowd.counted


def test_batch_that_is_sent_twice_waits_once(cache: Redis) -> None:
    spool = Spool(cache.client, "postgresql://hits@nowhere/twice")
    cache.client.hset("twice", "total", 10)
    batches = [Batch("app-1", "life", number, 60 * number, 5) for number in (1, 2)]

    assert [spool.push(batch, "twice") for batch in (batches[0], batches[0], batches[1], batches[0])] == [
        15,
        15,
        20,
        20,
    ]
    assert spool.oldest() == batches
    assert spool.remove(batches[:1]) == 1
    assert spool.remove(batches[:1]) == 1
    assert spool.push(None, "twice") == 15
    assert 0 < int(str(cache.client.ttl("twice"))) <= 3600


class Crash(BaseException):
    """What ends a process at a chosen moment."""


class Faulty(Ledger):
    """A ledger whose servers fail at chosen moments."""

    fault = ""

    def _query(self, statement: str, values: object = None) -> list[object]:
        if statement == RECORD and self.fault == "refused":
            raise NotRecordedError("PostgreSQL cannot be reached")
        rows = super()._query(statement, values)  # type: ignore[arg-type]
        if statement == RECORD and self.fault == "answer lost":
            raise NotRecordedError("PostgreSQL cannot be reached")
        return rows


FAULTS = ("", "", "refused", "answer lost")


@examples(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 1),
            st.sampled_from(["record", "record", "record", "move", "die before commit", "die after commit", "restart"]),
            st.sampled_from(FAULTS),
        ),
        max_size=25,
    )
)
def test_no_order_of_faults_and_deaths_counts_a_hit_twice_or_never(
    postgres: Postgres, cache: Redis, steps: list[tuple[int, str, str]]
) -> None:
    # Emptied and not made anew, which takes longer than the steps
    name = "faults"
    if not postgres.query(f"SELECT 1 FROM pg_database WHERE datname = '{name}'", "postgres"):
        postgres.query(f"CREATE DATABASE {name}", "postgres")
    with psycopg.connect(postgres.url(name), autocommit=True) as db:
        migrate(db)
        db.execute("TRUNCATE hits, instances, lives")
    cache.client.flushdb()

    def ledger(number: int) -> Faulty:
        return Faulty(Settings(postgres.url(name), cache.url, f"app-{number}"))

    ledgers = [ledger(0), ledger(1)]
    hits = 0
    try:
        for size, (number, step, fault) in enumerate(steps, 1):
            mine = ledgers[number]
            mine.fault = fault
            if step == "record":
                mine.record(size)
                hits += size
            elif step == "move":
                mine.idle()
            else:
                if step != "restart":
                    die(mine, after_commit=step == "die after commit")
                mine.close()
                ledgers[number] = ledger(number)
        for mine in ledgers:
            mine.fault = ""
        last = ledgers[0].record(1)
        ledgers[0].idle()
        await_empty_spool(cache, name)
        assert on_record(postgres, name) == hits + 1
        assert (last.total, last.lag) == (hits + 1, "")
    finally:
        for mine in ledgers:
            mine.close()


def die(ledger: Ledger, *, after_commit: bool) -> None:
    """Let it move what waits, and die just before or just after that is committed."""

    def crash(*_: object) -> int:
        raise Crash

    with pytest.MonkeyPatch.context() as patch:
        if after_commit:
            patch.setattr(ledger._spool, "remove", crash)
        else:
            patch.setattr("hits.ledger.MOVE", "SELECT 1/0")
        with suppress(Crash):
            ledger.idle()
