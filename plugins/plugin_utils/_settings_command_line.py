# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: what is wrong with the variables of a command line. Those that a user has in files of their
# own may have any name; one that was typed for a playbook is for that playbook.

from __future__ import annotations

import difflib
import typing as t
from collections.abc import Collection, Mapping
from pathlib import PurePath

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_deploy import deploy_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_names import ROLES

COLLECTION = "alphacoder.scaleout."
# Variables without a prefix of the collection, by playbook
TAKES: dict[str, tuple[str, ...]] = {
    "adopt": (),
    "deploy": ("release",),
    "destroy": (),
    "exec": ("command", "host", "new"),
    "logs": ("follow", "follow_seconds", "grep", "lines", "since"),
    "maintenance": ("host", "state"),
    "preflight": ("release",),
    "provision": (),
    "releases": (),
    "restore": (),
    "rollback": ("release",),
    "scale": (),
    "site": ("release",),
    "status": ("status_file",),
}
OURS = ("deploy_", "rollout_", "scaleout_")


def playbook_of(argument: str) -> str:
    """Which playbook of the collection it is that the command line names; nothing if it is another one."""
    if argument.startswith(COLLECTION):
        return argument.removeprefix(COLLECTION)
    path = PurePath(argument)
    return path.stem if path.parent in (ROLES.parent, ROLES.parent / "playbooks") else ""


def command_line_problems(given: Mapping[str, t.Any], playbooks: Collection[str]) -> list[str]:
    """A sentence for each problem. `given`: the variables of the command line; `playbooks`: whom they are for."""
    if not playbooks or not all(playbook in TAKES for playbook in playbooks):
        return []
    takes = {name for playbook in playbooks for name in TAKES[playbook]}
    which = " and ".join(f"{playbook}.yml" for playbook in sorted(playbooks))
    problems = deploy_problems({name: value for name, value in given.items() if name.startswith(OURS)})
    # What -e makes of the rest of a value with spaces
    lost = [str(given[name]) if name == "_raw_params" else f"{name}={given[name]}" for name in given if _is_rest(name)]
    files = [word for text in lost for word in text.split() if word.endswith((".yml", ".yaml", ".json"))]
    if files:
        problems.append(f"{files[0]} is a file's name: write -e @{files[0]}.")
    elif lost:
        problems.append(
            f"{' '.join(lost)} is no part of a variable: -e ends a value at a space. Write -e "
            f'\'{{"{min(takes, default="name")}": "two words"}}\'.'
        )
    for name in sorted(set(given) - takes):
        others = [f"{playbook}.yml" for playbook in TAKES if name in TAKES[playbook]]
        near = difflib.get_close_matches(name, takes, 1, 0.85)
        if others:
            problems.append(f"{name} is no variable of {which}; {', '.join(others)} {_has(others)} it.")
        elif near:
            problems.append(f"{name} is no variable of {which}; did you mean {near[0]}?")
    return problems


def _is_rest(name: str) -> bool:
    return name == "_raw_params" or not name.isidentifier()


def _has(several: list[str]) -> str:
    return "have" if len(several) > 1 else "has"
