# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes an app has on a host, and what is to be done with their containers."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.alphacoder.scaleout.plugins.filter.app_container import app_container
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_processes import places, plan
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_app import app_problems

THREE = ["app-1", "app-2", "app-3"]


@pytest.mark.parametrize(
    ("process", "where"),
    [
        ({}, {"app-1": [1], "app-2": [1], "app-3": [1]}),
        ({"replicas": 2}, {"app-1": [1, 2], "app-2": [1, 2], "app-3": [1, 2]}),
        ({"once": True}, {"app-1": [1], "app-2": [], "app-3": []}),
        ({"hosts": ["app-3", "app-2"]}, {"app-1": [], "app-2": [1], "app-3": [1]}),
        # In the inventory's order
        ({"hosts": ["app-3", "app-2"], "once": True}, {"app-1": [], "app-2": [1], "app-3": []}),
        # The first one has left
        ({"hosts": ["app-0", "app-3"], "once": True}, {"app-1": [], "app-2": [], "app-3": [1]}),
    ],
)
def test_places(process: dict[str, Any], where: dict[str, list[int]]) -> None:
    settings = {"app_hosts": THREE, "app_processes": {"worker": process | {"command": "work"}}}

    assert {host: [number for _, number in places(settings, host)] for host in THREE} == where


def test_process_has_the_app_s_settings_but_for_its_own() -> None:
    settings = {
        "app_name": "shop",
        "app_env": {"A": "1", "B": "1"},
        "app_memory": "512m",
        "app_user": "10001",
        "app_port": 8000,
        "app_publish_address": "192.0.2.1",
        "app_container_options": {"shm_size": "64m"},
        "app_processes": {
            "web": {"memory": "1g"},
            "worker": {"command": ["work"], "memory": "256m", "env": {"B": "2"}, "stop_timeout": 600},
        },
    }

    wanted = app_container(settings | {"app_image": "shop:1", "app_publish_port": 8000}, "app-1")
    (worker,) = wanted["processes"]
    options = worker["options"]
    assert (options["name"], options["image"], options["command"]) == ("shop-worker-1", "shop:1", ["work"])
    assert options["env"] == {"A": "1", "B": "2", "INSTANCE_ID": "app-1-worker-1"}
    assert (options["memory"], options["user"], options["stop_timeout"]) == ("256m", "10001", 600)
    assert options["shm_size"] == "64m"
    assert options["labels"]["alphacoder.scaleout.process-of"] == "shop"
    assert "published_ports" not in options
    web = wanted["web"]["options"]
    assert (web["memory"], web["env"]["B"]) == ("1g", "1")
    assert "alphacoder.scaleout.process-of" not in web["labels"]


def test_command_that_runs_once_ends_and_is_removed() -> None:
    settings: dict[str, Any] = {"app_env": {"A": "1"}, "app_processes": {"web": {"memory": "1g"}}}
    settings |= {"app_name": "shop", "app_run_command": ["migrate"], "app_run_name": "before", "app_publish_port": 0}
    options = app_container(settings)["run"]["options"]

    assert (options["name"], "published_ports" in options) == ("shop-before", False)
    assert (options["command"], options["restart_policy"]) == (["migrate"], "no")
    assert (options["detach"], options["cleanup"]) == (False, True)
    assert options["env"]["A"] == "1"
    assert "memory" not in options


WANTED = [{"options": {"name": name}, "settings": "new"} for name in ("a", "b")]


@pytest.mark.parametrize(
    ("found", "remove", "replace", "start", "formers"),
    [
        (["a running new", "b running new"], [], [], [], []),
        ([], [], [], ["a", "b"], []),
        (["a running old", "b running new"], [], ["a"], ["a"], ["a-former"]),
        (["a exited new", "b running new"], [], ["a"], ["a"], ["a-former"]),
        # Removed from the settings, or moved to another host
        (["a running new", "b running new", "c running new"], ["c"], [], [], []),
        # An interrupted run had replaced it, and only not tidied up
        (["a running new", "a-former exited old", "b running new"], ["a-former"], [], [], []),
        # An interrupted run had set it aside; the newer one does not run, or is not there yet
        (["a restarting new", "a-former exited old", "b running new"], ["a"], [], ["a"], ["a-former"]),
        (["a-former exited old", "b running new"], [], [], ["a"], ["a-former"]),
        (["c-former exited old", "a running new", "b running new"], ["c-former"], [], [], []),
    ],
)
def test_plan(found: list[str], remove: list[str], replace: list[str], start: list[str], formers: list[str]) -> None:
    state = {name: (status, settings) for name, status, settings in map(str.split, found)}
    assert plan(state, WANTED) == {"remove": remove, "replace": replace, "start": start, "formers": formers}


@pytest.mark.parametrize(
    "processes",
    [
        {},
        {"worker": {"command": "work", "replicas": "2"}, "clock": {"command": ["tick"], "once": True}},
        {"web": {"memory": "1g", "command": ["serve"]}, "worker": {"entrypoint": ["/work"], "hosts": ["app-2"]}},
        {"web": None},
    ],
)
def test_good_processes(processes: dict[str, Any]) -> None:
    assert app_problems({"app_processes": processes, "app_hosts": THREE}) == []


@pytest.mark.parametrize(
    ("processes", "says"),
    [
        (["worker"], "app_processes must be a dictionary of processes"),
        (
            {"worker": "work", "clock": {"command": "a"}},
            "app_processes: worker is 'work'; it must be a dictionary, as in",
        ),
        ({"Worker": {"command": "work"}}, "app_processes: Worker must be lower-case letters"),
        ({"worker": {}}, "app_processes: worker has no command"),
        (
            {"worker": {"comand": "x", "command": "x"}},
            "has comand, which a process does not have; did you mean command?",
        ),
        ({"worker": {"command": "x", "port": 1}}, "has port, which a process does not have"),
        ({"worker": {"command": "x", "replicas": 0}}, "replicas is 0; it must be a number of containers"),
        ({"worker": {"command": "x", "replicas": 2, "once": True}}, "has once, and replicas is 2; one of them must go"),
        ({"worker": {"command": "x", "once": "yes"}}, "once is 'yes'; it must be true or false"),
        ({"worker": {"command": "x", "hosts": "app-1"}}, "hosts is 'app-1'; it must be a list of hosts"),
        (
            {"worker": {"command": "x", "hosts": ["app-9"]}},
            "hosts has app-9, where the app does not run; it runs on app-1",
        ),
        ({"web": {"replicas": 2}}, "app_processes: web has replicas; remove it"),
        ({"worker": {"command": "x", "memory": "much"}}, "app_processes: worker: memory is 'much'; it must be"),
        ({"worker": {"command": "x", "env": {"DEBUG": True}}}, "app_processes: worker: env: DEBUG must be text"),
        ({"worker": {"command": "x", "stop_timeout": -1}}, "app_processes: worker: stop_timeout is -1"),
        # In its own words
        (
            {"worker": {"command": "x", "container_options": {"memory": "1g"}}},
            "app_processes: worker: container_options has memory; set memory instead.",
        ),
        (
            {"worker": {"command": "x", "container_options": {"restart_policy": "no"}}},
            "app_processes: worker: container_options has restart_policy",
        ),
    ],
)
def test_wrong_processes_are_named(processes: Any, says: str) -> None:
    problems = app_problems({"app_processes": processes, "app_hosts": THREE})

    assert len(problems) == 1, problems
    assert says in problems[0]


@pytest.mark.parametrize("name", ["app_before_release", "app_after_release"])
def test_wrong_command_of_a_release_is_named(name: str) -> None:
    assert app_problems({name: ["sleep", 5]}) == [
        f"{name} is ['sleep', 5]; it must be a text or a list of texts; put numbers into quotes."
    ]
    assert app_problems({name: "./manage.py migrate"}) == []
