# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where hits are kept, and why the figures are right.

**On record.** One statement adds a batch to two rows that only this worker of an instance writes: its count of the
minute (`hits`) and its count of all time (`instances`). Both are committed, or neither. No instance waits
for another's row, and the statement's cost depends on how many instances there are, not on how many hits.

**Total.** The sum over `instances`. The statement returns it, but two instances that commit at the same
moment would read the same sum. So Redis, which does one thing at a time, numbers the hits: it keeps the
largest count that it was told for each instance, and their sum is the total. Telling it twice, late or out
of order changes nothing, because a count only ever grows. So no race can count a hit twice, and no loss
lasts:

- A crash between commit and telling: the instance's next count holds those hits, too. Nobody was shown
  them.
- Redis lost its data, or was restarted with older data (its run id has changed): it says so, and is told
  every row of `instances`, read after it said so. An hour's expiry does the same, whatever else may have
  happened.
- An instance cannot reach Redis: it puts that on record (`told`) before it answers, and shows PostgreSQL's
  sum. The others see it with their next hit, and tell Redis every row of `instances`.

So a total includes the hit that it is shown with, and every hit that was answered before that one was asked
for. The totals of simultaneous hits differ, too, unless Redis is away or being told every row just then:
two instances may then show the same total, which counts both.

**While PostgreSQL is away** batches go to the spool, a list in Redis, and are moved when it returns, by whoever
sees that they wait. A batch is named by its `life` and a number that grows within it. The row in `instances` holds the
life that wrote last and the number of its last batch, and takes no batch of another life or of a number that is not
above it; before it passes to another life, its number goes to `lives`. So a batch is on record at most once, however
often it is sent: when an answer got lost (whether it was committed is not known, so the batch is spooled under the name
it has), and when the app dies between moving a batch and removing it from the spool. A ledger begins another life after
it has spooled, so that what it then records does not hide older batches that still wait.

**Last day.** The total minus what is older than 1440 minutes. That is a sum over minutes that are over, so
it is read once a minute and not once a hit.
"""

from __future__ import annotations

import logging
import select
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from time import monotonic, sleep, time
from typing import Any
from uuid import uuid4

import psycopg
import redis
from psycopg.rows import TupleRow
from redis.backoff import NoBackoff
from redis.retry import Retry

from hits import metrics
from hits.batcher import Figures, NotRecordedError
from hits.pause import Pause
from hits.recent import Recent, Samples
from hits.schema import migrate
from hits.settings import Settings
from hits.spool import Batch, NotSpooledError, Spool, is_full

log = logging.getLogger(__name__)

# Seconds; a statement and a connect each end well before a request gives up
STATEMENT_TIMEOUT = 2
CONNECT_TIMEOUT = 2
REDIS_TIMEOUT = 0.4
SPOOL_TIMEOUT = 1.0
# How long the first request after a loss waits for a connect, which goes on in the background
PATIENCE = 1.5
# How long hits wait for Redis when both servers are down, as when their host reboots. Later ones fail at once
BRIDGE = 3.0

RECORD = """
WITH clock AS (
    SELECT date_trunc('minute', now()) AS minute
), mine AS (
    UPDATE instances SET hits = hits + %(count)s, told = %(told)s, batch = %(batch)s
    WHERE instance = %(instance)s AND life = %(life)s AND batch < %(batch)s
    RETURNING hits
), of_minute AS (
    INSERT INTO hits (instance, minute, hits) SELECT %(instance)s, minute, %(count)s FROM clock, mine
    ON CONFLICT (instance, minute) DO UPDATE SET hits = hits.hits + excluded.hits
), others AS (
    SELECT coalesce(sum(hits), 0)::bigint AS hits, coalesce(bool_and(told), true) AS told
    FROM instances WHERE instance <> %(instance)s
)
SELECT mine.hits, mine.hits + others.hits, others.told, clock.minute,
    CASE WHEN clock.minute IS DISTINCT FROM %(minute)s THEN (
        (SELECT coalesce(sum(hits), 0) FROM instances)
        - (SELECT coalesce(sum(hits), 0) FROM hits
           WHERE minute > (SELECT minute FROM clock) - interval '1 day')
    )::bigint END
FROM mine, others, clock
"""

# Counts now, in the current minute and in the one before, and how many seconds ago the current minute began
RECENT = """
SELECT instance, hits, coalesce(of_this, 0)::bigint, coalesce(of_last, 0)::bigint,
    extract(epoch FROM now() - date_trunc('minute', now()))::float8
FROM instances LEFT JOIN (
    SELECT instance,
        sum(hits) FILTER (WHERE minute >= date_trunc('minute', now())) AS of_this,
        sum(hits) FILTER (WHERE minute < date_trunc('minute', now())) AS of_last
    FROM hits WHERE minute >= date_trunc('minute', now()) - interval '1 minute' GROUP BY instance
) AS minutes USING (instance)
"""

MOVE = """
WITH mine AS (
    UPDATE instances SET hits = hits + %(hits)s, told = false, batch = %(batch)s WHERE instance = %(writer)s
)
INSERT INTO hits (instance, minute, hits)
SELECT %(writer)s, to_timestamp(minute), hits
FROM unnest(%(minutes)s::bigint[], %(by_minute)s::bigint[]) AS more (minute, hits)
ON CONFLICT (instance, minute) DO UPDATE SET hits = hits.hits + excluded.hits
"""
# Any number that nothing else in the database locks
MOVE_LOCK = 0x68697474

# KEYS: the figures, the spool. ARGV: 1 if the pairs are every row of `instances`, else 0; then pairs of instance and
# count
TELL = """
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if redis.call('HGET', KEYS[1], 'run') ~= run then
    if ARGV[1] == '0' then return false end
    redis.call('DEL', KEYS[1])
    redis.call('HSET', KEYS[1], 'run', run, 'total', 0)
    redis.call('EXPIRE', KEYS[1], 3600)
end
for i = 2, #ARGV, 2 do
    local field = 'of:' .. ARGV[i]
    local more = tonumber(ARGV[i + 1]) - tonumber(redis.call('HGET', KEYS[1], field) or 0)
    if more > 0 then
        redis.call('HINCRBY', KEYS[1], field, more)
        redis.call('HINCRBY', KEYS[1], 'total', more)
    end
end
return {tonumber(redis.call('HGET', KEYS[1], 'total')), redis.call('LLEN', KEYS[2])}
"""


class _RedisAwayError(NotRecordedError):
    """Neither server could be asked."""


class Ledger:
    """The record in PostgreSQL and its copy in Redis, for one thread. Connects when it has to.

    Once `stays` returns False because the process is ending, no hit waits for a server that is down.
    """

    def __init__(self, settings: Settings, slot: int = 0, stays: Callable[[], bool] = lambda: True) -> None:
        self._settings = settings
        self._stays = stays
        # An instance's name can't hold a slash
        self._writer = f"{settings.instance}/{slot + 1}" if slot else settings.instance
        self._db: psycopg.Connection[TupleRow] | None = None
        self._db_pause = Pause()
        self._connector = ThreadPoolExecutor(1, "connector")
        self._connecting: Future[tuple[psycopg.Connection[TupleRow], str, bool]] | None = None
        self._redis = _client(settings, REDIS_TIMEOUT)
        self._redis_pause = Pause()
        self._tell = self._redis.register_script(TELL)
        self._key = ""
        # A hit's last resort, so worth a longer wait, and a try even if Redis has just failed to give figures
        self._spool_redis = _client(settings, SPOOL_TIMEOUT)
        self._spool_pause = Pause()
        self._spool = Spool(self._spool_redis, settings.database_url)
        self._life = uuid4().hex
        self._batch = 0
        self._spooled = False
        # When the first hit came that neither server could take
        self._both_away_since: float | None = None
        # Whether Redis has every hit of this instance up to the last batch
        self._told = False
        self._minute: datetime | None = None
        self._older: int | None = None
        self._samples = Samples()

    def record(self, count: int) -> Figures:
        """Put `count` hits on record, or else in the spool. Return the figures as of the last one.

        Raise NotRecordedError if they are in neither, or may not be.
        """
        self._batch += 1
        begun = monotonic()
        try:
            figures = self._record(count)
            self._both_away_since = None
            return figures
        except NotRecordedError as error:
            batch = Batch(self._writer, self._life, self._batch, int(time()) // 60 * 60, count)
            total = self._push_patiently(batch, error, begun)
            # PostgreSQL may have refused only this batch, and another instance may move it before the next one
            self._spooled = True
            day = None if total is None or self._older is None else total - self._older
            return Figures(total, day, lag=f"{error}, and hits wait in Redis until they can be recorded")

    def _record(self, count: int) -> Figures:
        # First, because it sets values that the statement uses
        self._connected()
        if self._spooled:
            self._life, self._spooled = uuid4().hex, False
        values = {
            "instance": self._writer,
            "life": self._life,
            "batch": self._batch,
            "count": count,
            "told": self._told,
            "minute": self._minute,
        }
        rows = self._query(RECORD, values)
        if not rows:
            # The row is in another life: an earlier one, or one whose batches another instance moved
            with self._transaction() as db:
                _claim(db, self._writer, self._life)
                rows = db.execute(RECORD.encode(), values).fetchall()
        mine, total, others_told, minute, older = rows[0]
        if older is not None:
            self._minute, self._older = minute, older
        numbered, waiting = self._number(mine, others_told)
        if numbered is None and self._told:
            # Before anyone gets an answer: from here on, Redis lacks hits that people have seen counted
            self._query("UPDATE instances SET told = false WHERE instance = %s", [self._writer])
        self._told = numbered is not None
        total = total if numbered is None else numbered
        assert self._older is not None
        lag = "hits that waited for PostgreSQL are being moved to it" if waiting else ""
        return Figures(total, total - self._older, self._recent(), lag)

    def _push_patiently(self, batch: Batch, reason: NotRecordedError, begun: float) -> int | None:
        """Spool a batch. If Redis has only just gone down, too, wait until it is back."""
        while True:
            try:
                total = self._push(batch, reason)
            except _RedisAwayError:
                if self._both_away_since is None:
                    self._both_away_since = begun
                if monotonic() > self._both_away_since + BRIDGE or not self._stays():
                    raise
                sleep(0.1)
                self._spool_pause = Pause()
            else:
                self._both_away_since = None
                return total

    def _push(self, batch: Batch | None, reason: NotRecordedError) -> int | None:
        """Spool a batch, or without one check that it is possible. Raise NotRecordedError with the servers' reasons."""
        if self._spool_pause.lasts:
            raise _RedisAwayError(f"{reason}, and Redis cannot be reached")
        try:
            total = self._spool.push(batch, self._key or "hits:unknown")
        except NotSpooledError as error:
            raise NotRecordedError(f"{reason}, and {error}") from None
        except redis.RedisError as error:
            self._redis_failed(error, self._spool_pause)
            raise _RedisAwayError(f"{reason}, and Redis cannot be reached") from None
        self._spool_pause.succeeded()
        return total

    def idle(self) -> None:
        """Move what waits in the spool, for times without hits that would do it."""
        try:
            if not self._spool_pause.lasts and self._spool.length():
                self._connected()
                self._move()
        except redis.RedisError as error:
            self._redis_failed(error, self._spool_pause)
        except NotRecordedError:
            pass

    def _moved(self) -> bool:
        """Move the batches that have waited longest, and return whether there were any. This needs no Redis memory."""
        try:
            return self._move() > 0
        except redis.RedisError:
            return False

    def _move(self) -> int:
        """Move the batches that have waited longest to PostgreSQL, and return how many there were.

        Raise redis.RedisError and NotRecordedError.
        """
        batches = self._spool.oldest()
        with self._transaction() as db:
            [[free]] = db.execute("SELECT pg_try_advisory_xact_lock(%s)", [MOVE_LOCK]).fetchall()
            if not free:
                # Another instance is moving them
                return len(batches)
            for (writer, life), group in groupby(batches, lambda batch: (batch.writer, batch.life)):
                last = _claim(db, writer, life)
                by_minute = Counter[int]()
                for batch in group:
                    # Otherwise it is in the spool twice, or already on record
                    if batch.number > last:
                        last = batch.number
                        by_minute[batch.minute] += batch.hits
                # Even if all were on record: they were shown as counted, but Redis may not have been told
                minutes = {"minutes": list(by_minute), "by_minute": list(by_minute.values())}
                values = {"writer": writer, "batch": last, "hits": by_minute.total(), **minutes}
                db.execute(MOVE.encode(), values)
        # Dying here does no harm: a batch that is moved twice counts once
        self._spool.remove(batches)
        return len(batches)

    def check(self) -> None:
        """Check that PostgreSQL, or else the spool, would take a hit. Raise NotRecordedError with the reasons."""
        try:
            if self._query("SELECT current_setting('transaction_read_only')")[0][0] == "on":
                # It may have become a standby; the connection after this one may find the primary
                self._forget_db()
                raise NotRecordedError("PostgreSQL is read-only")
        except NotRecordedError as error:
            self._push(None, error)

    def _recent(self) -> Recent:
        """Return each instance's hits in the last minute, accurate to a second."""
        now = monotonic()
        try:
            if self._samples.broken(now):
                counts, begun, before = Counter[str](), Counter[str](), Counter[str]()
                rows = self._query(RECENT)
                for writer, hits, of_this, of_last, _age in rows:
                    counts[_instance(writer)] += hits
                    begun[_instance(writer)] += hits - of_this
                    before[_instance(writer)] += hits - of_this - of_last
                age = rows[0][-1]
                self._samples.begin({now - age - 60: before, now - age: begun})
                self._samples.add(now, counts)
            elif self._samples.due(now):
                counts = Counter()
                for writer, hits in self._query("SELECT instance, hits FROM instances"):
                    counts[_instance(writer)] += hits
                self._samples.add(now, counts)
        except NotRecordedError:
            # The hits of this batch are on record all the same
            pass
        return self._samples.recent()

    def _number(self, mine: int, others_told: bool) -> tuple[int | None, int]:
        """Return the total as Redis counts it once told of `mine`, and how many batches wait in the spool.

        The total is None if Redis cannot be asked.
        """
        if self._redis_pause.lasts:
            return None, 0
        try:
            answer = self._tell_redis([(self._writer, mine)]) if others_told else None
            if answer is None:
                answer = self._tell_all()
            if answer[1]:
                self._move()
                answer = self._tell_all()
        except redis.RedisError as error:
            # The spool itself may be what fills Redis
            if is_full(error) and self._moved():
                return None, 1
            self._redis_failed(error, self._redis_pause)
            return None, 0
        self._redis_pause.succeeded()
        return answer

    def _tell_redis(self, rows: list[Any], *, every: bool = False) -> tuple[int, int] | None:
        keys = [self._key, self._spool.key]
        answer = self._tell(keys, [int(every), *(value for row in rows for value in row)])
        if answer is None:
            return None
        total, waiting = answer
        metrics.SPOOL_LENGTH.set(int(waiting))
        return int(total), int(waiting)

    def _tell_all(self) -> tuple[int, int]:
        rows = self._query("SELECT instance, hits FROM instances")
        answer = self._tell_redis(rows, every=True)
        assert answer is not None
        # Also rows of instances that no longer run, which nobody else would update. Locked rows can wait
        self._query(
            "UPDATE instances SET told = true FROM unnest(%s::text[], %s::bigint[]) AS known (instance, hits) "
            "WHERE instances.instance = known.instance AND instances.hits = known.hits AND instances.instance IN "
            "(SELECT instance FROM instances WHERE NOT told FOR UPDATE SKIP LOCKED)",
            [[row[0] for row in rows], [row[1] for row in rows]],
        )
        return answer

    def _redis_failed(self, error: redis.RedisError, pause: Pause) -> None:
        pause.failed()
        metrics.DATABASE_ERRORS.labels("redis").inc()
        log.warning("REDIS_URL: Redis is not used for now: %s", type(error).__name__)

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[TupleRow]]:
        """Yield the connection, and commit at the end. Raise NotRecordedError for PostgreSQL's errors."""
        db = self._connected()
        try:
            with db.transaction():
                yield db
        except psycopg.Error as error:
            raise self._db_failed(error) from None

    def _query(self, statement: str, values: dict[str, Any] | list[Any] | None = None) -> list[Any]:
        db = self._connected()
        try:
            cursor = db.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise self._db_failed(error) from None

    def _db_failed(self, error: psycopg.Error) -> NotRecordedError:
        metrics.DATABASE_ERRORS.labels("postgresql").inc()
        log.warning("PostgreSQL: %s", _first_line(error))
        # The connection survives an interrupted statement, but perhaps not other errors
        self._forget_db()
        return NotRecordedError(_reason(error))

    def _connected(self) -> psycopg.Connection[TupleRow]:
        if self._db and _has_news(self._db):
            try:
                self._db.execute("SELECT 1")
            except psycopg.Error:
                self._forget_db()
        if self._db:
            return self._db
        patience = 0.0
        if not self._connecting:
            if self._db_pause.lasts:
                raise NotRecordedError("PostgreSQL cannot be reached")
            self._connecting = self._connector.submit(self._connect)
            patience = PATIENCE
        try:
            self._db, self._key, self._told = self._connecting.result(patience)
        except TimeoutError:
            raise NotRecordedError("PostgreSQL cannot be reached") from None
        except psycopg.Error as error:
            self._connecting = None
            self._db_pause.failed()
            metrics.DATABASE_ERRORS.labels("postgresql").inc()
            log.warning("DATABASE_URL: no connection to PostgreSQL: %s", _first_line(error))
            raise NotRecordedError("PostgreSQL cannot be reached") from None
        self._connecting = None
        self._db_pause.succeeded()
        self._minute = None
        return self._db

    def _connect(self) -> tuple[psycopg.Connection[TupleRow], str, bool]:
        """Return a connection, the key of its database's figures in Redis, and whether Redis has all of this row."""
        db = psycopg.connect(
            self._settings.database_url,
            autocommit=True,
            application_name=f"hits {self._settings.instance}",
            connect_timeout=CONNECT_TIMEOUT,
            options=f"-c statement_timeout={STATEMENT_TIMEOUT}s",
            # Milliseconds, then seconds: notice a peer that disappears silently
            tcp_user_timeout=2500,
            keepalives_idle=2,
            keepalives_interval=1,
            keepalives_count=2,
        )
        try:
            # A new or restored database has another key, so that its hits are not added to old counts
            key = f"hits:{migrate(db)}"
            told = db.execute("SELECT told FROM instances WHERE instance = %s", [self._writer]).fetchone()
        except psycopg.Error:
            db.close()
            raise
        return db, key, told is None or bool(told[0])

    def close(self) -> None:
        """Close the connections, and end the thread."""
        self._connector.shutdown()
        self._forget_db()
        self._redis.close()
        self._spool_redis.close()

    def _forget_db(self) -> None:
        if self._db:
            self._db.close()
        self._db = None


def _has_news(db: psycopg.Connection[TupleRow]) -> bool:
    """Whether the server sent something unasked, nearly always that it closes the connection."""
    poll = select.poll()
    poll.register(db.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _client(settings: Settings, timeout: float) -> redis.Redis:
    return redis.Redis.from_url(
        settings.redis_url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 1)
    )


def _claim(db: psycopg.Connection[TupleRow], writer: str, life: str) -> int:
    """Lock the writer's row, move it to `life`, and return that life's last batch. Needs a transaction."""
    db.execute("INSERT INTO instances (instance, hits, told) VALUES (%s, 0, true) ON CONFLICT DO NOTHING", [writer])
    [[former, last]] = db.execute(
        "SELECT life, batch FROM instances WHERE instance = %s FOR UPDATE", [writer]
    ).fetchall()
    if former == life:
        return int(last)
    if former is not None:
        db.execute(
            "INSERT INTO lives (life, batch) VALUES (%s, %s) ON CONFLICT (life) DO UPDATE SET batch = excluded.batch",
            [former, last],
        )
    [[last]] = db.execute(
        "UPDATE instances SET life = %(life)s, batch = coalesce((SELECT batch FROM lives WHERE life = %(life)s), 0) "
        "WHERE instance = %(writer)s RETURNING batch",
        {"writer": writer, "life": life},
    ).fetchall()
    return int(last)


def _instance(writer: str) -> str:
    return writer.partition("/")[0]


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _reason(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return "PostgreSQL is read-only"
    if isinstance(error, psycopg.errors.QueryCanceled | psycopg.errors.LockNotAvailable):
        return "PostgreSQL did not answer in time"
    if isinstance(error, psycopg.OperationalError):
        return "PostgreSQL cannot be reached"
    return "PostgreSQL refused the hit"
