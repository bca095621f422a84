# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The greeting app behind two load balancers, as its visitors, its operators and its hosts see it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from support import REPO
from support.measure import Request, Watch, load
from support.service import Service, Visitor
from support.waiting import wait_until

NAME = "greeting"
PORT = 8081
LOCK = "/run/alphacoder-scaleout.lock"
SCENARIO = REPO / "molecule" / "app"
# Where prepare.yml writes the images
ARCHIVES = REPO / ".cache" / f"greeting-{os.environ.get('LAB', '')}"
INVENTORY = SCENARIO / "inventory" / "digitalocean.yml"
# Requests a second at each load balancer; the droplets share the machine with the client
RATE = 40
Done = subprocess.CompletedProcess[str]


class Guest(Visitor):
    """A visitor of the greeting app."""

    def hold(self, address: str) -> tuple[int, str]:
        """Ask for what is answered once somebody asks for /let-go."""
        return self.get(address, "/hold", timeout=180)

    def server(self, address: str) -> str:
        """Who answers with the greeting."""
        status, text = self.get(address, "/")
        assert (status, text[:11]) == (200, "Hello from "), text
        return text.removeprefix("Hello from ").strip()


@dataclass
class Seen:
    """What was seen while something happened: requests of visitors, and the servers' states on each load balancer."""

    began: float
    # By load balancer
    requests: dict[str, list[Request]]
    views: dict[str, list[tuple[float, dict[str, str]]]]

    @property
    def failed(self) -> list[Request]:
        return [request for requests in self.requests.values() for request in requests if request.status != 200]

    def state(self, balancer: str, server: str, at: float) -> str:
        """The server's state on that load balancer at that time."""
        return [view for since, view in self.views[balancer] if since <= at][-1].get(server, "")

    def first(self, balancer: str, server: str, *states: str, after: float = 0.0) -> float:
        """When the server was first seen in one of the states there, after that time."""
        return next(at for at, view in self.views[balancer] if at > max(after, self.began) and view[server] in states)

    def states(self, server: str) -> set[str]:
        """The states that the server was in, on any load balancer."""
        return {view[server] for views in self.views.values() for _, view in views if server in view}


class Greeting(Service):
    """The service of this scenario's inventory."""

    def refresh(self) -> None:
        """Forget which droplets there are."""
        for name in ("hostvars", "_inventory"):
            self.__dict__.pop(name, None)

    @property
    def balancers(self) -> list[str]:
        return self.group("lb")

    def private_address(self, name: str) -> str:
        return self.hostvars[name]["private_address"]

    def inspect(self, name: str, form: str) -> str:
        return self.host(name).check_output("docker inspect --format %s %s", form, NAME)

    def containers(self) -> dict[str, str]:
        """The id of each app server's container."""
        return {name: self.inspect(name, "{{.Id}}") for name in self.group("app")}

    def releases(self) -> dict[str, str]:
        return {name: self.inspect(name, "{{.Config.Image}}") for name in self.group("app")}

    def stopped(self, name: str, since: float) -> float:
        """When the app's container was told to stop."""
        form = "{{.TimeNano}} {{.Action}} {{.Actor.Attributes.name}}"
        lines = self.host(name).check_output(
            "docker events --since %s --until %s --format %s", f"{since:.0f}", f"{time.time() + 1:.0f}", form
        )
        found = [line.split() for line in lines.splitlines()]
        return next(int(at) / 1e9 for at, *what in found if what == ["kill", NAME])

    def sessions(self, balancer: str, server: str) -> int:
        return next(int(row["scur"]) for row in self.stats(balancer) if row["svname"] == server)

    def states(self) -> dict[str, set[str]]:
        """The states of each server, on all load balancers."""
        views = [self.servers(balancer) for balancer in self.balancers]
        return {server: {view[server] for view in views} for server in views[0]}

    def lock(self) -> str:
        """What the lock says; empty if nobody holds it."""
        return self.host(self.balancers[0]).run("readlink %s", LOCK).stdout.strip()

    def playbook(self, name: str, *arguments: str, **variables: object) -> Done:
        """Run a playbook of the collection with these variables."""
        return self.play(f"playbooks/{name}.yml", "--extra-vars", json.dumps(variables), *arguments)

    def role(self, **variables: object) -> Done:
        """Run role app alone, on the first app server."""
        return self.play(str(SCENARIO / "role.yml"), "--extra-vars", json.dumps(variables))

    @contextlib.contextmanager
    def meanwhile(self, name: str, **variables: object) -> Iterator[Future[Done]]:
        """Run a playbook, and the block as soon as it holds the lock."""
        before = self.lock()
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(self.playbook, name, **variables)
            wait_until(f"{name} holds the lock", lambda: self.lock() != before or run.done(), 120)
            assert not run.done(), run.result().stdout
            yield run

    @contextlib.contextmanager
    def visited(self) -> Iterator[Seen]:
        """Visitors come to both load balancers while the block runs; what is seen is complete afterwards."""
        with contextlib.ExitStack() as stack:
            watches = {name: stack.enter_context(Watch(self, name)) for name in self.balancers}
            requests = {
                name: stack.enter_context(load(f"http://{self.public_address(name)}/", RATE)) for name in self.balancers
            }
            yield Seen(time.time(), requests, {name: watch.views for name, watch in watches.items()})
