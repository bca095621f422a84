# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many recent hits each instance had, from counts that only grow."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

# Seconds
WINDOW = 60
INTERVAL = 1


@dataclass(frozen=True)
class Recent:
    """Hits of each instance that had any in the last `seconds`; 0 s means that nothing is known yet."""

    seconds: int = 0
    hits: Mapping[str, int] = field(default_factory=dict)

    def shares(self) -> list[tuple[str, int, float]]:
        """Return (instance, hits, percent of all) for each, ordered by name."""
        total = sum(self.hits.values())
        return [(name, self.hits[name], 100 * self.hits[name] / total) for name in sorted(self.hits, key=_in_parts)]


class Samples:
    """All-time counts by instance at several moments in the last minute. All times are seconds of the same clock."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, Mapping[str, int]]] = deque()

    def due(self, now: float) -> bool:
        """Whether the newest sample is too old for `now`."""
        return not self._samples or now - self._samples[-1][0] >= INTERVAL

    def broken(self, now: float) -> bool:
        """Whether the last sample is so old that the minute must start over."""
        return not self._samples or now - self._samples[-1][0] >= WINDOW / 4

    def begin(self, earlier: Mapping[float, Mapping[str, int]]) -> None:
        """Replace all samples with these: counts by their time."""
        self._samples = deque(sorted(earlier.items()))

    def add(self, now: float, counts: Mapping[str, int]) -> None:
        self._samples.append((now, counts))
        # Keep one sample that is at least a window old, so that the samples span the whole window
        while len(self._samples) > 1 and now - self._samples[1][0] >= WINDOW:
            self._samples.popleft()

    def recent(self) -> Recent:
        """Return the hits between the first sample and the last."""
        if not self._samples:
            return Recent()
        (began, before), (ended, after) = self._samples[0], self._samples[-1]
        more = {name: count - before.get(name, 0) for name, count in after.items()}
        return Recent(round(ended - began), {name: count for name, count in more.items() if count > 0})


def _in_parts(name: str) -> list[int | str]:
    """Return a sort key that puts app-10 after app-9."""
    return [int(part) if number % 2 else part for number, part in enumerate(re.split("([0-9]+)", name))]
