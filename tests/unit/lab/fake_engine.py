# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A container engine that lives in memory, and work that runs when a test says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lab.engine import Container, Engine, Record
from lab.errors import EngineError
from lab.images import RECIPES
from lab.state import Lab


class Clock:
    """Seconds since the epoch; stands still until told."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Work:
    """What the service left for later, in order."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

    def __call__(self, call: Callable[..., object], *args: Any) -> None:
        self.waiting.append((call, args))

    def run(self) -> None:
        while self.waiting:
            call, args = self.waiting.pop(0)
            call(*args)


class FakeEngine(Engine):
    """Keeps records and containers as the real one does: across services, by name."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.kept: dict[str, Record] = {}
        self.made: dict[str, Container] = {}
        self.copied: dict[str, bytes] = {}
        self.image_of: dict[str, str] = {}

    def run(self, *args: str, stdin: bytes | None = None) -> str:
        raise AssertionError(f"a test called the real engine: docker {' '.join(args)}")

    def records(self, lab: str) -> list[Record]:
        return [record for name, record in self.kept.items() if name.startswith(f"scaleout-lab-{lab}-")]

    def create_record(self, lab: str, record: Record) -> None:
        self.kept.setdefault(record.name, record)

    def remove_records(self, names: list[str]) -> None:
        for name in names:
            self.kept.pop(name, None)

    def containers(self, lab: str) -> list[Container]:
        return list(self.made.values())

    def create_droplet(
        self, lab: Lab, name: str, *, hostname: str, image: str, public: str, private: str, data: dict[str, Any]
    ) -> None:
        if name in self.made:
            raise EngineError(f"{name} is in use")
        self.made[name] = Container(name, "created", 0.0, self.clock.now, data)
        self.image_of[name] = image

    def copy_in(self, name: str, archive: bytes) -> None:
        self.copied[name] = archive

    def start(self, name: str) -> None:
        self.made[name] = replace(self.made[name], state="running", started_at=self.clock.now)

    def stop(self, name: str) -> None:
        self.made[name] = replace(self.made[name], state="exited")

    def kill(self, name: str) -> None:
        self.stop(name)

    def remove(self, *names: str) -> None:
        for name in names:
            self.made.pop(name, None)

    def recipe_of(self, image: str) -> str | None:
        return next((recipe.digest for recipe in RECIPES.values() if recipe.image == image), None)
