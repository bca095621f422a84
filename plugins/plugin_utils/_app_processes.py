# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: the processes of an app beside the one that answers requests: workers, schedulers.

from __future__ import annotations

import difflib
import re
import typing as t
from collections.abc import Iterable, Iterator, Mapping

Settings = dict[str, t.Any]

# The process that answers requests
WEB = "web"
# What a process may have of its own instead of the app's variable app_…
OF_THE_APP = frozenset(
    re.findall(
        r"\w+",
        "capabilities command container_options cpus entrypoint env files memory read_only stop_timeout tmpfs user "
        "volumes",
    )
)
OWN = ("hosts", "once", "replicas")
# Added to the app's, rather than instead of it
ADDED = ("container_options", "env")
OF_APP = re.compile(rf"\bapp_({'|'.join(sorted(OF_THE_APP))})\b")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
FORMER = "-former"
SUCH = "{worker: {command: [./manage.py, work]}}"


def processes(settings: Settings) -> dict[str, Settings]:
    """The processes but web, by name."""
    return {name: process or {} for name, process in (settings.get("app_processes") or {}).items() if name != WEB}


def settings_of(settings: Settings, process: str) -> Settings:
    """The app's variables as they are for one of its processes."""
    own = (settings.get("app_processes") or {}).get(process) or {}
    changed = {}
    for key in OF_THE_APP:
        if key in own:
            name = f"app_{key}"
            changed[name] = {**(settings.get(name) or {}), **(own[key] or {})} if key in ADDED else own[key]
    return settings | changed


def places(settings: Settings, host: str) -> Iterator[tuple[str, int]]:
    """The processes that run on the host, each with its number.

    A process with `once` is on the first of its hosts.
    """
    hosts: list[str] = settings.get("app_hosts") or [host]
    for name, process in processes(settings).items():
        its = [one for one in hosts if one in (process.get("hosts") or hosts)]
        if host in (its[:1] if process.get("once") else its):
            yield from ((name, number) for number in range(1, int(process.get("replicas", 1)) + 1))


def plan(state: Mapping[str, tuple[str, str]], wanted: Iterable[dict[str, t.Any]]) -> dict[str, list[str]]:
    """What is to be done with the containers of processes, by their names.

    `state` has the state and the settings of each. `remove` those that don't belong here,
    and what an interrupted run left: the one that it set aside where the newer one runs, and else the newer one.
    `replace` those that are to be set aside, and then `start` what isn't there. `formers` are then those that were set
    aside.
    """
    # What has ended is replaced, too: if the new one is no better, it is there again
    should = {one["options"]["name"]: ("running", one["settings"]) for one in wanted}

    def is_left_over(name: str) -> bool:
        if name.removesuffix(FORMER) not in should:
            return True
        newer_runs = state.get(name.removesuffix(FORMER), ("", ""))[0] == "running"
        return newer_runs if name.endswith(FORMER) else name + FORMER in state and not newer_runs

    remove = [name for name in state if is_left_over(name)]
    start = [name for name in should if name in remove or state.get(name) != should[name]]
    replace = [name for name in start if name in state and name not in remove]
    formers = [
        name + FORMER for name in start if name in replace or (name + FORMER in state and name + FORMER not in remove)
    ]
    return {"remove": remove, "replace": replace, "start": start, "formers": formers}


def process_problems(settings: Settings, problems_of: t.Callable[[Settings], Iterable[str]]) -> Iterator[str]:
    """A sentence for each problem. `problems_of` says what is wrong with variables of the app."""
    value = settings.get("app_processes") or {}
    if not isinstance(value, dict):
        yield f"app_processes must be a dictionary of processes, such as {SUCH}."
        return
    for name in [name for name, process in value.items() if not isinstance(process or {}, dict)]:
        yield f"app_processes: {name} is {value[name]!r}; it must be a dictionary, as in {SUCH}."
    value = {name: process for name, process in value.items() if isinstance(process or {}, dict)}
    hosts = settings.get("app_hosts") or []
    for name, process in ((str(name), process or {}) for name, process in value.items()):
        where = f"app_processes: {name}"
        if not NAME.fullmatch(name):
            yield f"{where} must be lower-case letters, digits, _ and -, and begin with a letter or a digit."
        for key in sorted(set(map(str, process)) - {*OF_THE_APP, *OWN}):
            near = difflib.get_close_matches(key, [*OF_THE_APP, *OWN], 1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(sorted([*OF_THE_APP, *OWN]))}."
            yield f"{where} has {key}, which a process does not have; {hint}"
        if name == WEB:
            for key in (key for key in OWN if key in process):
                yield f"{where} has {key}; remove it, for each app server has one container that answers requests."
        elif not process.get("command") and not process.get("entrypoint"):
            yield f"{where} has no command; without one it is what answers requests once more."
        replicas = process.get("replicas", 1)
        if isinstance(replicas, bool) or not re.fullmatch(r"[1-9]\d?", str(replicas)):
            yield f"{where}: replicas is {replicas!r}; it must be a number of containers on each host, 1 to 99."
        elif process.get("once") and int(replicas) > 1:
            yield f"{where} has once, and replicas is {replicas}; one of them must go."
        if not isinstance(process.get("once", False), bool):
            yield f"{where}: once is {process['once']!r}; it must be true or false."
        its = process.get("hosts", [])
        if not isinstance(its, list) or not all(isinstance(host, str) for host in its):
            yield f"{where}: hosts is {its!r}; it must be a list of hosts of the inventory, such as [app-1]."
        elif unknown := [host for host in its if hosts and host not in hosts]:
            yield f"{where}: hosts has {', '.join(unknown)}, where the app does not run; it runs on {', '.join(hosts)}."
        mine = {f"app_{key}": process[key] for key in OF_THE_APP if key in process}
        for problem in problems_of(mine):
            # In a process, variables of the app have no prefix
            said = OF_APP.sub(r"\1", problem)
            yield f"{where}: {said}"
