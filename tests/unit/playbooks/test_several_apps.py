# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/examples/several-apps in runs of the playbooks, before any host is asked: each run is for one app."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_app import app_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_apps import apps_problems
from support import REPO

EXAMPLE = REPO / "docs" / "examples" / "several-apps"
PAGE = (REPO / "docs" / "several-apps.md").read_text()
# Nobody answers there: a play that connected would fail, and say so
HOSTS = """\
all:
  vars: {ansible_host: 127.0.0.1, ansible_port: 9, private_address: 10.0.0.1, vault_shop_database_url: "postgresql://x"}
  children:
    lb: {hosts: {lb-1: {}}}
    app: {hosts: {app-1: {private_address: 10.0.0.3}, app-2: {private_address: 10.0.0.4}}}
"""


class Tree:
    """A copy of the example with hosts that are not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "shop"
        shutil.copytree(EXAMPLE, self.folder)
        (self.folder / "inventory" / "digitalocean.yml").unlink()
        (self.folder / "inventory" / "hosts.yml").write_text(HOSTS)

    def change(self, group: str, old: str, new: str) -> None:
        file = self.folder / "inventory" / "group_vars" / f"{group}.yml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def run(self, playbook: str, *arguments: str, fails: bool = False) -> str:
        """Run it; return what it said, in one line."""
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), playbook, *arguments],
            cwd=self.folder,
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(REPO / ".build" / "collections"),
                "NO_COLOR": "1",
                "COLUMNS": "1000",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert "Traceback" not in done.stdout
        assert (done.returncode != 0) == fails, done.stdout
        return " ".join(done.stdout.split())

    def preflight(self, *arguments: str, fails: bool = False) -> str:
        return self.run("alphacoder.scaleout.preflight", *arguments, fails=fails)


def lines(name: str, after: str = "---\n") -> str:
    """What the file of the example says after this."""
    return (EXAMPLE / name).read_text().partition(after)[2]


@pytest.mark.parametrize(
    "text",
    [
        lines("inventory/group_vars/all.yml", "of each app\n"),
        lines("inventory/group_vars/app.yml", "# These follow scaleout_apps\n"),
        lines("inventory/group_vars/lb.yml"),
        lines("apps/blog.yml"),
    ],
)
def test_page_shows_what_the_files_say(text: str) -> None:
    assert text
    assert f"{text}```\n" in PAGE


def test_settings_of_the_page_are_good() -> None:
    blocks = [yaml.safe_load(text) for text in re.findall(r"\n```yaml\n(.*?)```", PAGE, re.DOTALL)]
    settings = [
        one for block in blocks for one in ([play["vars"] for play in block] if isinstance(block, list) else [block])
    ]
    assert len(settings) > 5
    for found in settings:
        own = {name: value for name, value in found.items() if name.startswith("app_") and "{{" not in str(value)}
        assert app_problems(own) == []
        assert apps_problems(found, app="shop") == []


def test_messages_of_the_page_are_those_that_runs_say() -> None:
    sources = (REPO / "plugins" / "plugin_utils").glob("_settings_*.py")
    words = set(re.findall(r"\w+", " ".join(file.read_text() for file in sources)))
    said = re.findall(r"^\| `(.*?)` \|", PAGE[PAGE.index("## Messages") :], re.MULTILINE)
    assert len(said) > 8
    for message in said:
        assert set(re.findall(r"\b[a-z]+\b", message)) - words <= {"shop", "blog", "blgo", "example", "org"}, message


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.mark.slow
def test_each_app_is_one_file_away(tree: Tree) -> None:
    for app in ("shop", "blog"):
        tree.preflight("-e", f"@apps/{app}.yml", "-e", f"release=registry.example.com/me/{app}:1.9")


@pytest.mark.slow
def test_run_that_names_no_app_says_how(tree: Tree) -> None:
    said = "Give it the settings of one, with its app_name, such as -e @apps/shop.yml."
    assert said in tree.preflight(fails=True)
    for playbook, more in (("logs", "lines=1"), ("exec", "command=id"), ("releases", "app_port=80")):
        assert said in tree.run(f"alphacoder.scaleout.{playbook}", "-e", more, fails=True)


@pytest.mark.slow
def test_what_is_wrong_with_the_apps_is_said_at_once(tree: Tree) -> None:
    tree.change("all", "port: 8010\n    hosts", "prot: 8010\n    hosts")
    tree.change("all", "hosts: [shop.example.org, ", "hosts: ['shop.example.org:80', ")
    said = tree.preflight("-e", "@apps/shop.yml", "-e", "app_name=shoop", fails=True)

    assert "scaleout_apps: shop: hosts has 'shop.example.org:80'; it must be a list of host names" in said.replace(
        "''", "'"
    )
    assert "scaleout_apps: blog has prot; did you mean port?" in said
    assert "app_name is shoop, which scaleout_apps does not have; did you mean shop?" in said


@pytest.mark.slow
def test_what_hosts_have_beside_scaleout_apps_is_said_with_the_rest(tree: Tree) -> None:
    tree.change(
        "lb", 'haproxy_use_backend: "{{ scaleout_use_backend }}"', "haproxy_cookie: SERVERID insert indirect nocache"
    )
    tree.change("app", 'app_health: "{{ scaleout_app_health }}"', "app_health_path: /up")
    said = tree.preflight("-e", "@apps/blog.yml", "-e", '{"scaleout_app_port": 8000, "app_tmpfs": "x"}', fails=True)

    assert "scaleout_app_port is 8000, but blog of scaleout_apps has port 8010. Remove" in said
    assert "app_health or app_health_path of blog is not the health of scaleout_apps" in said
    assert "would send nobody to blog, shop of scaleout_apps. Write these lines into group_vars/lb.yml" in said
    assert "haproxy_cookie is for the backend of a single app." in said
    # Of the role's own check
    assert "app_tmpfs is" in said


@pytest.mark.slow
def test_apps_of_some_hosts_only_are_refused(tree: Tree) -> None:
    tree.change("all", "scaleout_apps:", "x:")
    tree.change("lb", "---", "---\nscaleout_apps: {shop: {port: 8000}}")
    said = tree.preflight("-e", "@apps/shop.yml", fails=True)
    assert "scaleout_apps is set for lb-1, and is read for localhost and app, too: move it to" in said


@pytest.mark.slow
def test_playbook_of_one_s_own_has_the_apps_one_after_the_other(tree: Tree) -> None:
    own = [
        {
            "ansible.builtin.import_playbook": "alphacoder.scaleout.preflight",
            "vars": yaml.safe_load((EXAMPLE / "apps" / f"{app}.yml").read_text()) | more,
        }
        for app, more in (("shop", {"deploy_batch": 2}), ("blog", {"deploy_batch": "all"}))
    ]
    (tree.folder / "all.yml").write_text(yaml.safe_dump(own))
    said = tree.run("all.yml", fails=True)

    assert "deploy_batch has 'all'; it must be a number of hosts" in said.replace("''", "'")
    # Said at the end of the second one: the first one was right
    assert said.count("PLAY [Settings]") == 2


@pytest.mark.slow
def test_status_shows_every_app(tree: Tree) -> None:
    said = tree.run("alphacoder.scaleout.status", "-e", f"status_file={tree.folder}/status.json")

    status = yaml.safe_load((tree.folder / "status.json").read_text())
    assert status["backends"] == ["shop", "blog"]
    assert [(app["backend"], app["name"], app["problem"]) for app in status["app_servers"]] == [
        (app, host, "unreachable") for app in ("shop", "blog") for host in ("app-1", "app-2")
    ]
    assert "lb-1: unreachable" in said
    assert "Differs: blog: app-2: unreachable" in said
