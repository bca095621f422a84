# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A variable of the command line that the playbook does not take is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_command_line import (
    command_line_problems,
    playbook_of,
)
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_names import ROLES


@pytest.mark.parametrize(
    ("playbook", "name", "says"),
    [
        ("deploy", "release", ""),
        ("deploy", "relase", "relase is no variable of deploy.yml; did you mean release?"),
        ("deploy", "host", "host is no variable of deploy.yml; exec.yml, maintenance.yml have it."),
        ("logs", "state", "state is no variable of logs.yml; maintenance.yml has it."),
        ("exec", "command_", "command_ is no variable of exec.yml; did you mean command?"),
        ("logs", "line", "line is no variable of logs.yml; did you mean lines?"),
        ("maintenance", "deploy_drain_timout", "deploy_drain_timout is no variable of the playbooks; did you mean"),
        ("maintenance", "deploy_drain_timeout", "deploy_drain_timeout is 1s; it must be a number, 0 or more."),
        ("maintenance", "rollout_batch", "rollout_batch is no variable of the playbooks; did you mean deploy_batch?"),
        ("logs", "_raw_params", "1s is no part of a variable: -e ends a value at a space. Write -e '{"),
        ("exec", "--limit", "--limit=1s is no part of a variable: -e ends a value at a space."),
        # A user's own
        ("maintenance", "stage", ""),
        ("logs", "registry", ""),
        ("scale", "app_count", ""),
        # Not of the collection, such as one that imports its playbooks
        ("", "relase", ""),
        ("mine", "host", ""),
    ],
)
def test_variable_that_the_playbook_does_not_take_is_named(playbook: str, name: str, says: str) -> None:
    problems = command_line_problems({name: "1s"}, [playbook])

    assert len(problems) == bool(says)
    assert "".join(problems).startswith(says)


def test_file_without_its_sign_is_told() -> None:
    (problem,) = command_line_problems({"_raw_params": "apps/shop.yml"}, ["deploy"])
    assert problem == "apps/shop.yml is a file's name: write -e @apps/shop.yml."


def test_playbooks_of_one_run_share_their_variables() -> None:
    assert command_line_problems({"release": "x", "state": "maint"}, ["deploy", "maintenance"]) == []


@pytest.mark.parametrize(
    ("argument", "playbook"),
    [
        ("alphacoder.scaleout.deploy", "deploy"),
        (str(ROLES.parent / "playbooks" / "deploy.yml"), "deploy"),
        (str(ROLES.parent / "site.yml"), "site"),
        (str(Path.home() / "site.yml"), ""),
        ("other.collection.deploy", ""),
    ],
)
def test_playbook_of_the_collection_is_known(argument: str, playbook: str) -> None:
    assert playbook_of(argument) == playbook
