# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that cannot be reached is left alone for longer each time, and no longer once it could be."""

from __future__ import annotations

import pytest
from hits.pause import Pause


def test_pause_doubles_up_to_its_longest_and_ends_with_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("hits.pause.monotonic", lambda: now)
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    pause = Pause()
    assert not pause.lasts

    for seconds in (0.25, 0.5, 1, 2, 4, 4):
        pause.failed()
        now += seconds - 0.001
        assert pause.lasts, seconds
        now += 0.002
        assert not pause.lasts, seconds
    pause.succeeded()
    pause.failed()
    now += 0.251
    assert not pause.lasts
