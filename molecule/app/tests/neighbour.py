# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another service in the same account, with pools and droplets of the same names."""

from __future__ import annotations

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from support.service import Service, Visitor

NAME = "neighbour"
POOLS = [{"name": "lb", "count": 1, "tags": ["lb"]}, {"name": "app", "count": 1, "tags": ["app"]}]
SERVER = "systemd-run --quiet --unit=neighbour --property=Restart=no python3 -m http.server 80 --directory /srv"


class Neighbour(Service):
    """A web server on each of its droplets, which are made by the playbooks, too."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "digitalocean.yml"
        compose = {"private_address": "do_private_ipv4"}
        content = {"plugin": "alphacoder.scaleout.droplets", "service": NAME, "compose": compose}
        self.source.write_text(yaml.safe_dump(content))
        image = os.environ.get("MOLECULE_IMAGE", "debian-13-x64")
        # As it was when the tests began
        self.before: dict[str, dict[str, Any]] = {}
        self.visited: dict[str, int] = {}
        self.variables = {"scaleout_region": "fra1", "scaleout_image": image, "scaleout_pools": POOLS}

    def playbook(self, name: str, **variables: object) -> str:
        """Run a playbook that must succeed; return what it printed."""
        given = json.dumps({**self.variables, **variables})
        done = self.play("-i", str(self.source), f"playbooks/{name}.yml", "--extra-vars", given)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def droplets(self, service: str = NAME) -> dict[str, dict[str, Any]]:
        """The account's droplets of a service, with what says that they are as they were."""
        found = self._api(f"/droplets?per_page=200&tag_name=service:{service}")["droplets"]
        fields = ("id", "tags", "status", "networks", "created_at")
        return {one["name"]: {field: one[field] for field in fields} for one in found}

    @cached_property
    def addresses(self) -> dict[str, str]:
        return {
            name: next(entry["ip_address"] for entry in one["networks"]["v4"] if entry["type"] == "public")
            for name, one in self.droplets().items()
        }

    def public_address(self, name: str) -> str:
        return self.addresses[name]

    def serve(self) -> None:
        for name in self.addresses:
            self.host(name).check_output(SERVER)

    def answers(self) -> bool:
        return all(Visitor().get(address, "/")[0] == 200 for address in self.addresses.values())

    def visits(self) -> dict[str, int]:
        """How often each server was asked, by anybody; this asks each once more."""
        for address in self.addresses.values():
            assert Visitor().get(address, "/")[0] == 200
        logs = {
            name: self.host(name).check_output("journalctl --unit neighbour --output cat") for name in self.addresses
        }
        return {name: log.count('"GET ') for name, log in logs.items()}
