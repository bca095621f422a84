# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shop as its customers and its operators see it."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from support import REPO
from support.measure import Request, load
from support.service import Service
from support.waiting import wait_until

NAME, DOMAIN = "shop", "shop.example.org"
INVENTORY = REPO / "molecule" / "own-app" / "inventory" / "digitalocean.yml"
# Pages a second, and orders; the droplets share the machine with the client
RATE, ORDERS = 20, 4
Done = subprocess.CompletedProcess[str]
_numbers = itertools.count(1)


@dataclass
class Business:
    """What customers did while something happened."""

    requests: list[Request]
    orders: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[Request]:
        return [request for request in self.requests if request.status != 200]


class Shop(Service):
    """The service of this scenario's inventory."""

    def ask(self, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(self.public_address("lb-1"), context=context, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"Host": DOMAIN})
            response = connection.getresponse()
            return response.status, response.read()

    def state(self) -> dict[str, Any]:
        status, text = self.ask("/state")
        assert status == 200, text
        return dict(json.loads(text))

    def playbook(self, name: str, **variables: object) -> Done:
        return self.play(f"playbooks/{name}.yml", "--extra-vars", json.dumps(variables))

    def image(self, release: str) -> str:
        return f"{self.private_address('lb-1')}:5000/me/shop:{release}"

    def private_address(self, name: str) -> str:
        return str(self.hostvars[name]["private_address"])

    def containers(self) -> dict[str, dict[str, str]]:
        """The release of each container, by host and name, without the digest."""
        form = '{{.Names}} {{.Label "alphacoder.scaleout.release"}} {{.State}}'
        seen = {}
        for host in self.group("app"):
            lines = self.host(host).check_output("docker ps --all --format %s", form).splitlines()
            seen[host] = {
                name: image.partition("@")[0].rpartition(":")[2] if state == "running" else state
                for name, image, state in map(str.split, lines)
            }
        return seen

    def all_run(self, release: str) -> bool:
        """Whether each host has all that it should have of this release, and nothing else."""
        names = [NAME, *(f"{NAME}-worker-{number}" for number in (1, 2))]
        wanted = {host: dict.fromkeys(names, release) for host in self.group("app")}
        wanted[self.group("app")[0]][f"{NAME}-clock-1"] = release
        return self.containers() == wanted

    @contextlib.contextmanager
    def open(self) -> Iterator[Business]:
        """Customers come and order while the block runs; each order is done once it is over."""
        over = threading.Event()
        with load(f"https://{self.public_address('lb-1')}/", RATE, host=DOMAIN) as requests:
            business = Business(requests)

            def order() -> None:
                while not over.wait(1 / ORDERS):
                    number = f"order-{next(_numbers)}"
                    status, _ = self.ask(f"/order/{number}")
                    (business.orders if status == 200 else business.refused).append(number)
                    # What the page needs comes from whichever server is asked
                    release = self.ask("/")[1].decode().split()[0]
                    if self.ask(f"/public/shop-{release}.js") != (200, f"// {release}\n".encode()):
                        business.refused.append(f"shop-{release}.js")

            thread = threading.Thread(target=order)
            thread.start()
            try:
                yield business
            finally:
                over.set()
                thread.join()
        wait_until("every order is worked on", lambda: not self.state()["waiting"], 60)
        wait_until("every order is done", lambda: set(business.orders) <= self.state()["done"].keys(), 60)

    def done(self) -> Counter[str]:
        """How often each order was done."""
        return Counter(self.state()["done"])
