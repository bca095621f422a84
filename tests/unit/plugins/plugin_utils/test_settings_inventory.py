# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A variable that is where nothing reads it is named, with its right place; one that is used is not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_inventory import (
    inventory_problems,
    misplaced,
    missing_collections,
)

MEMBERS = {"lb": ["lb-1", "lb-2"], "app": ["app-1", "app-2"], "postgresql": ["data-1"], "redis": ["data-1"]}
NO_DATA = MEMBERS | {"postgresql": [], "redis": []}
TOGETHER = {"lb": ["one"], "app": ["one"], "postgresql": ["one"], "redis": ["one"]}


def variables(
    members: Mapping[str, Sequence[str]], files: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Each host's variables; a file is of a group or a host, and later ones hold over former ones."""
    raw: dict[str, dict[str, Any]] = {host: {} for hosts in members.values() for host in hosts} | {"localhost": {}}
    for file, settings in files.items():
        every = list(raw) if file == "all" else [host for host in raw if host != "localhost"]
        for host in every if file in ("all", "region") else members.get(file, [file]):
            raw[host] |= settings
    return raw


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            {"app": {"haproxy_balance": "leastconn"}},
            "haproxy_balance is set for app-1, app-2, where nothing reads it: move it to inventory/group_vars/lb.yml.",
        ),
        # Though the right file has it, too
        (
            {"lb": {"haproxy_balance": "roundrobin"}, "app": {"haproxy_balance": "leastconn"}},
            "haproxy_balance is set for app-1, app-2, where nothing reads it: move it to inventory/group_vars/lb.yml.",
        ),
        (
            {"all": {"app_memory": "1g"}, "lb": {"app_memory": "512m"}},
            "app_memory is set for lb-1, lb-2, where nothing reads it: move it to inventory/group_vars/app.yml.",
        ),
        (
            {"app-2": {"postgresql_max_connections": 50}},
            "postgresql_max_connections is set for app-2, where nothing reads it: move it to inventory/group_vars/"
            "postgresql.yml.",
        ),
        (
            {"lb": {"docker_users": ["me"]}},
            "docker_users is set for lb-1, lb-2, where nothing reads it: move it to inventory/group_vars/app.yml.",
        ),
        (
            {"all": {"app_count": 2, "scaleout_pools": [{"count": "{{ app_count }}"}]}, "app": {"app_count": 4}},
            "app_count is set for app-1, app-2, where nothing reads it: move it to inventory/group_vars/all.yml.",
        ),
        (
            {"app": {"scaleout_pools": []}},
            "scaleout_pools is set for app-1, app-2, where nothing reads it: move it to inventory/group_vars/all.yml.",
        ),
        # provision.yml would still make the others' number
        (
            {"all": {"app_count": 2}, "app": {"app_count": 4}},
            "app_count is set for app-1, app-2, where nothing reads it: move it to inventory/group_vars/all.yml.",
        ),
        (
            {"lb": {"deploy_batch": 1}},
            "deploy_batch is set for lb-1, lb-2, where nothing reads it: move it to inventory/group_vars/app.yml.",
        ),
        (
            {"app": {"deploy_drain_timeout": 5}},
            "deploy_drain_timeout is set for app-1, app-2, and is read for lb, too: move it to inventory/group_vars/"
            "all.yml.",
        ),
        (
            {"app": {"scaleout_backend": "web"}, "lb": {"scaleout_backend": "web"}},
            "scaleout_backend is set for app-1, app-2, lb-1, lb-2, and is read for localhost, too: move it to "
            "inventory/group_vars/all.yml.",
        ),
        # The app's URL would name another port than the server has
        (
            {"postgresql": {"postgresql_port": 5433}, "app": {"app_env": {"URL": "{{ scaleout_database_url }}"}}},
            "postgresql_port is not the same for data-1 and for app-1, where scaleout_database_url is made of it: move "
            "it to inventory/group_vars/all.yml.",
        ),
    ],
)
def test_variable_that_nothing_reads_is_named(files: dict[str, dict[str, Any]], says: str) -> None:
    assert misplaced(variables(MEMBERS, files), MEMBERS) == [says]


@pytest.mark.parametrize(
    ("members", "files"),
    [
        (MEMBERS, {"all": {"haproxy_balance": "first", "app_memory": "1g", "scaleout_pools": [], "deploy_batch": 1}}),
        # A tier's own file holds over all.yml
        (MEMBERS, {"all": {"haproxy_balance": "first"}, "lb": {"haproxy_balance": "leastconn"}}),
        # Hosts of several groups
        (TOGETHER, {"lb": {"haproxy_balance": "first"}, "app": {"app_memory": "1g"}, "redis": {"redis_port": 1}}),
        (MEMBERS, {"redis": {"postgresql_memory_percent": 50}}),
        # A group of all tiers, and one of them says otherwise
        (MEMBERS, {"region": {"haproxy_maxconn": 5}}),
        (MEMBERS, {"region": {"haproxy_maxconn": 5}, "lb": {"haproxy_maxconn": 9}}),
        # Another variable of the host is made of it
        (MEMBERS, {"lb": {"app_health_path": "/up", "haproxy_httpchk": "GET {{ app_health_path }}"}}),
        # A managed database, whose password the app needs
        (NO_DATA, {"app": {"postgresql_password": "x", "redis_port": 1}}),
        # Any host may have it, and a user's own names
        (
            MEMBERS,
            {"lb": {"scaleout_haproxy_server": {}, "app_domain": "x", "memory": 1}, "app-1": {"app_memory": "1g"}},
        ),
        # Nothing is made of it
        (MEMBERS, {"postgresql": {"postgresql_port": 5433}, "app": {"app_env": {"URL": "postgresql://db:5433"}}}),
    ],
)
def test_variable_that_is_read_is_no_problem(members: dict[str, list[str]], files: dict[str, dict[str, Any]]) -> None:
    assert misplaced(variables(members, files), members) == []


def test_inventory_and_variables_are_told_at_once() -> None:
    raw = variables(MEMBERS, {"all": {"deploy_drain_timeout": "30s", "scaleout_x": 1}, "lb": {"app_memory": "1g"}})
    problems = inventory_problems(raw, raw, MEMBERS | {"all": []})

    for says in (
        "data-1, app-1, app-2, lb-1, lb-2: no private_address.",
        "app-1, app-2: app_publish_address is not set",
        "data-1: postgresql_listen_addresses is not set",
        "data-1: redis_bind is not set",
        "deploy_drain_timeout is 30s; it must be a number, 0 or more.",
        "scaleout_x is no variable of the playbooks",
        "app_memory is set for lb-1, lb-2, where nothing reads it",
    ):
        assert any(says in problem for problem in problems), problems
    assert len(problems) == len(set(problems)) == 7


@pytest.mark.parametrize(
    ("app_1", "app_2", "says"),
    [
        (
            {"private_address": "10.0.0.3"},
            {"private_address": "10.0.0.3"},
            "app-1 and app-2 have one private_address, 10",
        ),
        ({"ansible_host": "a.org"}, {"ansible_host": "a.org"}, "app-1 and app-2 have one ansible_host, a.org; each"),
        ({"private_address": "10.0.0.321"}, {}, "app-1: private_address is 10.0.0.321, which is no address."),
        ({"ansible_host": "a.org", "ansible_port": 1}, {"ansible_host": "a.org", "ansible_port": 2}, ""),
        ({"private_address": "app-1.internal"}, {"private_address": "fd00::1"}, ""),
    ],
)
def test_addresses_that_can_not_be_are_named(app_1: dict[str, Any], app_2: dict[str, Any], says: str) -> None:
    of_all = {"lb": {"private_address": "10.0.0.9"}, "postgresql": {"private_address": "10.0.0.8"}}
    raw = variables(MEMBERS, of_all | {"app-1": app_1, "app-2": app_2})
    problems = [
        problem
        for problem in inventory_problems(raw, raw, MEMBERS | {"all": []})
        if re.search("no private_address|is not set", problem) is None
    ]
    assert len(problems) == bool(says)
    assert "".join(problems).startswith(says)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"app_count": "two"}, "app_count is 'two'; it must be a number of app servers, at least 1."),
        ({"app_count": 0}, "app_count is '0'"),
        ({"scaleout_pools": {"app": {"count": 2}}}, "scaleout_pools must be a list of pools"),
        ({"scaleout_pools": [{"name": "LB 1", "count": 1}]}, "scaleout_pools: name 'LB 1' must be"),
        ({"scaleout_pools": [{"name": "a", "count": "x"}]}, "Pool a of scaleout_pools has the count 'x'"),
        ({"scaleout_pools": [{"name": "a", "count": 1, "tags": "app"}]}, "has the tags 'app'; they must be a list"),
        ({"scaleout_pools": [{"name": "a", "count": 1}] * 2}, "scaleout_pools has more than one pool called a."),
        ({"scaleout_pools": [{"name": "a", "count": 0}], "app_count": 3}, ""),
    ],
)
def test_number_and_pools_of_droplets_are_checked_in_every_run(settings: dict[str, Any], says: str) -> None:
    raw = variables(MEMBERS, {"all": settings})
    problems = [
        problem
        for problem in inventory_problems(raw, raw, MEMBERS | {"all": []})
        if "ool" in problem or "app_count" in problem
    ]
    assert len(problems) == bool(says)
    assert says in "".join(problems)


def test_variable_that_a_url_is_made_of_is_told_once() -> None:
    env = {"app_env": {"URL": "{{ scaleout_database_url }}"}, "postgresql_database": "shop"}
    raw = variables(MEMBERS, {"all": {"scaleout_database_url": "postgresql://{{ postgresql_database }}"}, "app": env})
    (problem,) = misplaced(raw, MEMBERS)
    assert problem.startswith("postgresql_database is not the same for data-1 and for app-1")


@pytest.mark.parametrize(
    ("groups", "missing"), [({"app": ["a"]}, ["docker"]), ({"postgresql": ["d"]}, ["docker", "postgresql"])]
)
def test_collections_that_are_missing_are_named(
    groups: dict[str, list[str]], missing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert missing_collections(groups) == []

    def nowhere(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("importlib.util.find_spec", nowhere)
    problems = missing_collections(groups)
    assert [problem.split()[2] for problem in problems] == [f"community.{name}" for name in missing]
