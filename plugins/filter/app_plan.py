# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done with the containers of an app."""

from __future__ import annotations

DOCUMENTATION = r"""
name: app_plan
short_description: What is to be done with the containers of an app
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Compares the containers that a host has with those that it should have.
positional: found, asked
options:
  _input:
    description: What there should be, as P(alphacoder.scaleout.app_container#filter) returns it.
    type: dict
    required: true
  found:
    description:
      - A line for each container of the host, with its name, its state, and its labels C(alphacoder.scaleout.settings),
        C(alphacoder.scaleout.process-of), C(alphacoder.scaleout.release) and C(alphacoder.scaleout.parts), with a bar
        between them.
    type: list
    elements: str
    required: true
  asked:
    description: What M(community.docker.docker_container) would change of the container that answers requests.
    type: dict
    required: true
"""

EXAMPLES = r"""
plan: "{{ app | alphacoder.scaleout.app_plan(found.stdout_lines, asked) }}"
"""

RETURN = r"""
_value:
  description:
    - Of the container that answers requests, C(differs), whether it is to be made anew; C(exists); C(set_aside),
      whether an interrupted run set one aside.
    - C(outdated), whether it runs, and it or a process is to be replaced.
    - Of the processes, names of containers. C(remove) - they don't belong here, or an interrupted run left them;
      C(replace) - they are to be set aside; C(start) - they are then to be made.
    - C(formers), names of all that are set aside then; C(trials), options of containers that show beforehand whether
      the engine takes the settings.
    - C(changes), a line for each container that changes, with the names of its settings.
  type: dict
"""

import json
import typing as t
from collections.abc import Iterable, Mapping

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_options import LABEL, PARTS_LABEL, RELEASE_LABEL
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_processes import FORMER, plan

Wanted = Mapping[str, t.Any]


def _differences(now: str, release: str, wanted: Wanted, prefix: str = "") -> list[str]:
    """The settings that differ, by their names; values may be secret. `now`: what the container's label says."""
    # Nothing is known of a container that has no such label
    parts = json.loads(now) if now else wanted["parts"]
    names = sorted(name for name in {*parts, *wanted["parts"]} if parts.get(name) != wanted["parts"].get(name))
    new = wanted["options"]["labels"][RELEASE_LABEL]
    return [prefix + (f"image ({release} to {new})" if name == "image" else name) for name in names]


def app_plan(app: Wanted, found: Iterable[str], asked: Wanted) -> dict[str, t.Any]:
    """The plan. See DOCUMENTATION."""
    rows = {row[0]: row[1:] for row in (line.split("|", 5) for line in found)}
    web, name = app["web"], app["name"]
    container, diff = asked.get("container") or {}, asked.get("diff") or {}
    labels = (container.get("Config") or {}).get("Labels") or {}
    # Docker's module does not look at a setting that is no longer there; the label tells
    differs = diff.get("before", {}) != diff.get("after", {}) or labels.get(LABEL, "") != web["settings"]
    # Those beside the second container are the first one's
    processes = {} if app["beside"] else {key: row for key, row in rows.items() if row[2] == app["app"]}
    steps = plan({key: (row[0], row[1]) for key, row in processes.items()}, app["processes"])
    running = bool((container.get("State") or {}).get("Running"))

    changes = []
    if differs and not container:
        changes.append(f"{name}: new, {app['release']}")
    elif differs:
        what = _differences(labels.get(PARTS_LABEL, ""), labels.get(RELEASE_LABEL, ""), web, "app_")
        # What a hand changed
        what = what or [
            key for key, value in (diff.get("after") or {}).items() if (diff.get("before") or {}).get(key) != value
        ]
        changes.append(f"{name}: {', '.join(what) or 'settings of an earlier version'}")
    for one in app["processes"] if steps["start"] else []:
        its = one["options"]["name"]
        if its in steps["replace"]:
            state, _settings, _of, release, parts = rows[its]
            what = _differences(parts, release, one) + ([] if state == "running" else [f"it is {state}"])
            changes.append(f"{its}: {', '.join(what) or 'settings of an earlier version'}")
        elif its in steps["start"]:
            changes.append(f"{its}: new, {app['release']}")
    changes += [f"{its}: removed" for its in steps["remove"]]

    trials = [web["trial"]] if differs and not app["beside"] else []
    seen = []
    for one in app["processes"]:
        # All replicas but for their ids
        kind = {key: value for key, value in one["parts"].items() if key != "instance_id"}
        if one["options"]["name"] in steps["start"] and kind not in seen:
            seen.append(kind)
            trials.append(one["trial"])
    return {
        "differs": differs,
        "exists": bool(container),
        "set_aside": differs and name + FORMER in rows,
        "outdated": running and (differs or bool(steps["replace"])),
        **steps,
        "formers": ([name + FORMER] if differs else []) + steps["formers"],
        "trials": trials,
        "changes": changes,
    }


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"app_plan": app_plan}
