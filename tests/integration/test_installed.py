# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as ansible-galaxy installs it, used by name from a project that is not this checkout.

The whole service runs on one droplet, which is in every group.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

REPO = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
DEPENDENCIES = REPO / ".build" / "collections" / "ansible_collections" / "community"
# All that the tarball holds at its top
SHIPPED = {
    "CHANGELOG.rst",
    "FILES.json",
    "LICENSE",
    "MANIFEST.json",
    "README.md",
    "ansible.cfg",
    "changelogs",
    "inventory",
    "meta",
    "playbooks",
    "plugins",
    "roles",
}
NEVER = {".pyc", ".key", ".pem", ".gz", ".whl", ".png", ".log"}
CONFIGURATION = "[defaults]\ninventory = inventory/digitalocean.yml\ncollections_path = collections\n"
ONE_DROPLET: dict[str, Any] = {
    "scaleout_region": "fra1",
    "scaleout_pools": [
        {"name": "one", "count": 1, "size": "s-1vcpu-2gb", "tags": ["lb", "app", "postgresql", "redis"]},
    ],
}


class Project:
    """A user's folder with an inventory, and the collection in a path of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.collection = folder / "collections" / "ansible_collections" / "alphacoder" / "scaleout"

    def run(self, *command: str, fails: bool = False) -> str:
        """Run one of Ansible's commands there; return what it said on both channels."""
        environment = {
            name: value for name, value in os.environ.items() if name not in ("ANSIBLE_CONFIG", "PYTHONPATH")
        }
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            cwd=self.folder,
            env={**environment, "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert (done.returncode != 0) == fails, done.stdout
        assert "Traceback" not in done.stdout
        return done.stdout

    def playbook(self, name: str, *arguments: str, fails: bool = False) -> str:
        return self.run("ansible-playbook", f"alphacoder.scaleout.{name}", *arguments, fails=fails)

    def install(self, source: str) -> None:
        self.folder.mkdir()
        (self.folder / "ansible.cfg").write_text(CONFIGURATION)
        # No server is asked: what it depends on is there
        self.run("ansible-galaxy", "collection", "install", source, "--no-deps", "-p", "collections")
        (self.collection.parents[1] / "community").symlink_to(DEPENDENCIES)
        shutil.copytree(self.collection / "inventory", self.folder / "inventory")
        own = self.folder / "inventory" / "group_vars" / "all.yml"
        own.write_text(yaml.safe_dump(yaml.safe_load(own.read_text()) | ONE_DROPLET))


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    command = [str(BIN / "ansible-galaxy"), "collection", "build", "--output-path", str(folder)]
    subprocess.run(command, cwd=REPO, check=True, capture_output=True)
    (file,) = folder.glob("alphacoder-scaleout-*.tar.gz")
    return file


@pytest.fixture(scope="module")
def project(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One with the tarball installed, and the service running."""
    project = Project(tmp_path_factory.mktemp("tarball") / "project")
    project.install(str(tarball))
    project.playbook("provision")
    project.playbook("site")
    return project


def address(project: Project) -> str:
    inventory = json.loads(
        project.run("ansible-inventory", "--list"), object_hook=lambda value: value.get("__ansible_unsafe", value)
    )
    assert inventory["lb"]["hosts"] == inventory["app"]["hosts"] == ["one-1"]
    return inventory["_meta"]["hostvars"]["one-1"]["do_public_ipv4"]


def total(project: Project) -> int:
    with urllib.request.urlopen(f"http://{address(project)}/api/hits", timeout=10) as response:
        answer = json.load(response)
    assert answer["instance"] == "one-1"
    return answer["total"]


def test_tarball_is_small_and_holds_nothing_else(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        names = archive.getnames()

    assert {name.split("/")[0] for name in names} <= SHIPPED
    assert [name for name in names if Path(name).suffix in NEVER] == []
    assert tarball.stat().st_size < 400_000


def changed(said: str) -> set[str]:
    """How many tasks changed something, on each host."""
    return set(re.findall(r"\bchanged=(\d+)", said.split("PLAY RECAP")[1]))


def status_of_a_page(project: Project) -> int:
    try:
        with urllib.request.urlopen(f"http://{address(project)}/api/hits", timeout=10) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def test_service_is_brought_up_by_name(project: Project) -> None:
    assert total(project) == total(project) - 1


def test_playbooks_run_by_name(project: Project) -> None:
    before = total(project)
    assert "Nothing differs from the inventory." in project.playbook("status")
    project.playbook("maintenance", "-e", "state=maint")
    assert status_of_a_page(project) == 503
    project.playbook("maintenance", "-e", "state=ready")
    assert status_of_a_page(project) == 200
    # Where nothing is to be deployed
    project.playbook("deploy")
    assert "no former release" in project.playbook("rollback", fails=True)
    project.playbook("scale", "-e", "app_count=1", "--check")
    assert "  hits:" in project.playbook("releases")
    assert "ok: [one-1]" in project.playbook("logs", "-e", "follow=yes", "-e", "follow_seconds=1")
    assert "one-1" in project.playbook("exec", "-e", '{"command": "printenv INSTANCE_ID"}')
    assert "DATABASE_URL=postgresql://hits:***@" in project.playbook("exec", "-e", "command=env", "-e", "new=yes")
    # The page that was seen after maintenance, and this one
    assert total(project) == before + 2


def test_provision_takes_the_keys_it_is_given_and_removes_no_more_than_it_may(project: Project) -> None:
    def provision(count: int, fails: bool = False, **settings: object) -> str:
        pools = [{**pool, "count": count} for pool in ONE_DROPLET["scaleout_pools"]]
        extra = json.dumps({"scaleout_pools": pools, **settings})
        return " ".join(project.playbook("provision", "--check", "-e", extra, fails=fails).split())

    assert "nobody" in provision(2, fails=True, scaleout_ssh_keys=["nobody"])
    assert "max_removals is 0" in provision(0, fails=True)
    assert changed(provision(0, scaleout_max_removals=1)) == {"0", "1"}


def test_modules_and_roles_are_found_by_name(project: Project) -> None:
    said = project.run("ansible", "lb", "-m", "alphacoder.scaleout.haproxy_info", "-a", "backend=app")
    assert '"name": "one-1"' in said
    for kind, name in [
        ("inventory", "droplets"),
        ("module", "droplet_pool"),
        ("module", "haproxy_server"),
        ("role", "app"),
    ]:
        # What it does not find it names as well, and succeeds
        said = project.run("ansible-doc", "-t", kind, f"alphacoder.scaleout.{name}")
        assert re.match(rf"> {kind.upper()}:? .*{name}", said), said


def test_clone_does_the_same(project: Project, tmp_path: Path) -> None:
    clone = Project(tmp_path / "project")
    clone.install(f"git+file://{REPO}")
    # Of the same service: its secrets
    shutil.copytree(project.folder / ".secrets", clone.folder / ".secrets")

    assert changed(clone.playbook("site")) == {"0"}
    assert "Nothing differs from the inventory." in clone.playbook("status")


def test_only_server_is_replaced_beside_itself(project: Project) -> None:
    url = f"http://{address(project)}/api/hits"
    statuses = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            with urllib.request.urlopen(url, timeout=10) as response:
                statuses.append(response.status)

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        try:
            said = project.playbook("site", "-e", "app_stop_timeout=9")
        finally:
            done.set()
        # Raises what a request that failed raised
        asked.result()

    assert changed(said) != {"0"}
    assert len(statuses) > 100
