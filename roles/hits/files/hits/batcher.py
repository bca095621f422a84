# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Group commit: hits that arrive while a statement is under way are recorded together by the next one.

All hits of an instance go to the same rows, so its threads would only queue for the locks. One thread records
for all of them instead, on one connection. A request waits for its own hit, so when a server has finished its
requests there is nothing left to flush.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from hits import metrics
from hits.recent import Recent

# Seconds without a hit after which the recorder may do work that can wait
IDLE = 1.0

T = TypeVar("T")


class NotRecordedError(Exception):
    """A hit may not be on record. The text is a plain reason without secrets."""


@dataclass(frozen=True)
class Figures:
    """The record's figures after a hit, including that hit. None: not known right now."""

    total: int | None
    last_day: int | None
    recent: Recent = field(default_factory=Recent)
    # Why the figures may lack hits; empty if they don't
    lag: str = ""

    def before(self, later: int) -> Figures:
        """The figures as they were `later` hits ago."""
        if self.total is None:
            return self
        day = None if self.last_day is None else self.last_day - later
        return Figures(self.total - later, day, self.recent, self.lag)


class Recorder(Protocol):
    """What a batcher drives, always from the same thread. `record` and `check` raise NotRecordedError."""

    def record(self, count: int) -> Figures:
        """Put `count` hits on record."""

    def check(self) -> None:
        """Return if a hit could be put on record."""

    def idle(self) -> None:
        """Do work that can wait until no request is waiting."""


class _Asked(Generic[T]):
    """What one request waits for. A lock, because a Future's condition costs several times as much per hit."""

    __slots__ = ("answer", "answered", "error")

    def __init__(self) -> None:
        self.answer: T | None = None
        self.error: Exception | None = None
        # Held until there is an answer or an error
        self.answered = threading.Lock()
        self.answered.acquire()


class Batcher:
    """Gives the threads of a process one recorder; `timeout` is in seconds, and bounds every call."""

    def __init__(self, recorder: Recorder, timeout: float = 5.0) -> None:
        self._recorder = recorder
        self._timeout = timeout
        self._arrived = threading.Condition(threading.Lock())
        self._hits: list[_Asked[Figures]] = []
        self._checks: list[_Asked[bool]] = []
        threading.Thread(target=self._run, name="batcher", daemon=True).start()

    def hit(self) -> Figures:
        """Count one hit; no other hit gets the same total. Raise NotRecordedError if it may not be on record."""
        return self._ask(self._hits)

    def check(self) -> None:
        """Check that a hit could be recorded now, without recording one. Raise NotRecordedError if not."""
        self._ask(self._checks)

    def _ask(self, queue: list[_Asked[T]]) -> T:
        asked: _Asked[T] = _Asked()
        with self._arrived:
            queue.append(asked)
            self._arrived.notify()
        if not asked.answered.acquire(timeout=self._timeout):
            with self._arrived:
                # A hit whose request was told that it failed must not be counted later
                if asked in queue:
                    queue.remove(asked)
            raise NotRecordedError("PostgreSQL did not answer in time")
        if asked.error is not None:
            raise asked.error
        assert asked.answer is not None
        return asked.answer

    def _run(self) -> None:
        while True:
            with self._arrived:
                if not self._hits and not self._checks:
                    self._arrived.wait(IDLE)
                hits, checks = self._hits.copy(), self._checks.copy()
                # Emptied, not replaced, because _ask keeps a reference to the lists
                self._hits.clear()
                self._checks.clear()
            if hits:
                self._record(hits)
            if checks:
                self._check(checks)
            if not hits and not checks:
                self._recorder.idle()

    def _record(self, hits: list[_Asked[Figures]]) -> None:
        metrics.BATCH_SIZE.observe(len(hits))
        try:
            last = self._recorder.record(len(hits))
        except Exception as error:
            _fail(hits, error)
            return
        for after, hit in zip(range(len(hits) - 1, -1, -1), hits, strict=True):
            hit.answer = last.before(after)
            hit.answered.release()

    def _check(self, checks: list[_Asked[bool]]) -> None:
        try:
            self._recorder.check()
        except Exception as error:
            _fail(checks, error)
            return
        for check in checks:
            check.answer = True
            check.answered.release()


def _fail(asked: Sequence[_Asked[Any]], error: Exception) -> None:
    for one in asked:
        one.error = error
        one.answered.release()
