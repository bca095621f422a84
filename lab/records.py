# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts that the engine keeps for the lab: droplets as ordered, tags, taggings, and the account's SSH keys.

Each is a labelled volume. A container's labels won't do: they can't change, and a droplet exists before its container
(whose image may still have to be built).
"""

from __future__ import annotations

import hashlib
from typing import Any

from lab.engine import Engine, Record

KINDS = ("droplet", "tag", "tagging", "key")


class Records:
    """All records of one lab. A key is text or a number that is unique among its kind."""

    def __init__(self, engine: Engine, lab: str) -> None:
        self._engine = engine
        self._lab = lab

    def read(self) -> dict[str, list[dict[str, Any]]]:
        """Every record, by kind, oldest id first."""
        found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
        for record in self._engine.records(self._lab):
            found[record.kind].append(record.data)
        for kind in ("droplet", "key"):
            found[kind].sort(key=lambda data: int(data["id"]))
        found["tag"].sort(key=lambda data: str(data["name"]))
        return found

    def put(self, kind: str, key: object, data: dict[str, Any]) -> None:
        """Creates the record, unless it exists already."""
        self._engine.create_record(self._lab, Record(self._name(kind, key), kind, data))

    def remove(self, kind: str, *keys: object) -> None:
        self._engine.remove_records([self._name(kind, key) for key in keys])

    def _name(self, kind: str, key: object) -> str:
        return f"scaleout-lab-{self._lab}-{kind}-{hashlib.sha256(str(key).encode()).hexdigest()[:20]}"


def tag_key(name: str) -> str:
    """Names that differ only in case are the same tag, which keeps the case of its first use."""
    return name.lower()


def tagging_key(tag: str, droplet_id: int) -> str:
    return f"{tag_key(tag)} {droplet_id}"
