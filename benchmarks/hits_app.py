# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counting costs the hits app: pages a second of its page, and of the same page without counting, in one run.

Both pages come from the same server, one kept busy at a time and in turn, with no former hits, a million and a hundred
million. PostgreSQL (with fsync) and Redis (with its append-only file) are the distribution's, started on free ports;
they, the app and the program that asks share the cores of this machine. Figures depend on it and on what else it does,
ratios do so less.

    make bench-hits
    make bench-hits ARGS='--rounds 9 --workers 2'
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import typing as t
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg
from hits.schema import migrate
from hits.settings import Settings
from support.hits_servers import App, Postgres, Redis, directory

HERE = Path(__file__).resolve().parent

INSTANCES = 4
DAY = 1440
PAGES = {"counted": "/", "uncounted": "/uncounted/"}

# A row for each instance and minute, in the order in which they come
SEED = """
INSERT INTO hits (instance, minute, hits)
SELECT 'app-' || instance, date_trunc('minute', now()) - minute * interval '1 minute',
    %(hits)s / %(rows)s + ((minute - 1) * %(instances)s + instance <= %(hits)s %% %(rows)s)::integer
FROM generate_series(%(minutes)s, 1, -1) AS minute, generate_series(1, %(instances)s) AS instance
"""
SUM_UP = """
INSERT INTO instances (instance, hits, told) SELECT instance, sum(hits), false FROM hits GROUP BY instance
"""


class BenchmarkError(Exception):
    """Why there are no figures, in a sentence that can be shown."""


@dataclass(frozen=True)
class History:
    """Insert earlier hits, evenly over the minutes of every instance."""

    hits: int
    minutes: int

    @property
    def rows(self) -> int:
        return self.minutes * INSTANCES

    @property
    def label(self) -> str:
        return f"{self.hits:,} in {self.minutes // DAY:,} days" if self.hits else "0"


HISTORIES = (History(0, 0), History(10**6, 90 * DAY), History(10**8, 2 * 365 * DAY))


@dataclass(frozen=True)
class Sample:
    """What one turn found: pages a second, milliseconds, hits that a statement recorded, pages that failed."""

    rate: float
    p50: float
    p99: float
    batch: float | None
    failed: int


def seed(postgres: Postgres, database: str, history: History) -> None:
    """Make a database with that history."""
    postgres.query(f"CREATE DATABASE {database}", "postgres")
    with psycopg.connect(postgres.url(database), autocommit=True) as db:
        migrate(db)
        if history.hits:
            values = {"hits": history.hits, "rows": history.rows, "minutes": history.minutes, "instances": INSTANCES}
            db.execute(SEED, values)
            db.execute(SUM_UP)
            # What autovacuum has long done to a table of that age
            db.execute("VACUUM ANALYZE hits")


def batches(app: App) -> tuple[int, int]:
    """Return how many statements recorded hits, and how many hits."""
    text = app.get("/metrics").text
    found = dict(re.findall(r"^hits_batch_size_(count|sum) ([0-9.]+)$", text, re.MULTILINE))
    return int(float(found["count"])), int(float(found["sum"]))


def measure(app: App, page: str, clients: int, seconds: int) -> Sample:
    """Keep one page busy for that many seconds."""
    before = batches(app)
    command = ["wrk", "--threads", "1", "--connections", str(clients), "--duration", f"{seconds}s"]
    command += ["--script", str(HERE / "report.lua"), f"http://127.0.0.1:{app.port}{PAGES[page]}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkError(f"wrk could not ask the app: {done.stderr.strip()}")
    result = json.loads(done.stdout.splitlines()[-1])
    statements, hits = (after - former for after, former in zip(batches(app), before, strict=True))
    if (page == "counted") != (hits >= result["requests"] > 0):
        raise BenchmarkError(f"{result['requests']} {page} pages and {hits} hits: the app did not do what is measured")
    return Sample(
        rate=result["requests"] / result["seconds"],
        p50=result["p50"],
        p99=result["p99"],
        batch=hits / statements if page == "counted" else None,
        failed=result["failed"],
    )


def table(samples: dict[tuple[History, str], list[Sample]]) -> list[str]:
    """Medians, and for the ratios the median of the rounds' ratios: each round's turns had the machine alike."""

    def ratio(of: tuple[History, str], to: tuple[History, str]) -> float:
        return statistics.median(one.rate / other.rate for one, other in zip(samples[of], samples[to], strict=True))

    lines = [
        "| former hits | rows | page | pages/s | of the uncounted | of that with 0 hits | p50 ms | p99 ms "
        "| hits/statement | failed |",
        "|---|--:|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for (history, page), turns in samples.items():
        rate, p50, p99 = (statistics.median(getattr(one, key) for one in turns) for key in ("rate", "p50", "p99"))
        to_uncounted = ratio((history, page), (history, "uncounted"))
        to_empty = ratio((history, page), (HISTORIES[0], page))
        batch = statistics.median(one.batch or 0 for one in turns)
        lines.append(
            f"| {history.label} | {history.rows:,} | {page} | {rate:,.0f} | {to_uncounted:.2f} | {to_empty:.2f} "
            f"| {p50:.1f} | {p99:.1f} | {f'{batch:.1f}' if batch else ''} | {sum(one.failed for one in turns)} |"
        )
    return lines


def version(command: t.Sequence[str]) -> str:
    """Return the first number with a dot of what a program says of itself."""
    said = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"\d+\.[\d.]*\d", said.stdout + said.stderr)
    return found[0] if found else "?"


def main() -> int:
    """Run the benchmark; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="make bench-hits ARGS=...", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="how often each page takes its turn (7)")
    parser.add_argument("--seconds", type=int, default=3, help="how long a turn is (3)")
    parser.add_argument("--clients", type=int, default=64, help="connections, kept alive (64)")
    parser.add_argument("--workers", type=int, default=1, help="processes of the app (1)")
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.seconds, arguments.clients, arguments.workers) < 1:
        parser.error("--rounds, --seconds, --clients and --workers take 1 and more")
    if not shutil.which("wrk"):
        parser.error("wrk is not on this machine: `make bench-hits` installs it")

    with ExitStack() as stack:
        folders = [Path(stack.enter_context(directory())) for _ in range(2 + len(HISTORIES))]
        postgres, redis = Postgres(folders[0]), Redis(folders[1])
        # The last word holds: the tests do without
        postgres.command += ["-c", "fsync=on"]
        redis.command += ["--appendonly", "yes"]
        apps = {}
        for server in (postgres, redis):
            server.start()
            stack.callback(server.stop)
        for history, folder in zip(HISTORIES, folders[2:], strict=True):
            print(f"Making {history.label} former hits ...", file=sys.stderr, flush=True)
            database = f"hits_{history.hits}"
            seed(postgres, database, history)
            app = apps[history] = App(folder, "app-1", postgres.url(database), redis.url, arguments.workers)
            app.command[1:] = [str(HERE / "hits_server.py")]
            app.start()
            stack.callback(app.stop)
            # Two turns that don't count: what happens once, has happened
            for page in PAGES:
                measure(app, page, arguments.clients, 1)

        print(
            f"{datetime.date.today()}, {os.cpu_count()} cores shared by all, Linux {platform.release()}, "
            f"Python {platform.python_version()}"
        )
        [[postgresql]] = postgres.query("SHOW server_version", "postgres")
        print(
            f"PostgreSQL {postgresql.split()[0]}, Redis {redis.client.info('server')['redis_version']}, "
            f"wrk {version(['wrk', '--version'])}; load of the machine before: {os.getloadavg()[0]:.1f}"
        )
        print(
            f"{arguments.clients} clients, {arguments.workers} worker(s) of "
            f"{os.environ.get('THREADS', Settings.threads)} threads, {arguments.rounds} rounds of "
            f"{arguments.seconds} s each, medians",
            flush=True,
        )
        turns = [(history, page) for history in HISTORIES for page in PAGES]
        samples: dict[tuple[History, str], list[Sample]] = {turn: [] for turn in turns}
        for number in range(arguments.rounds):
            print(f"Round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
            # Every other round backwards, so that none has the better place
            for history, page in turns[:: -1 if number % 2 else 1]:
                samples[history, page].append(measure(apps[history], page, arguments.clients, arguments.seconds))
        print("", *table(samples), sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(f"error: {error}")
