# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is shown of releases, and what is not shown of an app."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.alphacoder.scaleout.plugins.filter.masked import masked
from ansible_collections.alphacoder.scaleout.plugins.filter.release_history import release_history

LONG = f"r.example.com/shop:latest@sha256:{'c8' * 32}"


def entry(release: str, minute: int, by: str | None = "ann@laptop") -> dict[str, str]:
    since = f"2026-11-28T08:{minute:02}:00Z"
    return {"release": release, "since": since} | ({"by": by} if by else {})


def host(*history: dict[str, str], record: tuple[dict[str, str], ...] = ()) -> dict[str, Any]:
    lines = [json.dumps(record, indent=4), "# history", *map(json.dumps, history)]
    return {"__scaleout_history": {"stdout": "\r\n".join(lines) + "\r\n"}}


def test_a_roll_out_is_a_line() -> None:
    hosts = {
        "app-1": host(
            entry("shop:1", 1), entry(LONG, 10), entry("shop:1", 20, "ci"), record=(entry("shop:1", 20, "ci"),)
        ),
        "app-2": host(entry("shop:1", 2), entry(LONG, 11), entry("shop:1", 21, "ci")),
        "app-10": host(entry(LONG, 12)),
    }

    assert release_history(hosts, list(hosts)) == [
        "2026-11-28 08:01:00 UTC  ann@laptop  shop:1  on app-1, app-2",
        "2026-11-28 08:10:00 UTC  ann@laptop  r.example.com/shop:latest@sha256:c8c8c8c8c8c8  on app-1, app-2, app-10",
        "2026-11-28 08:20:00 UTC  ci          shop:1  on app-1, app-2",
    ]


def test_release_that_came_twice_is_two_lines() -> None:
    hosts = {"app-1": host(entry("shop:1", 1), entry("shop:1", 5))}
    assert len(release_history(hosts, ["app-1"])) == 2


def test_records_of_before_there_was_a_history_are_shown() -> None:
    record = (entry("shop:2", 9), entry("shop:1", 2, by=None))
    assert release_history({"app-1": host(entry("shop:2", 9), record=record)}, ["app-1"]) == [
        "2026-11-28 08:02:00 UTC  ?           shop:1  on app-1",
        "2026-11-28 08:09:00 UTC  ann@laptop  shop:2  on app-1",
    ]


def test_hosts_that_say_nothing() -> None:
    silent = {"__scaleout_history": {"unreachable": True, "msg": "No route to host"}}
    assert release_history({"app-1": silent, "app-2": host()}, ["app-1", "app-2"]) == [
        "No release is on record.",
        "app-1 cannot be reached.",
    ]


@pytest.mark.parametrize(
    ("env", "text", "shown"),
    [
        ({"API_KEY": "hidden-1"}, "key hidden-1, hidden-1", "key ***, ***"),
        ({"db_password": "hidden"}, "hidden-1", "***-1"),
        ({"DATABASE_URL": "postgresql://me:hidd%40en@db/x"}, "me:hidd%40en@db hidd@en", "me:***@db ***"),
        ({"CACHE": "redis://:hidden@c:6379/0"}, "redis://:hidden@c:6379/0", "redis://:***@c:6379/0"),
        ({"KEY": "line-one\nline-two"}, "line-two\nline-one\nline-two", "***\n***"),
        # The longer one first
        ({"KEY_1": "hidden", "KEY_2": "hidden-and-more"}, "hidden-and-more", "***"),
        ({"GREETING": "Hello, world", "WORKERS": 4}, "Hello, world 4", "Hello, world 4"),
        # It would be found in words
        ({"TOKEN": "on"}, "one", "one"),
        ({}, "text", "text"),
    ],
)
def test_secrets_are_masked(env: dict[str, Any], text: str, shown: str) -> None:
    assert masked(text, env) == shown
