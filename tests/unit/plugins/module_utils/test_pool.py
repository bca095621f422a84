# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.alphacoder.scaleout.plugins.module_utils._pool import (
    Desired,
    PoolError,
    check,
    down,
    drift_texts,
    members,
    plan,
)


def droplet(number: int, name: str | None = None, **changes: t.Any) -> dict[str, t.Any]:
    made: dict[str, t.Any] = {
        "id": 100 + number,
        "name": name or f"app-{number}",
        "tags": ["pool:app"],
        "size": "s-1vcpu-1gb",
        "region": "fra1",
        "image": "debian-13-x64",
        "vpc_uuid": "v1",
    }
    made.update(changes)
    return made


def app(count: int, **changes: t.Any) -> Desired:
    return Desired(name="app", count=count, **changes)


@pytest.mark.parametrize(
    ("count", "there", "create", "remove"),
    [
        (0, [], [], []),
        (2, [], [1, 2], []),
        (2, [1, 2], [], []),
        (3, [1, 3], [2], []),
        (3, [2, 3], [1], []),
        (3, [7], [1, 2], []),
        (2, [5, 6], [], []),
        (2, [1, 2, 3], [], [3]),
        (1, [3, 1, 2], [], [3, 2]),
        # By number and not by letter
        (2, [2, 10, 9], [], [10]),
        (0, [1, 2], [], [2, 1]),
    ],
)
def test_numbers(count: int, there: list[int], create: list[int], remove: list[int]) -> None:
    result = plan(app(count), [droplet(n) for n in there])
    assert result.create == [f"app-{n}" for n in create]
    assert [one["name"] for one in result.remove] == [f"app-{n}" for n in remove]
    assert sorted(one["id"] for one in result.keep) == sorted(100 + n for n in set(there) - set(remove))
    assert result.changed == bool(create or remove)


@pytest.mark.parametrize(
    ("name", "tags", "member"),
    [
        ("app-1", ["pool:app"], True),
        ("APP-1", ["Pool:App"], True),
        ("app-1", ["app"], False),
        ("app-1", [], False),
        ("app-1", ["pool:app-1"], False),
        ("app-01", ["pool:app"], False),
        ("app-0", ["pool:app"], False),
        ("app-x", ["pool:app"], False),
        ("app-1-old", ["pool:app"], False),
        ("my-app-1", ["pool:app"], False),
        ("app", ["pool:app"], False),
    ],
)
def test_only_members_are_ever_removed(name: str, tags: list[str], member: bool) -> None:
    there = [droplet(1, name, tags=tags)]
    assert bool(members(app(0), there)) == member
    assert plan(app(0), there).remove == (there if member else [])


def test_who_has_the_tag_but_another_name_is_reported() -> None:
    result = plan(app(1), [droplet(1), droplet(2, "snowflake")])
    assert not result.changed
    assert "but no name like app-1, so they are left alone: snowflake." in result.warnings[0]


@pytest.mark.parametrize(("limit", "allowed"), [(None, True), (3, True), (2, True), (1, False), (0, False)])
def test_removals_are_bounded(limit: int | None, allowed: bool) -> None:
    there = [droplet(n) for n in (1, 2, 3)]
    if allowed:
        assert len(plan(app(1), there, limit).remove) == 2
        return
    with pytest.raises(PoolError, match=rf"removes 2 \(app-3, app-2\), but max_removals is {limit}"):
        plan(app(1), there, limit)


def test_a_second_droplet_of_one_name_goes_first() -> None:
    there = [droplet(1), droplet(2), droplet(3, "app-1")]
    result = plan(app(2), there)
    assert [one["id"] for one in result.remove] == [103]
    assert not result.warnings
    result = plan(app(3), there)
    assert not result.changed
    assert "More than one droplet of pool app is called app-1" in result.warnings[0]


def test_missing_tags_are_added_and_others_stay() -> None:
    there = [droplet(1, tags=["pool:app", "scaleout", "mine"]), droplet(2), droplet(3)]
    result = plan(app(2, tags=("scaleout", "APP", "pool:app")), there)
    assert result.add_tags == {"scaleout": [102], "APP": [101, 102]}
    assert result.changed


def test_tags_are_compared_as_the_api_does() -> None:
    assert not plan(app(1, tags=("Web", "web")), [droplet(1, tags=["pool:app", "WEB"])]).changed
    assert app(1, tags=("Web", "web")).all_tags == ["pool:app", "web"]


@pytest.mark.parametrize(
    ("field", "wanted", "actual", "differs"),
    [
        ("size", "s-2", "s-1", True),
        ("size", None, "s-1", False),
        ("region", "fra1", "ams3", True),
        ("region", "nyc", "nyc3", False),
        ("image", "debian-12-x64", "debian-13-x64", True),
        # An old droplet of an image that has lost its slug
        ("image", "debian-13-x64", 7, False),
        ("image", "8", 7, True),
        ("image", "7", 7, False),
        ("vpc_uuid", "v2", "v1", True),
        ("vpc_uuid", "v2", None, False),
    ],
)
def test_drift(field: str, wanted: str | None, actual: t.Any, differs: bool) -> None:
    desired = app(1, **{field: wanted})
    result = plan(desired, [droplet(1, **{field: actual}), droplet(2, **{field: actual})], 1)
    assert [one["name"] for one in result.remove] == ["app-2"]
    if differs:
        assert result.drift == [{"name": "app-1", "id": 101, "option": field, "wanted": wanted, "actual": str(actual)}]
        text = f"The {field} of pool app is {wanted}, but these droplets have another: app-1 ({actual})"
        assert drift_texts(desired, result.drift) == [text]
    else:
        assert result.drift == drift_texts(desired, result.drift) == []


@pytest.mark.parametrize(
    ("status", "locked", "is_down"),
    [
        ("off", False, True),
        ("archive", False, True),
        ("off", True, False),
        ("new", False, False),
        ("active", False, False),
    ],
)
def test_down(status: str, locked: bool, is_down: bool) -> None:
    said = down([droplet(1, status="active", locked=False), droplet(2, status=status, locked=locked)])
    assert bool(said) == is_down
    if said:
        assert said.startswith(f"app-2 (id 102) is {status}, so waiting would not help")


@pytest.mark.parametrize(
    ("desired", "text"),
    [
        (Desired("", 1), "name ''"),
        (Desired("-app", 1), "name '-app'"),
        (Desired("my.app", 1), "letters, digits and hyphens"),
        (Desired("a" * 201, 1), "at most 200"),
        (Desired("app\n", 1), "name"),
        (Desired("app", -1), "count is -1"),
        (Desired("app", 1, ("a=b", "ok", "c d")), "a=b, c d"),
    ],
)
def test_what_cannot_be(desired: Desired, text: str) -> None:
    with pytest.raises(PoolError, match=text):
        check(desired)


def test_what_can_be() -> None:
    check(Desired("a", 0))
    check(Desired("My-app-2", 3, ("env:prod", "a_b")))
