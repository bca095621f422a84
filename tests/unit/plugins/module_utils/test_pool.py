# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.alphacoder.scaleout.plugins.module_utils._pool import (
    Desired,
    PoolError,
    adoption,
    check,
    down,
    drift_texts,
    members,
    plan,
    service_problem,
)


def droplet(number: int, name: str | None = None, **changes: t.Any) -> dict[str, t.Any]:
    made: dict[str, t.Any] = {
        "id": 100 + number,
        "name": name or f"app-{number}",
        "tags": ["service:shop", "pool:app"],
        "size": "s-1vcpu-1gb",
        "region": "fra1",
        "image": "debian-13-x64",
        "vpc_uuid": "v1",
    }
    made.update(changes)
    return made


def app(count: int, **changes: t.Any) -> Desired:
    return Desired(service="shop", name="app", count=count, **changes)


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
        ("app-1", ["service:shop", "pool:app"], True),
        ("APP-1", ["Service:Shop", "Pool:App"], True),
        ("app-1", ["service:shop", "app"], False),
        ("app-1", ["service:shop"], False),
        ("app-1", ["service:shop-staging", "pool:app"], False),
        ("app-1", ["service:shop", "pool:app-1"], False),
        ("app-01", ["service:shop", "pool:app"], False),
        ("app-0", ["service:shop", "pool:app"], False),
        ("app-x", ["service:shop", "pool:app"], False),
        ("app-1-old", ["service:shop", "pool:app"], False),
        ("my-app-1", ["service:shop", "pool:app"], False),
        ("app", ["service:shop", "pool:app"], False),
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


def test_droplets_of_others_do_not_count() -> None:
    others = [
        droplet(1, tags=["service:other", "pool:app"]),
        droplet(2, "snowflake", tags=["service:other", "pool:app"]),
        droplet(3, "snowflake", tags=["pool:app"]),
        # As an API lists them that does not narrow the list
        droplet(4, tags=[]),
        droplet(5, tags=["service:shop"]),
        droplet(6, tags=["service:shop", "pool:web"]),
    ]
    result = plan(app(1), others)
    assert result.create == ["app-1"]
    assert (result.remove, result.keep, result.add_tags, result.warnings) == ([], [], {}, [])
    assert not plan(app(0), others, None).changed


@pytest.mark.parametrize("count", [0, 1, 3])
def test_droplets_of_no_service_stop_a_run(count: int) -> None:
    there = [droplet(3, tags=["pool:app"]), droplet(1), droplet(2, tags=["Pool:App", "scaleout"])]
    with pytest.raises(PoolError, match=r"no service, .*: app-2, app-3\. Nothing was changed.*playbooks/adopt\.yml"):
        plan(app(count), there)


def test_droplets_of_no_service_are_adopted() -> None:
    there = [
        droplet(10, tags=["pool:app"]),
        droplet(2, tags=["pool:app"]),
        droplet(1),
        droplet(3, tags=["service:other", "pool:app"]),
        droplet(4, "snowflake", tags=["pool:app"]),
        droplet(5, tags=["app"]),
    ]
    result = adoption(app(0), there)
    assert result.add_tags == {"service:shop": [102, 110]}
    assert sorted(result.tagged) == ["app-10", "app-2"]
    assert (result.create, result.remove, result.drift, result.warnings) == ([], [], [], [])
    assert not adoption(app(0), [droplet(1), droplet(2)]).changed


def test_an_adopted_one_may_share_a_name() -> None:
    result = adoption(app(0), [droplet(1), droplet(2, "app-1", tags=["pool:app"])])
    assert result.add_tags == {"service:shop": [102]}
    assert result.warnings == ["More than one droplet of pool app is called app-1."]


@pytest.mark.parametrize("make", [plan, adoption])
def test_a_droplet_in_two_services_stops_a_run(make: t.Callable[..., t.Any]) -> None:
    with pytest.raises(PoolError, match=r"app-1 \(id 101\) has the tags service:other, service:shop, but a droplet"):
        make(app(0), [droplet(1, tags=["service:shop", "service:other", "pool:app"])])
    # Whose it is is for the others to say
    assert not make(app(0), [droplet(1, tags=["service:a", "service:b", "pool:app"])]).changed


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("shop", True),
        ("shop-staging", True),
        ("2026", True),
        (2026, True),
        ("a" * 63, True),
        ("a" * 64, False),
        ("", False),
        (None, False),
        (True, False),
        (["shop"], False),
        ("Shop", False),
        ("shop_staging", False),
        ("shop:staging", False),
        ("shop.staging", False),
        ("-shop", False),
        ("shop-", False),
        ("shop staging", False),
        ("shop\n", False),
    ],
)
def test_names_of_services(name: object, right: bool) -> None:
    problem = service_problem(name)
    assert (problem is None) == right
    if problem:
        assert problem.startswith(f"is {name!r}; it must be the name of a service, such as shop-staging")


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
    there = [droplet(1, tags=["service:shop", "pool:app", "scaleout", "mine"]), droplet(2), droplet(3)]
    result = plan(app(2, tags=("scaleout", "APP", "pool:app")), there)
    assert result.add_tags == {"scaleout": [102], "APP": [101, 102]}
    assert result.changed


def test_tags_are_compared_as_the_api_does() -> None:
    assert not plan(app(1, tags=("Web", "web")), [droplet(1, tags=["service:shop", "pool:app", "WEB"])]).changed
    assert app(1, tags=("Web", "web")).all_tags == ["service:shop", "pool:app", "web"]


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
        (Desired("shop", "", 1), "name ''"),
        (Desired("shop", "-app", 1), "name '-app'"),
        (Desired("shop", "my.app", 1), "letters, digits and hyphens"),
        (Desired("shop", "a" * 201, 1), "at most 200"),
        (Desired("shop", "app\n", 1), "name"),
        (Desired("shop", "app", -1), "count is -1"),
        (Desired("shop", "app", 1, ("a=b", "ok", "c d")), "a=b, c d"),
        (Desired("Shop", "app", 1), "service is 'Shop'; it must be"),
        (Desired("", "app", 1), "service is ''; it must be"),
        (Desired("shop", "app", 1, ("web", "service:other")), "tags has service:other, but the service is shop"),
    ],
)
def test_what_cannot_be(desired: Desired, text: str) -> None:
    with pytest.raises(PoolError, match=text):
        check(desired)


def test_what_can_be() -> None:
    check(Desired("shop", "a", 0))
    check(Desired("shop", "My-app-2", 3, ("env:prod", "a_b")))
