# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last minute's hits by instance, whenever and however seldom they are sampled."""

from __future__ import annotations

from hits.recent import Recent, Samples


def test_nothing_is_known_before_the_first_sample() -> None:
    samples = Samples()

    assert samples.due(0)
    assert samples.broken(0)
    assert samples.recent() == Recent()
    assert Recent().shares() == []


def test_begun_minutes_count_from_the_first_page() -> None:
    samples = Samples()
    samples.begin({930: {"app-1": 5}, 990: {"app-1": 8}})
    samples.add(1000, {"app-1": 12, "app-2": 3})

    assert samples.recent() == Recent(70, {"app-1": 7, "app-2": 3})
    assert not samples.due(1000.9)
    assert samples.due(1001)


def test_window_is_a_minute_once_it_can_be() -> None:
    samples = Samples()
    for second in range(200):
        samples.add(second, {"app-1": second * 10, "gone": 7})

    assert samples.recent() == Recent(60, {"app-1": 600})


def test_minute_begins_anew_after_a_gap() -> None:
    samples = Samples()
    samples.add(100, {"app-1": 1})

    assert not samples.broken(114)
    assert samples.broken(115)


def test_shares_are_ordered_as_people_count() -> None:
    recent = Recent(60, {"app-10": 10, "app-9": 30, "b": 20, "7": 40})

    assert recent.shares() == [("7", 40, 40), ("app-9", 30, 30), ("app-10", 10, 10), ("b", 20, 20)]
