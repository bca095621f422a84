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

**Last day.** The total minus what is older than 1440 minutes. That is a sum over minutes that are over, so
it is read once a minute and not once a hit.
"""

from __future__ import annotations

import logging
import select
from collections import Counter
from datetime import datetime
from time import monotonic
from typing import Any

import psycopg
import redis
from psycopg.rows import TupleRow
from redis.backoff import NoBackoff
from redis.retry import Retry

from hits import metrics
from hits.batcher import Figures, NotRecordedError
from hits.recent import Recent, Samples
from hits.schema import migrate
from hits.settings import Settings

log = logging.getLogger(__name__)

# Seconds; a statement and a connect each end well before a request gives up
STATEMENT_TIMEOUT = 2
CONNECT_TIMEOUT = 2
REDIS_TIMEOUT = 0.4
# How long a server that could not be reached is left alone, so that not every request waits for it
PAUSE = 1.0

RECORD = """
WITH clock AS (
    SELECT date_trunc('minute', now()) AS minute
), of_minute AS (
    INSERT INTO hits (instance, minute, hits) SELECT %(instance)s, minute, %(count)s FROM clock
    ON CONFLICT (instance, minute) DO UPDATE SET hits = hits.hits + excluded.hits
), mine AS (
    INSERT INTO instances (instance, hits, told) VALUES (%(instance)s, %(count)s, %(told)s)
    ON CONFLICT (instance) DO UPDATE SET hits = instances.hits + excluded.hits, told = excluded.told
    RETURNING hits
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

# Counts now, and of the minute that is under way and the one before; and how many seconds this one is old
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

# ARGV: 1 if the pairs are every row of `instances`, else 0; then pairs of instance and count
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
return tonumber(redis.call('HGET', KEYS[1], 'total'))
"""


class Ledger:
    """The record in PostgreSQL and its copy in Redis, for one thread. Connects when it has to."""

    def __init__(self, settings: Settings, slot: int = 0) -> None:
        self._settings = settings
        # No name of an instance holds a slash
        self._writer = f"{settings.instance}/{slot + 1}" if slot else settings.instance
        self._db: psycopg.Connection[TupleRow] | None = None
        self._db_failed = -PAUSE
        self._redis = redis.Redis.from_url(
            settings.redis_url,
            socket_timeout=REDIS_TIMEOUT,
            socket_connect_timeout=REDIS_TIMEOUT,
            retry=Retry(NoBackoff(), 1),
        )
        self._redis_failed = -PAUSE
        self._tell = self._redis.register_script(TELL)
        self._key = ""
        # Whether Redis knows every hit of this instance up to the last batch
        self._told = False
        self._minute: datetime | None = None
        self._older = 0
        self._samples = Samples()

    def record(self, count: int) -> Figures:
        """Put `count` hits on record. Return the figures as of the last one; raise NotRecordedError."""
        # First, because it sets what the statement is given
        self._connected()
        values = {
            "instance": self._writer,
            "count": count,
            "told": self._told,
            "minute": self._minute,
        }
        mine, total, others_told, minute, older = self._query(RECORD, values)[0]
        if older is not None:
            self._minute, self._older = minute, older
        numbered = self._number(mine, others_told)
        if numbered is None and self._told:
            # Before anyone is answered: from here on Redis lacks hits that people have seen counted
            self._query("UPDATE instances SET told = false WHERE instance = %s", [self._writer])
        self._told = numbered is not None
        total = total if numbered is None else numbered
        return Figures(total, total - self._older, self._recent())

    def _recent(self) -> Recent:
        """Return each instance's hits of the last minute, right within a second."""
        now = monotonic()
        try:
            if self._samples.broken(now):
                counts, begun, before = Counter[str](), Counter[str](), Counter[str]()
                rows = self._query(RECENT)
                for writer, hits, of_this, of_last, _ in rows:
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

    def check(self) -> None:
        """Make sure that PostgreSQL would take a hit. Raise NotRecordedError with the reason if not."""
        if self._query("SELECT current_setting('transaction_read_only')")[0][0] == "on":
            # It may have become a standby; the connection after this one may find the primary
            self._forget_db()
            raise NotRecordedError("PostgreSQL is read-only")

    def _number(self, mine: int, others_told: bool) -> int | None:
        """Return the total as Redis counts it once told of `mine`; None if Redis cannot be asked."""
        if monotonic() - self._redis_failed < PAUSE:
            return None
        try:
            answer = self._tell_redis([(self._writer, mine)]) if others_told else None
            if answer is None:
                answer = self._tell_redis(self._query("SELECT instance, hits FROM instances"), every=True)
        except redis.RedisError as error:
            self._redis_failed = monotonic()
            metrics.DATABASE_ERRORS.labels("redis").inc()
            log.warning("Redis is not used for now: %s", type(error).__name__)
            return None
        return answer

    def _tell_redis(self, rows: list[Any], *, every: bool = False) -> int | None:
        answer = self._tell([self._key], [int(every), *(value for row in rows for value in row)])
        return None if answer is None else int(answer)

    def _query(self, statement: str, values: dict[str, Any] | list[Any] | None = None) -> list[Any]:
        db = self._connected()
        try:
            cursor = db.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            metrics.DATABASE_ERRORS.labels("postgresql").inc()
            log.warning("PostgreSQL: %s", _first_line(error))
            # An interrupted statement leaves the connection as it was, but others may not
            self._forget_db()
            raise NotRecordedError(_reason(error)) from None

    def _connected(self) -> psycopg.Connection[TupleRow]:
        if self._db and _has_news(self._db):
            try:
                self._db.execute("SELECT 1")
            except psycopg.Error:
                self._forget_db()
        if self._db:
            return self._db
        if monotonic() - self._db_failed < PAUSE:
            raise NotRecordedError("PostgreSQL cannot be reached")
        try:
            return self._connect()
        except psycopg.Error as error:
            self._forget_db()
            self._db_failed = monotonic()
            metrics.DATABASE_ERRORS.labels("postgresql").inc()
            log.warning("No connection to PostgreSQL: %s", _first_line(error))
            raise NotRecordedError("PostgreSQL cannot be reached") from None

    def _connect(self) -> psycopg.Connection[TupleRow]:
        self._db = db = psycopg.connect(
            self._settings.database_url,
            autocommit=True,
            application_name=f"hits {self._settings.instance}",
            connect_timeout=CONNECT_TIMEOUT,
            options=f"-c statement_timeout={STATEMENT_TIMEOUT}s",
            # Milliseconds, then seconds: a peer that is gone without a word is noticed, too
            tcp_user_timeout=2500,
            keepalives_idle=2,
            keepalives_interval=1,
            keepalives_count=2,
        )
        # A database that was made anew has another key, so that its hits do not meet old counts
        self._key = f"hits:{migrate(db)}"
        mine = [self._writer]
        told = db.execute("SELECT told FROM instances WHERE instance = %s", mine).fetchone()
        self._told = told is None or told[0]
        self._minute = None
        return db

    def _forget_db(self) -> None:
        if self._db:
            self._db.close()
        self._db = None


def _has_news(db: psycopg.Connection[TupleRow]) -> bool:
    """Whether the server said something unasked: as good as always, that it ends the connection."""
    poll = select.poll()
    poll.register(db.fileno(), select.POLLIN)
    return bool(poll.poll(0))


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
