# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A variable that a role doesn't have is named, and a number that is out of bounds."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings import not_between, unknown_names

OPTIONS = ("redis_port", "redis_maxmemory")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("redis_maxmemory", []),
        ("redis_maxmemroy", ["redis_maxmemroy is no variable of role redis; did you mean redis_maxmemory?"]),
        ("redis_x", ["redis_x is no variable of role redis; roles/redis/README.md lists them."]),
        ("redis_url", ["redis_url was removed; set redis_port instead."]),
        ("redis_restore_file", []),
        ("redis_restore_fil", ["redis_restore_fil is no variable of role redis; roles/redis/README.md lists them."]),
        ("redis_fact_version", []),
        ("__redis_maxmemroy", []),
        ("redison", []),
        ("postgresql_port", []),
    ],
)
def test_unknown_names(name: str, says: list[str]) -> None:
    removed = {"redis_url": "set redis_port instead"}
    also = ("redis_restore_file", "redis_fact_*")
    assert unknown_names({name: 1, "redis_port": 2}, "redis", OPTIONS, removed, also) == says


def test_all_unknown_names_are_said_at_once() -> None:
    assert len(unknown_names({"redis_a": 1, "redis_b": 2}, "redis", OPTIONS)) == 2


@pytest.mark.parametrize(
    ("value", "high", "says"),
    [
        (1, 3, ""),
        ("3", 3, ""),
        (0, 3, "redis_port is 0; it must be between 1 and 3."),
        (4, 3, "redis_port is 4; it must be between 1 and 3."),
        ("many", 3, "redis_port is many; it must be between 1 and 3."),
        (None, 3, "redis_port is None; it must be between 1 and 3."),
        (4, None, ""),
        (0, None, "redis_port is 0; it must be 1 or more."),
    ],
)
def test_not_between(value: t.Any, high: int | None, says: str) -> None:
    assert not_between({"redis_port": value}, "redis_port", 1, high) == ([says] if says else [])
    assert not_between({}, "redis_port", 1, high) == []
