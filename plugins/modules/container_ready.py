#!/usr/bin/python
# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: container_ready
short_description: Wait until containers are ready, and stay so
version_added: 0.1.0
author:
  - alphacoder (@alphacoder)
description:
  - Waits until containers run and, with O(health), one of them answers, and then for as long as O(steady) says that it
    must stay so.
  - Gives up before O(timeout) has passed where a container has ended for good, or ends again and again. One that is
    asked may be restarted twice before it answers, for what it needs may not have been there yet. Without O(health),
    and once it has answered, a restart is a failure.
  - A container that is not ready is a failure, with the reason and its last log lines.
extends_documentation_fragment:
  - alphacoder.scaleout.attributes
  - alphacoder.scaleout.attributes.changes_nothing
options:
  names:
    description:
      - Names of the containers. The first one is asked.
    type: list
    elements: str
    required: true
  health:
    description:
      - How it is asked. Without a path, it is enough that it runs.
    type: dict
    default: {}
    suboptions:
      address:
        description: Where it is published.
        type: str
        default: 127.0.0.1
      port:
        description: Where it is published.
        type: int
        default: 80
      path:
        description: What is asked for. Redirects are not followed.
        type: str
        default: ""
      headers:
        description: Headers of the request.
        type: dict
        default: {}
      statuses:
        description: Statuses that count as yes.
        type: list
        elements: int
        default: [200]
      status:
        description: The statuses as messages say them.
        type: str
        default: "200"
      timeout:
        description: Seconds that an answer may take.
        type: int
        default: 5
  timeout:
    description:
      - Seconds until they must be ready. V(0) - ask once.
    type: int
    default: 60
  steady:
    description:
      - Seconds that they must then stay so. V(0) - none.
    type: int
    default: 0
  started:
    description:
      - Whether the containers were just started, so that all their restarts count. If not, those count that come.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Wait until the shop answers, and goes on doing so
  alphacoder.scaleout.container_ready:
    names: [shop]
    health: {port: 8000, path: /up}
    steady: 3
"""

RETURN = r"""
container:
  description: The one that is not ready.
  returned: failure
  type: str
log:
  description: Its last log lines.
  returned: failure
  type: list
  elements: str
"""

import http.client
import time
import typing as t
from dataclasses import dataclass

from ansible.module_utils.basic import AnsibleModule

POLL = 0.5
# So often may one be restarted before it answers
RESTARTS = 2
LINES = "20"
FORM = "{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}} {{.State.OOMKilled}}"
ARGUMENTS: dict[str, t.Any] = {
    "names": {"type": "list", "elements": "str", "required": True},
    "health": {
        "type": "dict",
        "default": {},
        "options": {
            "address": {"type": "str", "default": "127.0.0.1"},
            "port": {"type": "int", "default": 80},
            "path": {"type": "str", "default": ""},
            "headers": {"type": "dict", "default": {}},
            "statuses": {"type": "list", "elements": "int", "default": [200]},
            "status": {"type": "str", "default": "200"},
            "timeout": {"type": "int", "default": 5},
        },
    },
    "timeout": {"type": "int", "default": 60},
    "steady": {"type": "int", "default": 0},
    "started": {"type": "bool", "default": True},
}


class NotReadyError(Exception):
    """A container is not ready, and why."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(why)
        self.name = name


@dataclass
class State:
    """What the engine says of a container."""

    status: str = "gone"
    restarts: int = 0
    code: int = 0
    killed: bool = False

    @classmethod
    def read(cls, text: str) -> State:
        status, restarts, code, killed = text.split()
        return cls(status, int(restarts), int(code), killed == "true")

    @property
    def ended(self) -> bool:
        """Whether it is over, and the engine does not start it again."""
        return self.status in ("gone", "exited", "dead", "removing", "created")

    def __str__(self) -> str:
        said = "gone" if self.status == "gone" else f"{self.status}, restarted {self.restarts} times"
        if self.killed:
            return f"{said}, and was killed because it used more memory than it may"
        return f"{said}, last exit code {self.code}" if self.code else said


def verdict(name: str, state: State, before: int, *, has_path: bool, answered: bool = False, steady: int = 0) -> str:
    """Why there is nothing more to wait for; empty where there is. `before`: restarts that do not count."""
    restarts = state.restarts - before
    if answered:
        if state.status != "running" or restarts:
            return f"did not stay up for {steady} s: its container is {state}."
    elif state.ended:
        return f"ended: its container is {state}."
    elif restarts > (RESTARTS if has_path else 0) or (state.status == "restarting" and not has_path):
        return f"ends again and again: its container is {state}."
    return ""


def ask(health: dict[str, t.Any]) -> str:
    """Why the answer is not a yes; empty where it is."""
    connection = http.client.HTTPConnection(health["address"], health["port"], timeout=health["timeout"])
    try:
        connection.request("GET", health["path"], headers=health["headers"])
        status = connection.getresponse().status
    except TimeoutError:
        return f"no answer in {health['timeout']} s"
    except (OSError, http.client.HTTPException) as error:
        return str(getattr(error, "strerror", "") or error or type(error).__name__).lower()
    finally:
        connection.close()
    return "" if status in health["statuses"] else f"it answered {status}"


class Engine:
    """Asks the container engine by its command."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module

    def state(self, name: str) -> State:
        status, said, errors = self.module.run_command(["docker", "container", "inspect", "--format", FORM, name])
        if status == 0:
            return State.read(said)
        if "no such container" in errors.lower():
            return State()
        raise NotReadyError(name, f"could not be looked at: {errors.strip()}")

    def log(self, name: str) -> list[str]:
        """The last lines of both outputs, in the order in which they were written."""
        words = ["sh", "-c", 'docker logs --tail "$1" "$2" 2>&1', "sh", LINES, name]
        status, said, _errors = self.module.run_command(words)
        return said.splitlines() if status == 0 else []


def wait(engine: Engine, names: list[str], health: dict[str, t.Any], timeout: int, steady: int, started: bool) -> None:
    """Return when all are ready."""
    before = {name: 0 if started else engine.state(name).restarts for name in names}
    where = f"{health['status']} at http://{health['address']}:{health['port']}{health['path']}"

    def look(**how: t.Any) -> bool:
        """Whether all run."""
        states = {name: engine.state(name) for name in names}
        for name, state in states.items():
            has_path = bool(health["path"]) and name == names[0]
            if why := verdict(name, state, before[name], has_path=has_path, **how):
                raise NotReadyError(name, why)
        before_answer.update({name: state.restarts for name, state in states.items()})
        return all(state.status == "running" for state in states.values())

    before_answer: dict[str, int] = {}
    deadline = time.monotonic() + timeout
    while True:
        runs = look()
        answer = ask(health) if health["path"] else "" if runs else "it does not run"
        if not answer:
            break
        if time.monotonic() >= deadline:
            what = f"did not answer {where}" if health["path"] else "did not run"
            raise NotReadyError(names[0], f"{what} within {timeout} s: {answer}.")
        time.sleep(POLL)
    if steady:
        before = dict(before_answer)
        deadline = time.monotonic() + steady
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(POLL, left))
            look(answered=True, steady=steady)
        if health["path"] and (answer := ask(health)):
            raise NotReadyError(names[0], f"answered {where}, and {steady} s later did not: {answer}.")


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    # Without the argument, its defaults are not there
    health = {key: one["default"] for key, one in ARGUMENTS["health"]["options"].items()} | (given["health"] or {})
    engine = Engine(module)
    try:
        wait(engine, given["names"], health, given["timeout"], given["steady"], given["started"])
    except NotReadyError as error:
        module.fail_json(msg=str(error), container=error.name, log=engine.log(error.name))
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
