# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hits of many threads are recorded together, each once, each with its own total."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hits.batcher import Batcher, Figures, NotRecordedError
from hits.recent import Recent
from support.waiting import wait_until


class FakeRecorder:
    """Counts; each record waits until it is let go, so that hits can gather behind it."""

    def __init__(self) -> None:
        self.total = 100
        self.batches: list[int] = []
        self.checks = 0
        self.idled = threading.Event()
        self.error: Exception | None = None
        self.entered = threading.Semaphore(0)
        self.let_go = threading.Event()
        self.let_go.set()

    def record(self, count: int) -> Figures:
        self.entered.release()
        self.let_go.wait(5)
        if self.error:
            raise self.error
        self.batches.append(count)
        self.total += count
        return Figures(self.total, self.total - 90)

    def check(self) -> None:
        self.checks += 1
        if self.error:
            raise self.error

    def idle(self) -> None:
        self.idled.set()


def test_every_hit_counts_once_and_has_its_own_total() -> None:
    recorder = FakeRecorder()
    batcher = Batcher(recorder)
    with ThreadPoolExecutor(32) as pool:
        figures = list(pool.map(lambda _: batcher.hit(), range(5000)))

    assert sorted(figure.total for figure in figures) == list(range(101, 5101))
    assert all(figure.last_day == figure.total - 90 for figure in figures)
    assert sum(recorder.batches) == 5000


def test_hits_that_arrive_during_a_record_share_the_next() -> None:
    recorder = FakeRecorder()
    batcher = Batcher(recorder)
    recorder.let_go.clear()
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(batcher.hit)
        assert recorder.entered.acquire(timeout=5)
        rest = [pool.submit(batcher.hit) for _ in range(8)]
        wait_until("eight hits that wait", lambda: len(batcher._hits) == 8)
        recorder.let_go.set()

    assert first.result().total == 101
    assert sorted(future.result().total for future in rest) == list(range(102, 110))
    assert recorder.batches == [1, 8]


def test_failed_record_fails_its_hits_and_no_later_ones() -> None:
    recorder = FakeRecorder()
    batcher = Batcher(recorder)
    recorder.error = NotRecordedError("PostgreSQL cannot be reached")
    with pytest.raises(NotRecordedError, match="cannot be reached"):
        batcher.hit()
    with pytest.raises(NotRecordedError, match="cannot be reached"):
        batcher.check()
    recorder.error = ValueError("a bug")
    with pytest.raises(ValueError, match="a bug"):
        batcher.hit()
    recorder.error = None

    assert batcher.hit().total == 101
    batcher.check()
    assert recorder.checks == 2


@pytest.mark.parametrize("ask", [Batcher.hit, Batcher.check])
def test_what_was_given_up_is_not_done_later(ask: Callable[[Batcher], object]) -> None:
    recorder = FakeRecorder()
    batcher = Batcher(recorder, timeout=0.1)
    recorder.let_go.clear()
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(batcher.hit)
        assert recorder.entered.acquire(timeout=5)
        with pytest.raises(NotRecordedError, match="in time"):
            ask(batcher)
        recorder.let_go.set()
        # Given up or not, it was under way, and so it counts
        under_way.exception()

    assert batcher.hit().total == 102
    assert recorder.batches == [1, 1]
    assert recorder.checks == 0


def test_recorder_may_do_what_waits_when_there_are_no_hits() -> None:
    recorder = FakeRecorder()
    Batcher(recorder)

    assert recorder.idled.wait(10)
    assert recorder.batches == []


def test_earlier_figures_differ_in_nothing_but_the_counts() -> None:
    recent = Recent(60, {"app-1": 7})

    assert Figures(10, 5, recent, "late").before(3) == Figures(7, 2, recent, "late")
    assert Figures(10, None, recent, "late").before(3) == Figures(7, None, recent, "late")
    assert Figures(None, None, recent, "late").before(3) == Figures(None, None, recent, "late")
