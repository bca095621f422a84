# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a release failed on a host, and how the host was left."""

from __future__ import annotations

DOCUMENTATION = r"""
name: app_failure
short_description: Why a release failed on a host, and how the host was left
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Makes the message of role P(alphacoder.scaleout.app#role) for a release that it could not bring, or that it took
    back.
  - Says which variable is behind what the container engine refused, and what an image may lack, where its last log
    lines tell.
options:
  _input:
    description: What there should be, as P(alphacoder.scaleout.app_container#filter) returns it.
    type: dict
    required: true
  host:
    description: The host.
    type: str
    required: true
  results:
    description:
      - Results of tasks that started containers, in loops over their options, and of the task that failed. The first
        one that failed counts.
    type: list
    elements: dict
    required: true
  tried:
    description: Whether these containers only were to show what the engine refuses, so that nothing was changed.
    type: bool
    default: false
  differs:
    description: Whether the container that answers requests was made anew.
    type: bool
    default: true
  formers:
    description: Names of the former containers that were set aside.
    type: list
    elements: str
    default: []
  again:
    description: What M(alphacoder.scaleout.container_ready) said of the former container.
    type: dict
    default: {}
"""

EXAMPLES = r"""
msg: "{{ app | alphacoder.scaleout.app_failure('app-1', [started, ansible_failed_result]) }}"
"""

RETURN = r"""
_value:
  description: The message.
  type: str
"""

import re
import typing as t
from collections.abc import Iterable, Mapping

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_hints import app_hints
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_options import FREE
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_processes import FORMER

Result = Mapping[str, t.Any]
# What the engine says of a setting that it refuses, and the variables that set it
VARIABLES = (
    (re.compile(r"capabilit(y|ies)", re.IGNORECASE), "app_capabilities"),
    (re.compile(r"memory limit|memory\.max|cgroup.*memory", re.IGNORECASE), "app_memory"),
    (re.compile(r"Range of CPUs|NanoCPUs", re.IGNORECASE), "app_cpus"),
    (re.compile(r"Unable to find group"), "app_container_options.groups"),
    (re.compile(r"unable to find (user|group)|setting (up )?user|uids and gids"), "app_user"),
    (re.compile(r"rlimit|ulimit", re.IGNORECASE), "app_container_options.ulimits"),
    (re.compile(r"custom device|device node|device driver", re.IGNORECASE), "app_container_options.devices"),
    (re.compile(r"sysctl", re.IGNORECASE), "app_container_options.sysctls"),
    (re.compile(r"logging (driver|plugin)|log[- ]opt", re.IGNORECASE), "app_container_options.log_driver, log_options"),
    (re.compile(r"network named", re.IGNORECASE), "app_container_options.networks"),
    (re.compile(r"runtime specified", re.IGNORECASE), "app_container_options.runtime"),
    (re.compile(r"CPUs are not available", re.IGNORECASE), "app_container_options.cpuset_cpus"),
    (re.compile(r"oom score", re.IGNORECASE), "app_container_options.oom_score_adj"),
    (re.compile(r"invalid signal", re.IGNORECASE), "app_container_options.stop_signal"),
    (re.compile(r"working directory", re.IGNORECASE), "app_container_options.working_dir"),
    (re.compile(r"apparmor|seccomp|security.opt|selinux", re.IGNORECASE), "app_container_options.security_opts"),
    (
        re.compile(r"port is already allocated|cannot assign requested address|address already in use"),
        "app_publish_address, app_publish_port",
    ),
    (re.compile(r"executable file not found|exec format error"), "app_command, app_entrypoint"),
    (
        re.compile(r"mount|invalid mode|volume", re.IGNORECASE),
        "app_volumes, app_files, app_tmpfs, app_container_options.mounts",
    ),
)


def variables(message: str) -> str:
    """The variables behind what the engine refuses, as far as its message tells."""
    known = next((names for pattern, names in VARIABLES if pattern.search(message)), "")
    # Docker's module names its own options
    said = next((name for name in sorted(FREE, key=len, reverse=True) if re.search(rf"\b{name}\b", message)), "")
    return known or (f"app_container_options.{said}" if said else "")


def _words(message: str) -> str:
    """The engine's own words, without the request that it answers."""
    found = re.search(r"http\+docker://.*?\(\"(.*)\"\)\s*$", message, re.DOTALL)
    return (found[1] if found else message).strip().rstrip(".")


def _first_that_failed(results: Iterable[Result]) -> Result:
    """The first result that failed; of a loop, that of its item."""
    for result in results:
        if result.get("failed"):
            return next((one for one in result.get("results") or [] if one.get("failed")), result)
    return {}


def _left(app: Result, of_a_process: bool, differs: bool, formers: Iterable[str], again: Result) -> str:
    """How the host was left."""
    if app["beside"]:
        return "The former release keeps serving."
    if not differs:
        return "Its processes are as they were before." if of_a_process else "Its container is as it was before."
    if app["name"] + FORMER not in formers:
        return "There is no former release to return to."
    if "log" in again:
        return f"The former container was started again, but {again['msg']}"
    return "The former containers run again." if app["processes"] else "The former container runs again."


def app_failure(
    app: Result,
    host: str,
    results: Iterable[Result],
    tried: bool = False,
    differs: bool = True,
    formers: Iterable[str] = (),
    again: Result | None = None,
) -> str:
    """The message. See DOCUMENTATION."""
    result = _first_that_failed(results)
    said = str(result.get("msg") or "no message").strip()
    log: list[str] | None = result.get("log")
    # Who waits names a container, and who starts one has its options as the item of a loop
    item = result.get("item")
    name = item["name"] if isinstance(item, Mapping) else result["container"] if log is not None else app["name"]
    names = variables(said) if log is None else ""
    about = [f"Look at {names}."] if names else []
    if tried:
        name = name.removesuffix("-trial")
        text = f"The container engine of {host} refuses {name} of {app['release']}: {_words(said)}."
        return " ".join([text, *about, "Nothing was changed."])
    why = said if log is not None else f"could not be started: {_words(said)}." if item else f"failed: {said}"
    of_a_process = name != app["name"]
    lines = [f"{app['release']} on {host} {f'has a process, {name}, that ' if of_a_process else ''}{why}", *about]
    if log is not None:
        lines += ["Its last log lines:", *(f"  {line}" for line in log)] if log else ["It wrote no log."]
    lines += app_hints([*(log or []), said])
    return "\n".join([*lines, _left(app, of_a_process, differs, formers, again or {})])


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"app_failure": app_failure}
