# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances as real processes count exactly with real servers, and while those come and go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from hits.ledger import TELL, Ledger
from hits.settings import Settings
from support.hits_servers import (
    FILES,
    App,
    Postgres,
    Redis,
    children,
    directory,
    free_port,
    on_record,
    running_app,
    running_postgres,
    running_redis,
)
from support.waiting import wait_until

StartApp = Callable[..., App]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def cache() -> Iterator[Redis]:
    with running_redis() as server:
        yield server


@pytest.fixture(scope="module")
def apps(postgres: Postgres, cache: Redis) -> Iterator[tuple[App, App]]:
    with ExitStack() as stack:
        one, two = (stack.enter_context(running_app(f"app-{number}", postgres.url(), cache.url)) for number in (1, 2))
        # Redis knows both from here on
        for app in (one, two, one, two):
            app.total()
        yield one, two


def take_turns(apps: tuple[App, ...], hits: int) -> list[int]:
    return [apps[number % len(apps)].total() for number in range(hits)]


def test_one_request_after_another_raises_the_total_by_one(postgres: Postgres, apps: tuple[App, App]) -> None:
    before = on_record(postgres)

    assert take_turns(apps, 10) == list(range(before + 1, before + 11))
    answer = apps[0].get()
    figures = {name: answer.json[name] for name in ("instance", "last_day", "total")}
    assert figures == {"instance": "app-1", "last_day": before + 11, "total": before + 11}
    assert "app-2" in apps[1].get("/").text
    assert on_record(postgres) == before + 12


def test_no_hit_of_a_crowd_is_lost_or_shown_twice(postgres: Postgres, apps: tuple[App, App]) -> None:
    before = on_record(postgres)
    with ThreadPoolExecutor(100) as pool:
        totals = list(pool.map(lambda number: apps[number % 2].total(), range(1000)))

    assert sorted(totals) == list(range(before + 1, before + 1001))
    assert on_record(postgres) == before + 1000


def test_instances_that_commit_at_the_same_moment_show_different_totals(postgres: Postgres, cache: Redis) -> None:
    postgres.query("CREATE DATABASE crowded", "postgres")
    ledgers = [Ledger(Settings(postgres.url("crowded"), cache.url, f"app-{number}")) for number in range(4)]
    assert [ledger.record(1).total for ledger in ledgers] == [1, 2, 3, 4]

    def race(ledger: Ledger) -> list[int]:
        return [ledger.record(1).total for _ in range(100)]

    with ThreadPoolExecutor(4) as pool:
        totals = [total for part in pool.map(race, ledgers) for total in part]
    assert sorted(totals) == list(range(5, 405))


def test_redis_that_is_told_late_or_twice_counts_once(cache: Redis) -> None:
    tell = cache.client.register_script(TELL)

    def told(every: int, *pairs: str | int) -> object:
        answer: Any = tell(["told-test", "spool-test"], [every, *pairs])
        return answer if answer is None else answer[0]

    assert told(0, "app-1", 5) is None
    assert told(1, "app-1", 5, "app-2", 2) == 7
    assert told(0, "app-1", 6) == 8
    assert told(0, "app-1", 6) == 8
    assert told(1, "app-1", 4, "app-2", 3) == 9
    assert 0 < int(str(cache.client.ttl("told-test"))) <= 3600


def test_redis_that_loses_its_data_changes_no_figure(postgres: Postgres, cache: Redis, apps: tuple[App, App]) -> None:
    before = on_record(postgres)
    totals = []
    for _ in range(5):
        cache.client.flushall()
        totals += take_turns(apps, 3)
    assert totals == list(range(before + 1, before + 16))

    with ThreadPoolExecutor(51) as pool:
        crowd = [pool.submit(apps[number % 2].total) for number in range(500)]
        for number in range(0, 500, 50):
            crowd[number].result()
            cache.client.flushall()
    assert max(future.result() for future in crowd) <= before + 515
    assert apps[0].total() == on_record(postgres) == before + 516


def test_redis_that_returns_with_old_data_changes_no_figure(
    postgres: Postgres, cache: Redis, apps: tuple[App, App]
) -> None:
    before = apps[1].total()
    cache.client.save()
    assert take_turns(apps, 4)[-1] == before + 4
    cache.stop(signal.SIGKILL)
    cache.start()

    assert take_turns(apps, 4) == list(range(before + 5, before + 9))
    assert before + 8 in told(cache)


def told(cache: Redis) -> list[int]:
    """The totals that Redis has, one for each database that it ever knew."""
    return [int(cache.client.hget(key, "total") or 0) for key in cache.client.keys("hits:*") if b"spool" not in key]


def test_figures_of_a_restored_database_are_its_own(postgres: Postgres, cache: Redis, apps: tuple[App, App]) -> None:
    def leave() -> None:
        postgres.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'hits'", "postgres")

    dumped = apps[0].total()
    leave()
    # As a restore does: the copy holds what a dump did, and takes the name of the database that went on
    postgres.query("CREATE DATABASE hits_restoring TEMPLATE hits", "postgres")
    take_turns(apps, 4)
    leave()
    postgres.query("ALTER DATABASE hits RENAME TO hits_replaced", "postgres")
    postgres.query("ALTER DATABASE hits_restoring RENAME TO hits", "postgres")

    assert take_turns(apps, 4) == list(range(dumped + 1, dumped + 5))
    assert on_record(postgres) == dumped + 4


def test_pages_go_on_without_redis(postgres: Postgres, cache: Redis, apps: tuple[App, App]) -> None:
    before = on_record(postgres)
    cache.stop()
    try:
        totals = take_turns(apps, 6)
        assert apps[0].get("/readyz").status == 200
    finally:
        cache.start()
    totals += take_turns(apps, 2)
    assert totals == list(range(before + 1, before + 9))

    wait_until(
        "both instances told Redis again",
        lambda: take_turns(apps, 2) and postgres.query("SELECT bool_and(told) FROM instances")[0][0],
    )
    total = on_record(postgres)
    assert total in told(cache)


def test_instance_that_alone_cannot_reach_redis_is_counted_by_all(postgres: Postgres, apps: tuple[App, App]) -> None:
    before = on_record(postgres)
    with running_app("app-3", postgres.url(), f"redis://127.0.0.1:{free_port()}/0") as lonely:
        totals = take_turns((lonely, *apps), 9)

    assert totals == list(range(before + 1, before + 10))
    postgres.query("UPDATE instances SET told = true")


def test_postgresql_that_stops_is_told_and_returns_by_itself(
    postgres: Postgres, cache: Redis, apps: tuple[App, App]
) -> None:
    before = on_record(postgres)
    postgres.stop()
    with ExitStack() as stack:
        try:
            late = stack.enter_context(running_app("app-4", postgres.url(), cache.url))
            started = monotonic()
            for app in (*apps, late):
                answer = app.get("/")
                assert answer.status == 503
                assert answer.headers["Retry-After"] == "2"
                assert "could not be recorded" in answer.text
                ready = app.get("/readyz")
                assert (ready.status, ready.json["reason"]) == (
                    503,
                    "PostgreSQL cannot be reached, and Redis has no append-only file to keep hits in",
                )
                assert app.get("/healthz").status == 200
            assert monotonic() - started < 3
        finally:
            postgres.start()
        for app in (*apps, late):
            wait_until("ready again", lambda app=app: app.get("/readyz").status == 200)  # type: ignore[misc]
        assert take_turns((*apps, late), 6) == list(range(before + 1, before + 7))


def test_postgresql_that_restarts_between_two_hits_costs_none(postgres: Postgres, apps: tuple[App, App]) -> None:
    before = apps[0].total()
    postgres.stop()
    postgres.start()

    assert take_turns(apps, 2) == [before + 1, before + 2]


def test_postgresql_that_hangs_keeps_nobody_waiting(postgres: Postgres, apps: tuple[App, App]) -> None:
    before = apps[0].total()
    locks = "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock'"
    with ThreadPoolExecutor(1) as pool:
        sleeper = pool.submit(postgres.query, "BEGIN; LOCK TABLE instances; SELECT pg_sleep(9)")
        wait_until("the lock", lambda: postgres.query(locks))
        started = monotonic()
        answer = apps[0].get()
        assert monotonic() - started < 3.5
        assert (answer.status, answer.json["error"].count("did not answer in time")) == (503, 1)
        postgres.query("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%'")
        sleeper.exception()

    wait_until("ready again", lambda: apps[0].get("/readyz").status == 200)
    assert apps[0].total() == before + 1


def test_sigterm_ends_an_instance_with_every_answered_hit_on_record(postgres: Postgres, cache: Redis) -> None:
    def until_refused(app: App) -> int:
        answered = 0
        while True:
            try:
                app.total()
            except OSError:
                return answered
            answered += 1

    with directory() as path, ThreadPoolExecutor(20) as pool:
        app = App(path, "app-5", postgres.url(), cache.url)
        app.start()
        clients = [pool.submit(until_refused, app) for _ in range(20)]
        record = "SELECT hits FROM instances WHERE instance = 'app-5'"
        wait_until("load", lambda: postgres.query(record)[0][0] > 100 if postgres.query(record) else False)
        assert app.stop() == 0
        answered = sum(client.result() for client in clients)

    assert answered > 100
    assert postgres.query(record) == [(answered,)]


def test_migration_may_run_everywhere_at_once_and_again(postgres: Postgres) -> None:
    postgres.query("CREATE DATABASE raced", "postgres")
    code = (
        "import sys, psycopg; from hits.schema import migrate\n"
        "db = psycopg.connect(sys.argv[1], autocommit=True)\n"
        "sys.stdin.read(1); print(migrate(db), migrate(db))"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code, postgres.url("raced")],
            cwd=FILES,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    wait_until(
        "8 connections",
        lambda: postgres.query("SELECT count(*) FROM pg_stat_activity WHERE datname = 'raced'")[0][0] == 8,
    )
    for racer in racers:
        assert racer.stdin
        racer.stdin.write("x")
        racer.stdin.flush()
    results = [racer.communicate(timeout=20) for racer in racers]

    assert [error for _, error in results] == [""] * 8
    assert len({word for out, _ in results for word in out.split()}) == 1
    assert postgres.query("SELECT version FROM schema_version", "raced") == [(1,), (2,)]


def test_hits_older_than_a_day_are_in_the_total_only(postgres: Postgres, cache: Redis) -> None:
    postgres.query("CREATE DATABASE aged", "postgres")
    with running_app("app-1", postgres.url("aged"), cache.url) as app:
        assert app.get("/readyz").status == 200
        postgres.query(
            "INSERT INTO hits SELECT 'gone', date_trunc('minute', now()) - ago, 1 "
            "FROM unnest('{1430 min, 1450 min, 30 days}'::interval[]) AS ago;"
            "INSERT INTO instances VALUES ('gone', 3, true)",
            "aged",
        )
        answer = app.get().json
        assert (answer["last_day"], answer["total"]) == (2, 4)


def test_shares_of_the_last_minute_are_those_on_record(postgres: Postgres, cache: Redis) -> None:
    postgres.query("CREATE DATABASE shared", "postgres")
    with running_app("app-1", postgres.url("shared"), cache.url) as app:
        assert app.get("/readyz").status == 200
        # What others did, one of them in two workers, and one of them long ago
        postgres.query(
            "INSERT INTO instances VALUES ('app-2', 107, true), ('app-2/2', 5, true), ('gone', 9, true);"
            "INSERT INTO hits SELECT instance, date_trunc('minute', now()) - ago, hits FROM (VALUES "
            "('app-2', interval '0 min', 7), ('app-2/2', '0 min', 5), ('app-2', '3 min', 100), ('gone', '1 day', 9)) "
            "AS more (instance, ago, hits)",
            "shared",
        )
        recent = app.get().json["recent"]
        assert recent["hits"] == {"app-1": 1, "app-2": 12}
        # All of the minute before this one, and what there is of this one
        assert 60 <= recent["seconds"] <= 120


def test_workers_of_an_instance_count_and_tell_metrics_together(postgres: Postgres, cache: Redis) -> None:
    postgres.query("CREATE DATABASE workers", "postgres")
    sample = 'hits_http_requests_total{method="GET",route="/api/hits",status="200"} '

    def crowd(app: App) -> list[int]:
        with ThreadPoolExecutor(16) as pool:
            return sorted(pool.map(lambda _: app.total(), range(200)))

    with running_app("app-1", postgres.url("workers"), cache.url, workers=2) as app:
        rows = "SELECT instance FROM instances ORDER BY instance"
        wait_until("both workers at work", lambda: app.total() and len(postgres.query(rows, "workers")) == 2)
        before = app.total()
        assert crowd(app) == list(range(before + 1, before + 201))
        assert f"{sample}{before + 200}.0" in app.get("/metrics").text.splitlines()

        former = set(children(app.pid))
        os.kill(min(former), signal.SIGKILL)
        wait_until("another in its place", lambda: len(children(app.pid)) == 2 and set(children(app.pid)) != former)
        assert f"{sample}{before + 200}.0" in app.get("/metrics").text.splitlines()
        assert crowd(app) == list(range(before + 201, before + 401))
        assert postgres.query(rows, "workers") == [("app-1",), ("app-1/2",)]
        shared = [path.parent for path in Path("/dev/shm").glob(f"hits-metrics-*/counter_{max(former)}.db")]
        assert len(shared) == 1
    assert not shared[0].exists()


def test_refused_credentials_are_a_line_with_the_variable_and_without_the_secret(
    postgres: Postgres, cache: Redis
) -> None:
    database = f"postgresql://nobody:secret-one@127.0.0.1:{postgres.port}/hits"
    with running_app("app-1", database, f"redis://nobody:secret-two@127.0.0.1:{cache.port}/0") as app:
        answer = app.get("/readyz")
        lines = (app.directory / "log").read_text().splitlines()

    assert answer.status == 503
    assert [line for line in lines if "DATABASE_URL: no connection to PostgreSQL: connection failed: " in line]
    assert [line for line in lines if line.endswith("REDIS_URL: Redis is not used for now: AuthenticationError")]
    assert "secret-" not in "\n".join([answer.text, *lines])
