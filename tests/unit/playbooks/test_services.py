# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two environments in one account, as docs/environments.md has them: no run with one's inventory touches the other's.

The playbooks are the real ones, by their full names; the API is a simulated one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from support import REPO
from support.fake_api import TOKEN, FakeApi, SshListener, droplet

BIN = Path(sys.executable).parent
EXAMPLE = REPO / "docs" / "examples" / "environments"
# The pool module waits until each droplet answers at port 22, which nobody may listen at here
ANSWER_FOR_ALL = """\
import socket

connect = socket.create_connection


def create_connection(address, *arguments, **options):
    return connect(("127.0.0.1", {port}) if address[1] == 22 else address, *arguments, **options)


socket.create_connection = create_connection
"""
PASSWORDS = ("vault_postgresql_password", "vault_redis_password", "vault_redis_admin_password")
STAGING = ["app-1", "data-1", "lb-1"]
PRODUCTION = ["app-1", "app-2", "app-3", "app-4", "data-1", "lb-1"]


class Shop:
    """A copy of the example, and its account."""

    def __init__(self, folder: Path, api: FakeApi, ssh: SshListener) -> None:
        self.folder, self.api = folder / "shop", api
        shutil.copytree(EXAMPLE, self.folder, symlinks=True)
        (folder / "python").mkdir()
        (folder / "python" / "sitecustomize.py").write_text(ANSWER_FOR_ALL.format(port=ssh.port))
        identities = []
        for environment in ("staging", "production"):
            password = folder / f"{environment}.vault"
            password.write_text(f"of {environment}\n")
            identities.append(f"{environment}@{password}")
        self.environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(REPO / ".build" / "collections"),
            "ANSIBLE_VAULT_IDENTITY_LIST": ",".join(identities),
            "DIGITALOCEAN_API_URL": api.url,
            "DIGITALOCEAN_TOKEN": TOKEN,
            "PYTHONPATH": str(folder / "python"),
            "NO_COLOR": "1",
            "COLUMNS": "1000",
        }
        self.environment.pop("ANSIBLE_CONFIG", None)
        for environment in ("staging", "production"):
            file = self.inventory(environment) / "group_vars" / "all" / "vault.yml"
            text = yaml.safe_dump({name: f"{name}-of-{environment}" for name in PASSWORDS})
            secret = VaultSecret(f"of {environment}".encode())
            file.write_bytes(VaultLib([(environment, secret)]).encrypt(text, vault_id=environment))

    def inventory(self, environment: str) -> Path:
        return self.folder / "inventories" / environment

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert "Traceback" not in done.stdout
        assert TOKEN not in done.stdout
        return done

    def playbook(self, name: str, environment: str, *arguments: str, fails: bool = False) -> str:
        """Run it; return what it said, in one line."""
        inventory = str(self.inventory(environment))
        done = self.run("ansible-playbook", "-i", inventory, f"alphacoder.scaleout.{name}", *arguments)
        assert (done.returncode != 0) == fails, done.stdout
        return " ".join(done.stdout.split())

    def droplets(self, service: str | None) -> list[dict[str, Any]]:
        """The account's droplets of a service, or of none, as they are now."""
        found = [
            one
            for one in self.api.droplets
            if (f"service:{service}" if service else "service:") in (tag if service else tag[:8] for tag in one["tags"])
        ]
        if service is None:
            found = [one for one in self.api.droplets if one not in found]
        copy: list[dict[str, Any]] = json.loads(json.dumps(sorted(found, key=lambda one: str(one["name"]))))
        return copy

    def names(self, service: str | None) -> list[str]:
        return [one["name"] for one in self.droplets(service)]

    def hosts(self, environment: str) -> dict[str, list[str]]:
        done = self.run("ansible-inventory", "-i", str(self.inventory(environment)), "--list")
        assert done.returncode == 0, done.stdout
        shown = json.loads(done.stdout[done.stdout.index("{") :])
        return {group: shown[group]["hosts"] for group in ("lb", "app", "postgresql", "redis")}

    def make_old(self) -> list[dict[str, Any]]:
        """The account of somebody who has had production since before there were services."""
        for number, pool, tags in [
            (1, "lb", ["lb"]),
            (1, "app", ["app"]),
            (2, "app", ["app"]),
            (3, "app", ["app"]),
            (4, "app", ["app"]),
            (1, "data", ["postgresql", "redis"]),
        ]:
            name, size = f"{pool}-{number}", "s-2vcpu-4gb" if pool == "data" else "s-1vcpu-1gb"
            here = [f"pool:{pool}", "scaleout", *tags]
            self.api.droplets.append(droplet(500 + len(self.api.droplets), name, tags=here, size_slug=size))
        return self.droplets(None)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    api, ssh = FakeApi(), SshListener()
    yield Shop(tmp_path, api, ssh)
    api.close()
    ssh.close()


def changed(said: str) -> bool:
    return set(re.findall(r"\bchanged=(\d+)", said)) != {"0"}


@pytest.mark.slow
def test_two_environments_leave_each_other_alone(shop: Shop) -> None:
    said = shop.playbook("provision", "production")
    assert shop.names("shop-production") == PRODUCTION, said
    production = shop.droplets("shop-production")
    assert {tag for one in production for tag in one["tags"] if tag.startswith("service:")} == {
        "service:shop-production"
    }

    shop.playbook("provision", "staging")
    assert shop.names("shop-staging") == STAGING
    assert not changed(shop.playbook("provision", "staging"))
    assert shop.hosts("staging") == {"lb": ["lb-1"], "app": ["app-1"], "postgresql": ["data-1"], "redis": ["data-1"]}
    assert shop.hosts("production")["app"] == ["app-1", "app-2", "app-3", "app-4"]

    shop.playbook("provision", "staging", "-e", "app_count=3")
    assert shop.names("shop-staging") == ["app-1", "app-2", "app-3", "data-1", "lb-1"]
    shop.playbook("provision", "staging", "-e", "app_count=1 scaleout_max_removals=2")
    assert shop.names("shop-staging") == STAGING
    shop.playbook("adopt", "staging", "-e", "scaleout_adopt=shop-staging")
    said = shop.playbook("destroy", "staging", "-e", "scaleout_destroy=shop-staging")
    assert "Of service shop-staging: lb-1, app-1, data-1" in said
    assert shop.names("shop-staging") == []
    assert shop.droplets("shop-production") == production
    assert not changed(shop.playbook("provision", "production"))


@pytest.mark.slow
def test_scale_plans_with_its_own(shop: Shop) -> None:
    shop.playbook("provision", "production")
    shop.playbook("provision", "staging")
    before = json.dumps(shop.api.droplets)
    # Nobody answers at the load balancer's address, which comes after the plan
    said = shop.playbook("scale", "staging", "-e", "app_count=3 ansible_host=127.0.0.1 ansible_port=9", fails=True)
    assert "To be made: app-2, app-3" in said, said
    assert json.dumps(shop.api.droplets) == before


@pytest.mark.slow
def test_destroy_wants_the_name_of_the_service(shop: Shop) -> None:
    shop.playbook("provision", "staging")
    before = shop.droplets("shop-staging")
    for given in ("yes", "shop-production"):
        said = shop.playbook("destroy", "staging", "-e", f"scaleout_destroy={given}", fails=True)
        assert "To go on, name the service: -e scaleout_destroy=shop-staging instead of " in said
    said = shop.playbook("destroy", "staging", fails=True)
    assert "This would remove lb-1, app-1, data-1 of service shop-staging, and all that is on them." in said
    said = shop.playbook("destroy", "staging", "--check", "--diff")
    assert "Of service shop-staging: lb-1, app-1, data-1" in said
    for name in STAGING:
        assert said.count(f'- "{name}": {{') == 1, said
    assert shop.droplets("shop-staging") == before
    # Where nothing is left, nothing is asked; but another service's name is not taken for done
    shop.playbook("destroy", "staging", "-e", "scaleout_destroy=shop-staging")
    assert not changed(shop.playbook("destroy", "staging"))
    shop.playbook("destroy", "staging", "-e", "scaleout_destroy=shop-production", fails=True)


@pytest.mark.slow
def test_droplets_of_before_are_adopted_and_until_then_left_alone(shop: Shop) -> None:
    shop.make_old()
    shop.api.droplets.append(droplet(600, "web-9", tags=["scaleout", "app"]))
    old = shop.droplets(None)
    for playbook, arguments in [
        ("provision", []),
        ("provision", ["--check"]),
        ("destroy", ["-e", "scaleout_destroy=shop-production"]),
    ]:
        said = shop.playbook(playbook, "production", *arguments, fails=True)
        assert "have the tag pool:app, but are of no service" in said
        assert "ansible-playbook playbooks/adopt.yml, or alphacoder.scaleout.adopt" in said
    for playbook in ("site", "deploy"):
        said = shop.playbook(playbook, "production", fails=True)
        assert "No host in groups app, lb." in said
        assert "made before there were services: lb-1, app-1, app-2" in said
        assert "If they are of service shop-production, adopt them: ansible-playbook playbooks/adopt.yml" in said
    assert shop.droplets(None) == old

    said = shop.playbook("adopt", "production", fails=True)
    assert "This would make lb-1, app-1, app-2, app-3, app-4, data-1 the droplets of service shop-production." in said
    said = shop.playbook("adopt", "production", "-e", "scaleout_adopt=shop-staging", fails=True)
    assert "-e scaleout_adopt=shop-production instead of shop-staging" in said
    said = shop.playbook("adopt", "production", "--check", "--diff")
    assert said.count('+ "service:shop-production"') == 6, said
    assert "They had the tag scaleout, too, but are in none of these pools: web-9." in said
    assert shop.droplets(None) == old
    assert shop.api.changes() == []

    assert changed(shop.playbook("adopt", "production", "-e", "scaleout_adopt=shop-production"))
    assert shop.names("shop-production") == PRODUCTION
    assert shop.names(None) == ["web-9"]
    assert [[tag for tag in one["tags"] if tag[:8] != "service:"] for one in shop.droplets("shop-production")] == [
        one["tags"] for one in old[:-1]
    ]
    # In each of these orders, nothing is left to do, and the new environment stands beside it
    assert not changed(shop.playbook("adopt", "production"))
    assert not changed(shop.playbook("provision", "production"))
    assert shop.hosts("production")["app"] == ["app-1", "app-2", "app-3", "app-4"]
    shop.playbook("provision", "staging")
    assert shop.names("shop-staging") == STAGING


@pytest.mark.slow
def test_inventory_of_before_is_refused(shop: Shop) -> None:
    """One that lists every droplet with the tag scaleout, and names no service."""
    shop.make_old()
    file = shop.inventory("production") / "digitalocean.yml"
    file.write_text(file.read_text().replace("service: shop-production", "tag: scaleout"))
    for playbook in ("provision", "destroy", "adopt", "site", "deploy", "maintenance", "restore"):
        said = shop.playbook(playbook, "production", fails=True)
        assert "scaleout_service is not set, so nothing says which service this is." in said
        assert "write service: NAME into inventory/digitalocean.yml, in place of tag: scaleout" in said
    # And with the service in group_vars only
    for playbook in ("site", "maintenance", "restore"):
        said = shop.playbook(playbook, "production", "-e", "scaleout_service=shop-production", fails=True)
        assert "lb-1" in said
        assert "of no service, because they were made before there were services" in said
    assert shop.api.changes() == []


@pytest.mark.parametrize("playbook", ["provision", "destroy", "adopt", "site", "maintenance"])
def test_two_names_of_the_service_are_refused(shop: Shop, playbook: str) -> None:
    own = shop.inventory("staging") / "group_vars" / "all" / "main.yml"
    own.write_text(own.read_text() + "scaleout_service: shop-production\n")
    shop.make_old()
    said = shop.playbook(playbook, "staging", fails=True)
    assert "scaleout_service is shop-production, but the inventory is that of service shop-staging" in said
    assert shop.api.changes() == []


def test_both_inventories_in_one_run_are_refused(shop: Shop) -> None:
    said = shop.playbook("provision", "staging", "-i", str(shop.inventory("production")), fails=True)
    assert "another file of this run is that of" in said
    assert shop.api.changes() == []


@pytest.mark.parametrize("playbook", ["provision", "destroy", "adopt"])
def test_bad_pools_are_refused(shop: Shop, playbook: str) -> None:
    said = shop.playbook(playbook, "staging", "-e", '{"scaleout_pools": [{"name": "app"}]}', fails=True)
    assert "scaleout_pools must be a list of pools, each with at least `name` and `count`" in said


@pytest.mark.slow
def test_each_environment_has_its_own_vault(shop: Shop) -> None:
    shop.playbook("provision", "staging")
    done = shop.run(
        "ansible", "-i", str(shop.inventory("staging")), "app", "-m", "debug", "-a", "var=postgresql_password"
    )
    assert "vault_postgresql_password-of-staging" in done.stdout, done.stdout


@pytest.mark.parametrize("name", ["digitalocean.yml", "group_vars/all/main.yml"])
def test_page_shows_the_file(name: str) -> None:
    lines = (EXAMPLE / "inventories" / "staging" / name).read_text().splitlines()
    text = "".join(f"{line}\n" for line in lines if line != "---" and not line.startswith("#"))
    assert f"\n```yaml\n{text}```\n" in (REPO / "docs" / "environments.md").read_text()
