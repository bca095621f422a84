# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Switches for what the real API has been seen to do to its clients, so that a test or a person can have it now.

A trap's value is a number, one of some words, or names of droplets. What the API always does is switched on from the
start; the rest is off. They live as long as the service.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.errors import ApiError, invalid


@dataclass(frozen=True)
class Trap:
    """`start` is the value of a service that nobody has told otherwise, and its type is the value's type."""

    start: float | str | tuple[str, ...]
    text: str
    words: tuple[str, ...] = ()


NONE: tuple[str, ...] = ()
TRAPS = {
    "list_lag": Trap(0.7, "seconds that a new droplet is missing from lists, while GET by id finds it"),
    "address_lag": Trap(0.7, "seconds that an active droplet has no address yet"),
    "first_address": Trap("private", "which entry of networks.v4 comes first", ("private", "public")),
    "reserved_ip": Trap(NONE, "droplets with a reserved address, which is a second public entry before their own"),
    "no_public_ipv4": Trap(NONE, "droplets without a public entry"),
    "twins": Trap(NONE, "names that the next order of them makes two droplets of, and answers with one"),
    "links": Trap("in-turn", "what a list of one page has", ("none", "empty", "pages", "in-turn")),
    "burst": Trap(0, "so many of the next requests get a 429 with retry-after, 1 s"),
    "hourly": Trap(0, "so many of the next requests get a 429 without retry-after"),
    "limit_halfway": Trap(0, "the next order of more names makes so many, and then says that the limit is reached"),
    "max_names": Trap(10, "how many names one order may have"),
    "gone": Trap(NONE, "droplets that are deleted as soon as a list has shown them"),
    "locked": Trap(NONE, "droplets that can't be deleted or acted upon, because another event is pending"),
    "errored": Trap(NONE, "droplets whose creation, and every other action, ends as errored"),
    "server_errors": Trap(0, "so many of the next GETs get a 500"),
    "tag_case": Trap("strict", "whether a tag is found by its own capitals only", ("strict", "loose")),
    "off": Trap(NONE, "droplets that are shown as off"),
    "archive": Trap(NONE, "droplets that are shown as archived"),
}


class Traps:
    """The switches of one service; `start` gives some of them another value than usual from the start."""

    def __init__(self, start: Mapping[str, float]) -> None:
        self._start: dict[str, Any] = {name: start.get(name, trap.start) for name, trap in TRAPS.items()}
        self._lock = threading.Lock()
        self._now = dict(self._start)

    def __getitem__(self, name: str) -> Any:
        return self._now[name]

    def take(self, name: str) -> int:
        """The number of a trap that is for so many times, which is one less from now on."""
        with self._lock:
            left = int(self._now[name])
            self._now[name] = max(0, left - 1)
            return left

    def spring(self, name: str, droplet: str) -> bool:
        """Whether the trap is set for that droplet; it isn't any more from now on."""
        with self._lock:
            held = droplet in self._now[name]
            self._now[name] = tuple(one for one in self._now[name] if one != droplet)
            return held

    def clear(self, name: str) -> Any:
        """The trap's value, which is what it was at the start from now on."""
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


def parse(text: str) -> tuple[str, Any]:
    """`TRAP=VALUE` of the command line as the API takes it: names are parted by commas."""
    name, equals, value = text.partition("=")
    if not equals or name not in TRAPS:
        raise invalid(f"{text!r} is no TRAP=VALUE with one of the traps {', '.join(TRAPS)}")
    if isinstance(TRAPS[name].start, tuple):
        return name, [one for one in value.split(",") if one]
    if isinstance(TRAPS[name].start, str):
        return name, value
    try:
        return name, float(value) if "." in value else int(value)
    except ValueError:
        raise invalid(f"{name} takes a number, and not {value!r}") from None


def _value(name: str, value: Any) -> Any:
    trap = TRAPS.get(name)
    if trap is None:
        raise invalid(f"{name} is no trap. There are: {', '.join(TRAPS)}")
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
    """What DigitalOcean says of a droplet that something else is being done to."""
    return invalid("Droplet already has a pending event.")
