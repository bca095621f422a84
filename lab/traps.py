# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Switches for what the real API has been seen to do to its clients, so that a test can have it happen.

A trap's value is a number, a word, or names of droplets. What the API always does is on from the start, the rest is
off. The values live as long as the service.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.errors import ApiError, invalid


@dataclass(frozen=True)
class Trap:
    """A switch's value at the start, whose type is the value's type, and the words that it takes if it takes words."""

    start: float | str | tuple[str, ...]
    words: tuple[str, ...] = ()


NONE: tuple[str, ...] = ()
# README.md says what each does
TRAPS = {
    "list_lag": Trap(0.7),
    "address_lag": Trap(0.7),
    "first_address": Trap("private", ("private", "public")),
    "reserved_ip": Trap(NONE),
    "no_public_ipv4": Trap(NONE),
    "twins": Trap(NONE),
    "links": Trap("in-turn", ("none", "empty", "pages", "in-turn")),
    "burst": Trap(0),
    "hourly": Trap(0),
    "limit_halfway": Trap(0),
    "max_names": Trap(10),
    "gone": Trap(NONE),
    "locked": Trap(NONE),
    "errored": Trap(NONE),
    "server_errors": Trap(0),
    "tag_case": Trap("strict", ("strict", "loose")),
    "off": Trap(NONE),
    "archive": Trap(NONE),
}


class Traps:
    """The switches of one service; `start` has the values that are not the usual ones at the start."""

    def __init__(self, start: Mapping[str, float]) -> None:
        self._start: dict[str, Any] = {name: start.get(name, trap.start) for name, trap in TRAPS.items()}
        self._lock = threading.Lock()
        self._now = dict(self._start)

    def __getitem__(self, name: str) -> Any:
        return self._now[name]

    def take(self, name: str) -> int:
        """The number of times that a trap still has, which is one less afterwards."""
        with self._lock:
            left = int(self._now[name])
            self._now[name] = max(0, left - 1)
            return left

    def spring(self, name: str, droplet: str) -> bool:
        """Whether the trap is set for that droplet, for which it is off afterwards."""
        with self._lock:
            held = droplet in self._now[name]
            self._now[name] = tuple(one for one in self._now[name] if one != droplet)
            return held

    def clear(self, name: str) -> Any:
        """The trap's value, which is that of the start afterwards."""
        with self._lock:
            value, self._now[name] = self._now[name], self._start[name]
            return value

    def show(self) -> dict[str, Any]:
        with self._lock:
            return {name: list(value) if isinstance(value, tuple) else value for name, value in self._now.items()}

    def set(self, changes: Mapping[str, Any]) -> None:
        """All of the changes or, with a 422, none."""
        checked = {name: _value(name, value) for name, value in changes.items()}
        with self._lock:
            self._now.update(checked)

    def reset(self) -> None:
        with self._lock:
            self._now = dict(self._start)


def _value(name: str, value: Any) -> Any:
    trap = TRAPS.get(name)
    if trap is None:
        raise invalid(f"{name} is not a trap. The traps are {', '.join(TRAPS)}")
    if isinstance(trap.start, tuple):
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return tuple(value)
        raise invalid(f"{name} takes a list of droplets' names")
    if isinstance(trap.start, str):
        if value in trap.words:
            return value
        raise invalid(f"{name} takes one of {', '.join(trap.words)}")
    whole = isinstance(trap.start, int)
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or value < 0:
        raise invalid(f"{name} takes a {'whole ' if whole else ''}number, 0 or more")
    return value


def pending_event() -> ApiError:
    """What DigitalOcean answers while another action on the droplet is under way."""
    return invalid("Droplet already has a pending event.")
