# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where hits wait while PostgreSQL is down: a list in Redis, of batches that each have a name.

Redis may hold them only if it keeps them: with an append-only file, and without a policy that evicts them.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from typing import Any
from urllib.parse import urlsplit

import redis

from hits import metrics

# Batches that one transaction moves
CHUNK = 1000

# KEYS: the list, the sum of its hits, the figures. ARGV: a batch, or nothing to check that one would be accepted; its
# hits
PUSH = """
if not string.find(redis.call('INFO', 'persistence'), 'aof_enabled:1', 1, true) then
    return redis.error_reply('NOAOF no append-only file')
end
local memory = redis.call('INFO', 'memory')
if string.find(memory, 'maxmemory_policy:allkeys', 1, true) and not string.find(memory, 'maxmemory:0\\r') then
    return redis.error_reply('EVICTS any key may be evicted')
end
-- Changes nothing, and is refused when memory or the file's disk is full
redis.call('SETRANGE', KEYS[2], 0, '')
-- A client whose answer got lost asks again
if ARGV[1] ~= '' and not redis.call('LPOS', KEYS[1], ARGV[1], 'RANK', -1, 'MAXLEN', 1000) then
    redis.call('RPUSH', KEYS[1], ARGV[1])
    redis.call('INCRBY', KEYS[2], ARGV[2])
end
local total = redis.call('HGET', KEYS[3], 'total')
if total then redis.call('EXPIRE', KEYS[3], 3600) end
return {redis.call('LLEN', KEYS[1]), tonumber(redis.call('GET', KEYS[2]) or 0), tonumber(total or -1)}
"""

# KEYS: the list, the sum of its hits. ARGV: pairs of a batch and its hits
REMOVE = """
for i = 1, #ARGV, 2 do
    if redis.call('LREM', KEYS[1], 1, ARGV[i]) == 1 then redis.call('DECRBY', KEYS[2], ARGV[i + 1]) end
end
return redis.call('LLEN', KEYS[1])
"""


class NotSpooledError(Exception):
    """Redis refused to keep a batch. The text is a plain reason without secrets."""


@dataclass(frozen=True)
class Batch:
    """`hits` of a writer in the minute that began `minute` seconds after 1970; `number` grows within its `life`."""

    writer: str
    life: str
    number: int
    minute: int
    hits: int


def is_full(error: redis.RedisError) -> bool:
    """Whether Redis refused because its memory is full. Before version 7, it says so inside a script's error."""
    return isinstance(error, redis.OutOfMemoryError) or "OOM command not allowed" in str(error)


class Spool:
    """The spool of one database. Its methods raise redis.RedisError."""

    def __init__(self, client: redis.Redis, database_url: str) -> None:
        self._client = client
        # By the database's name, not its address, which may change while hits wait
        self.key = f"hits:spool:{urlsplit(database_url).path.strip('/')}"
        self._keys = [self.key, f"{self.key}:hits"]
        self._push = client.register_script(PUSH)
        self._remove = client.register_script(REMOVE)

    def push(self, batch: Batch | None, figures_key: str) -> int | None:
        """Keep a batch, or without one check that Redis would. Raise NotSpooledError if Redis refuses.

        Return the total with all hits that wait, or None if Redis does not know it.
        """
        entry, hits = (json.dumps(astuple(batch)), batch.hits) if batch else ("", 0)
        try:
            length, waiting, total = self._push([*self._keys, figures_key], [entry, hits])
        except redis.ResponseError as error:
            text = str(error)
            if "NOAOF" in text:
                raise NotSpooledError("Redis has no append-only file to keep hits in") from None
            if "EVICTS" in text:
                raise NotSpooledError("Redis may evict the hits that it keeps") from None
            if is_full(error):
                raise NotSpooledError("Redis has no memory left to keep hits in") from None
            raise NotSpooledError("Redis refused to keep hits") from None
        metrics.SPOOL_LENGTH.set(length)
        return None if total < 0 else int(total) + int(waiting)

    def length(self) -> int:
        """Return how many batches are waiting."""
        return self._told(self._client.llen(self.key))

    def oldest(self) -> list[Batch]:
        """Return the batches that have waited longest, oldest first, without removing them."""
        entries: Any = self._client.lrange(self.key, 0, CHUNK - 1)
        return [Batch(*json.loads(entry)) for entry in entries]

    def remove(self, batches: list[Batch]) -> int:
        """Remove batches that are on record, if they are still there. Return how many others are waiting."""
        return self._told(
            self._remove(self._keys, [value for batch in batches for value in (json.dumps(astuple(batch)), batch.hits)])
        )

    def _told(self, length: Any) -> int:
        metrics.SPOOL_LENGTH.set(int(length))
        return int(length)
