# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API of a lab in this process, over an engine in memory."""

from __future__ import annotations

from typing import Any

from fake_engine import Clock, FakeEngine, Work

from lab.api import create_app
from lab.droplets import Droplets, Settings
from lab.state import lab as lab_named

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZvb2Jhcm9mYWxsdGhlZm9vYmFyc3RoaXNpc29uZSEh me@here"
ORDER = {"size": "s-1vcpu-1gb", "image": "debian-13-x64", "region": "fra1"}
UNLIMITED = Settings(rate_per_minute=10_000, key_lists_per_minute=10_000)


class Service:
    """One service over an engine; restart() makes another over the same."""

    def __init__(self, settings: Settings = UNLIMITED) -> None:
        self.clock = Clock()
        self.engine = FakeEngine(self.clock)
        self.settings = settings
        self.restart()

    def restart(self) -> None:
        self.work = Work()
        self.droplets = Droplets(lab_named("test"), self.engine, self.settings, self.clock, self.work)
        app = create_app(self.droplets, "secret")
        self.droplets.resume()
        self.client = app.test_client()

    def call(self, method: str, path: str, body: Any = None, token: str = "secret") -> Any:
        return self.client.open("/v2" + path, method=method, json=body, headers={"Authorization": f"Bearer {token}"})

    def get(self, path: str) -> Any:
        reply = self.call("GET", path)
        assert reply.status_code == 200, reply.text
        return reply.json

    def create(self, *names: str, **fields: Any) -> list[int]:
        reply = self.call("POST", "/droplets", {**ORDER, "names": list(names), **fields})
        assert reply.status_code == 202, reply.text
        return [droplet["id"] for droplet in reply.json["droplets"]]

    def created(self, *names: str, **fields: Any) -> list[int]:
        """Creates droplets and lets all lags pass."""
        ids = self.create(*names, **fields)
        self.work.run()
        self.clock.now += 5
        return ids

    def names(self, query: str = "") -> list[str]:
        return [droplet["name"] for droplet in self.get("/droplets" + query)["droplets"]]


def refused(reply: Any, status: int, text: str = "") -> None:
    assert reply.status_code == status, reply.text
    assert set(reply.json) >= {"id", "message"}
    assert text in reply.json["message"]
