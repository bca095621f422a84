# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done with the containers of an app, and what is said of it before and after."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.alphacoder.scaleout.plugins.filter.app_container import app_container
from ansible_collections.alphacoder.scaleout.plugins.filter.app_failure import app_failure, variables
from ansible_collections.alphacoder.scaleout.plugins.filter.app_plan import app_plan
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_options import (
    LABEL,
    PARTS_LABEL,
    PROCESS_LABEL,
    RELEASE_LABEL,
)

SETTINGS = {
    "app_name": "shop",
    "app_image": "shop:1",
    "app_port": 8080,
    "app_publish_address": "192.0.2.1",
    "app_publish_port": 8000,
    "app_env": {"KEY": "s3cret", "A": "1"},
    "app_files": [{"dest": "/run/key", "content": "s3cret"}],
}
WORKERS = {"app_processes": {"worker": {"command": ["work"], "replicas": 2}}}


def wanted(**settings: Any) -> dict[str, Any]:
    return app_container({**SETTINGS, **settings}, "app-1")


def line(one: dict[str, Any], state: str = "running", name: str = "") -> str:
    """What the engine says of such a container."""
    labels = one["options"]["labels"]
    words = [labels.get(label, "") for label in (LABEL, PROCESS_LABEL, RELEASE_LABEL, PARTS_LABEL)]
    return "|".join([name or one["options"]["name"], state, *words])


def asked(one: dict[str, Any] | None, running: bool = True, **diff: Any) -> dict[str, Any]:
    """What Docker's module says of the app's container."""
    if one is None:
        return {"container": None, "diff": {"before": {"exists": False}, "after": {"exists": True}}}
    container = {"State": {"Running": running}, "Config": {"Labels": one["options"]["labels"]}}
    return {"container": container, "diff": {"before": {key: None for key in diff}, "after": diff}}


def changes(now: dict[str, Any], then: dict[str, Any], **diff: Any) -> list[str]:
    found = [line(one) for one in (now["web"], *now["processes"])]
    said: list[str] = app_plan(then, found, asked(now["web"], **diff))["changes"]
    return said


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, []),
        ({"app_memory": "64m"}, ["shop: app_memory"]),
        ({"app_image": "shop:2"}, ["shop: app_image (shop:1 to shop:2)"]),
        ({"app_env": {"KEY": "0ther", "B": "1"}}, ["shop: app_env: A, app_env: B, app_env: KEY"]),
        ({"app_files": [{"dest": "/run/key", "content": "0ther"}]}, ["shop: app_files"]),
        ({"app_files": [], "app_volumes": ["a:/a"]}, ["shop: app_files, app_volumes"]),
        ({"app_container_options": {"ulimits": ["nofile:1:2"]}}, ["shop: app_container_options: ulimits"]),
        ({"app_container_options": {"labels": {"a": "b"}}}, ["shop: app_container_options: labels"]),
        ({"app_publish_port": 8001}, ["shop: app_publish_port"]),
        ({"app_instance_id": "one"}, ["shop: app_instance_id"]),
        (WORKERS, ["shop-worker-1: new, shop:1", "shop-worker-2: new, shop:1"]),
    ],
)
def test_change_names_the_container_and_the_setting(settings: dict[str, Any], says: list[str]) -> None:
    said = changes(wanted(), wanted(**settings))

    assert said == says
    assert not [word for word in ("s3cret", "0ther") if word in str(said)]
    # And the way back
    assert len(changes(wanted(**settings), wanted())) == len(says)


def test_change_of_a_process_is_named() -> None:
    workers = {"worker": {"command": ["work"], "replicas": 1, "memory": "64m"}}
    said = changes(wanted(**WORKERS), wanted(app_processes=workers))

    assert said == ["shop-worker-1: memory", "shop-worker-2: removed"]


def test_what_a_hand_changed_is_named() -> None:
    assert changes(wanted(), wanted(), restart_policy="unless-stopped") == ["shop: restart_policy"]


def test_container_of_before_there_was_such_a_label_is_replaced() -> None:
    now = wanted()
    del now["web"]["options"]["labels"][PARTS_LABEL]
    now["web"]["options"]["labels"][LABEL] = "other"

    assert changes(now, wanted()) == ["shop: settings of an earlier version"]


@pytest.mark.parametrize(
    ("state", "of_the_web", "found"),
    [
        ("running", {}, {"differs": False, "outdated": False, "formers": [], "trials": []}),
        ("running", {"app_memory": "9m"}, {"differs": True, "outdated": True, "trials": ["shop-trial"]}),
        # It may be started at once
        ("exited", {"app_memory": "9m"}, {"differs": True, "outdated": False, "exists": True}),
        ("", {}, {"differs": True, "exists": False, "outdated": False, "formers": ["shop-former"]}),
    ],
)
def test_plan_of_the_container_that_answers(state: str, of_the_web: dict[str, Any], found: dict[str, Any]) -> None:
    now = wanted()["web"] if state else None
    plan = app_plan(wanted(**of_the_web), [line(now, state)] if now else [], asked(now, state == "running"))
    plan["trials"] = [one["name"] for one in plan["trials"]]

    assert {key: plan[key] for key in found} == found


def test_container_that_an_interrupted_run_set_aside_is_seen() -> None:
    now, then = wanted(), wanted(app_memory="9m")
    found = [line(now["web"], "exited", "shop-former"), line(then["web"])]

    # If the newer one is as it should be, it is only in the way
    assert not app_plan(then, found, asked(then["web"]))["set_aside"]
    assert app_plan(now, found, asked(then["web"]))["set_aside"]


def test_processes_are_tried_once_each_and_only_where_they_start() -> None:
    now, then = wanted(**WORKERS), wanted(**WORKERS, app_memory="9m")
    found = [line(one) for one in (now["web"], *now["processes"])]

    assert [one["name"] for one in app_plan(then, found, asked(now["web"]))["trials"]] == [
        "shop-trial",
        "shop-worker-1-trial",
    ]
    found = [*found[:2], line(now["processes"][1], "exited")]
    assert [one["name"] for one in app_plan(now, found, asked(now["web"]))["trials"]] == ["shop-worker-2-trial"]


def test_second_container_is_not_about_the_processes() -> None:
    now = wanted(**WORKERS)
    beside = wanted(**WORKERS, app_beside=True, app_memory="9m")
    plan = app_plan(beside, [line(one) for one in (now["web"], *now["processes"])], asked(None))

    assert (plan["remove"], plan["start"], plan["trials"]) == ([], [], [])
    assert plan["changes"] == ["shop-beside: new, shop:1"]


LOG = {"failed": True, "container": "shop", "log": ["boom"], "msg": "did not answer 200 at http://192.0.2.1:8000/up."}
LEFT = "The former container runs again."


@pytest.mark.parametrize(
    ("settings", "results", "how", "says"),
    [
        (
            {},
            [{"failed": False}, LOG],
            {"formers": ["shop-former"]},
            ["shop:1 on app-1 did not answer 200 at http://192.0.2.1:8000/up.", "Its last log lines:", "  boom", LEFT],
        ),
        (
            {},
            [LOG | {"log": [], "msg": "ended: its container is gone."}],
            {},
            [
                "shop:1 on app-1 ended: its container is gone.",
                "It wrote no log.",
                "There is no former release to return to.",
            ],
        ),
        (
            {},
            [LOG | {"log": ["'/a/b': Read-only file system"]}],
            {"formers": ["shop-former"], "again": {"failed": False, "log": [], "msg": "did not answer."}},
            [
                "shop:1 on app-1 did not answer 200 at http://192.0.2.1:8000/up.",
                "Its last log lines:",
                "  '/a/b': Read-only file system",
                ...,
                "The former container was started again, but did not answer.",
            ],
        ),
        # The container is the one that was there before
        ({}, [LOG], {"differs": False}, [..., ..., ..., "Its container is as it was before."]),
        (
            WORKERS,
            [LOG | {"container": "shop-worker-1", "msg": "ends again and again: its container is restarting."}],
            {"formers": ["shop-former", "shop-worker-1-former"]},
            [
                "shop:1 on app-1 has a process, shop-worker-1, that ends again and again: its container is restarting.",
                ...,
                ...,
                "The former containers run again.",
            ],
        ),
        (
            WORKERS,
            [LOG | {"container": "shop-worker-1"}],
            {"differs": False, "formers": ["shop-worker-1-former"]},
            [..., ..., ..., "Its processes are as they were before."],
        ),
        # The failed task's own result is censored
        (
            {},
            [
                {
                    "failed": True,
                    "results": [{"failed": True, "item": {"name": "shop"}, "msg": "port is already allocated"}],
                },
                {"failed": True, "censored": "x"},
            ],
            {"formers": ["shop-former"]},
            [
                "shop:1 on app-1 could not be started: port is already allocated.",
                "Look at app_publish_address, app_publish_port.",
                LEFT,
            ],
        ),
        (
            WORKERS,
            [
                {},
                {
                    "failed": True,
                    "results": [{"failed": False}, {"failed": True, "item": {"name": "shop-worker-2"}, "msg": "no"}],
                },
            ],
            {"formers": ["shop-former"]},
            [
                "shop:1 on app-1 has a process, shop-worker-2, that could not be started: no.",
                "The former containers run again.",
            ],
        ),
        # Anything else that went wrong on the way
        ({}, [{"failed": True, "msg": "docker: not found"}], {}, ["shop:1 on app-1 failed: docker: not found", ...]),
        (
            {"app_beside": True},
            [LOG | {"container": "shop-beside"}],
            {},
            [..., ..., ..., "The former release keeps serving."],
        ),
    ],
)
def test_failure_says_why_and_what_runs_now(
    settings: dict[str, Any], results: list[Any], how: dict[str, Any], says: list[Any]
) -> None:
    said = app_failure(wanted(**settings), "app-1", results, **how).split("\n")

    assert [one if expected is ... else expected for one, expected in zip(said, says, strict=True)] == said


REQUEST = 'Error: 400 Client Error for http+docker://localhost/v1.41/containers/create?name=x: Bad Request ("{}")'


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ('invalid CapAdd: unknown capability: "CAP_FOO"', "app_capabilities"),
        ("Minimum memory limit allowed is 6MB", "app_memory"),
        ("Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available", "app_cpus"),
        ("unable to find user nobodyx: no matching entries in passwd file", "app_user"),
        ("unable to find group nogroupx: no matching entries in group file", "app_user"),
        ("Unable to find group nogroupx: no matching entries in group file", "app_container_options.groups"),
        ("runc create failed: error setting rlimit type 7: operation not permitted", "app_container_options.ulimits"),
        (
            'error gathering device information while adding custom device "/dev/x": no such file or directory',
            "app_container_options.devices",
        ),
        ("failed to initialize logging driver: dial tcp: refused", "app_container_options.log_driver, log_options"),
        ("Unknown runtime specified foo", "app_container_options.runtime"),
        ("Requested CPUs are not available - requested 77, available: 0-1", "app_container_options.cpuset_cpus"),
        ("Invalid value 5000, range for oom score adj is [-1000, 1000]", "app_container_options.oom_score_adj"),
        ("Invalid signal: FOO", "app_container_options.stop_signal"),
        (
            "the working directory 'rel' is invalid, it needs to be an absolute path",
            "app_container_options.working_dir",
        ),
        ("network named nonet could not be found", "app_container_options.networks"),
        ("Failed to convert shm_size to bytes", "app_container_options.shm_size"),
        (
            'invalid mount config for type "bind": bind source path does not exist: /nowhere',
            "app_volumes, app_files, app_tmpfs, app_container_options.mounts",
        ),
        ("something else", ""),
    ],
)
def test_what_the_engine_refuses_is_named_after_its_variable(words: str, names: str) -> None:
    assert variables(words) == names
    tried = {
        "failed": True,
        "results": [{"failed": True, "item": {"name": "shop-trial"}, "msg": REQUEST.format(words)}],
    }
    look = f" Look at {names}." if names else ""
    assert app_failure(wanted(), "app-1", [tried], tried=True) == (
        f"The container engine of app-1 refuses shop of shop:1: {words}.{look} Nothing was changed."
    )
