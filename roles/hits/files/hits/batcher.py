# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Group commit: hits that arrive while a statement is under way are recorded together by the next one.

All hits of an instance go to the same rows, so its threads would only queue for the locks. One thread records
for all of them instead, on one connection. A request waits for its own hit, so when a server has finished its
requests there is nothing left to flush.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from hits import metrics
from hits.recent import Recent

# Seconds without a hit after which the recorder may do what waits
IDLE = 1.0

T = TypeVar("T")


class NotRecordedError(Exception):
    """A hit is not known to be on record. Its text is a plain reason without secrets."""


@dataclass(frozen=True)
class Figures:
    """What the record held when a hit had been counted, that hit included. None: not known right now."""

    total: int | None
    last_day: int | None
    recent: Recent = field(default_factory=Recent)
    # Why the figures may lack hits; empty: they lack none
    lag: str = ""

    def before(self, later: int) -> Figures:
        """The figures as they were `later` hits ago."""
        if self.total is None:
            return self
        return replace(
            self, total=self.total - later, last_day=None if self.last_day is None else self.last_day - later
        )


class Recorder(Protocol):
    """What a batcher drives, always from one and the same thread. `record` and `check` raise NotRecordedError."""

    def record(self, count: int) -> Figures: ...
    def check(self) -> None: ...
    def idle(self) -> None: ...


class Batcher:
    """Gives the threads of a process one recorder; `timeout` is in seconds, and bounds every call."""

    def __init__(self, recorder: Recorder, timeout: float = 5.0) -> None:
        self._recorder = recorder
        self._timeout = timeout
        self._arrived = threading.Condition()
        self._hits: list[Future[Figures]] = []
        self._checks: list[Future[None]] = []
        threading.Thread(target=self._run, name="batcher", daemon=True).start()

    def hit(self) -> Figures:
        """Count one hit; its total is its own. Raise NotRecordedError if it may not be on record."""
        return self._ask(self._hits)

    def check(self) -> None:
        """Find out whether a hit could be recorded now, without one. Raise NotRecordedError if not."""
        self._ask(self._checks)

    def _ask(self, queue: list[Future[T]]) -> T:
        future: Future[T] = Future()
        with self._arrived:
            queue.append(future)
            self._arrived.notify()
        try:
            return future.result(self._timeout)
        except TimeoutError:
            # What still waits must not be counted later, after its request was told that it failed
            future.cancel()
            raise NotRecordedError("PostgreSQL did not answer in time") from None

    def _run(self) -> None:
        while True:
            with self._arrived:
                self._arrived.wait_for(lambda: self._hits or self._checks, IDLE)
                hits = [future for future in self._hits if future.set_running_or_notify_cancel()]
                checks = [future for future in self._checks if future.set_running_or_notify_cancel()]
                # Emptied and not replaced: _ask holds on to the lists
                self._hits.clear()
                self._checks.clear()
            if hits:
                self._record(hits)
            if checks:
                self._check(checks)
            if not hits and not checks:
                self._recorder.idle()

    def _record(self, hits: list[Future[Figures]]) -> None:
        metrics.BATCH_SIZE.observe(len(hits))
        try:
            last = self._recorder.record(len(hits))
        except Exception as error:
            for future in hits:
                future.set_exception(error)
            return
        for after, future in zip(range(len(hits) - 1, -1, -1), hits, strict=True):
            future.set_result(last.before(after))

    def _check(self, checks: list[Future[None]]) -> None:
        try:
            self._recorder.check()
        except Exception as error:
            for future in checks:
                future.set_exception(error)
            return
        for future in checks:
            future.set_result(None)
