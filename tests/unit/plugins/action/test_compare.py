# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host is a folder of this machine, asked by a real shell; its package manager and its systemd are fakes."""

from __future__ import annotations

import getpass
import grp
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.task import Task
from ansible.plugins import loader as plugin_loaders
from ansible.template import Templar
from ansible_collections.alphacoder.scaleout.plugins.action.compare import ActionModule

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="hosts have GNU coreutils")

DPKG = """#!/bin/sh
for name; do case $name in
redis-server) echo redis-server installed ;;
removed) echo removed config-files ;;
esac; done
exit 1
"""
SYSTEMCTL = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift
for name; do
  cat "$UNITS/$name" 2>/dev/null || printf 'ActiveState=inactive\\nUnitFileState=\\nStateChangeTimestamp=\\n'
  shift
  [ $# = 0 ] || echo
done
"""
SECRET = "correct-horse"


class Host:
    """A folder with templates and files, and what a task sees of a host."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.etc = folder / "the host's etc"
        self.units = folder / "units"
        self.commands: list[str] = []
        self.variables: dict[str, t.Any] = {"secret": SECRET, "ansible_search_path": [str(folder)]}
        self.folder = folder
        for one in (self.etc, self.units, folder / "bin", folder / "templates", folder / "files"):
            one.mkdir()
        for name, text in (("dpkg-query", DPKG), ("systemctl", SYSTEMCTL)):
            program = folder / "bin" / name
            program.write_text(text)
            program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
        monkeypatch.setenv("UNITS", str(self.units))

    def unit(self, name: str, active: str = "active", boot: str = "enabled", since: str = "") -> None:
        lines = (f"ActiveState={active}", f"UnitFileState={boot}", f"StateChangeTimestamp={since}")
        (self.units / name).write_text("\n".join(lines) + "\n")

    def file(self, name: str, text: str, mode: int = 0o644) -> Path:
        path = self.etc / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def execute(self, command: str, **_options: t.Any) -> dict[str, t.Any]:
        self.commands.append(command)
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
        return {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}

    def compare(self, **arguments: t.Any) -> dict[str, t.Any]:
        loader = DataLoader()
        loader.set_basedir(str(self.folder))
        task = Task()
        task.action, task.args = "alphacoder.scaleout.compare", arguments
        connection = type("Connection", (), {"_shell": type("Shell", (), {"tmpdir": None})})()
        templar = Templar(loader=loader, variables=self.variables)
        action = ActionModule(task, connection, None, loader, templar, plugin_loaders)
        action._low_level_execute_command = self.execute
        result = action.run(task_vars=self.variables)
        assert set(result) - {"changed", "failed"} == {"packages", "files", "services", "stale", "same"}
        assert SECRET not in f"{result}{self.commands}"
        return t.cast("dict[str, t.Any]", result)

    def differ(self, *files: dict[str, t.Any]) -> list[str]:
        """The names of those that differ."""
        entries = [{**file, "dest": str(self.etc / file["dest"])} for file in files]
        return [Path(file["dest"]).name for file in self.compare(files=entries)["files"]]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_nothing_wanted_is_nothing_different(host: Host) -> None:
    expected = {"packages": [], "files": [], "services": [], "stale": [], "same": True, "changed": False}
    assert expected.items() <= host.compare().items()


def test_packages_are_installed_or_named(host: Host) -> None:
    result = host.compare(packages=["redis-server", "removed", "unknown"])
    assert (result["packages"], result["same"]) == (["removed", "unknown"], False)


@pytest.mark.parametrize(
    ("entry", "missing"),
    [("unknown | redis-server", False), ("redis-server|unknown", False), ("unknown | removed", True)],
)
def test_one_of_several_packages_will_do(host: Host, entry: str, missing: bool) -> None:
    assert host.compare(packages=[entry])["packages"] == ([entry] if missing else [])


@pytest.mark.parametrize("name", ["template", "src", "content"])
def test_content_is_what_the_modules_would_write(host: Host, name: str) -> None:
    (host.folder / "templates" / "a.j2").write_text("{% if true %}\nkey {{ secret }}\n{% endif %}\n")
    (host.folder / "files" / "a").write_text(f"key {SECRET}\n")
    entry = {"dest": "with 'quotes' $(and) spaces", name: {"template": "a.j2", "src": "a"}.get(name, f"key {SECRET}\n")}

    assert host.differ(entry) == [entry["dest"]]
    host.file(entry["dest"], f"key {SECRET}\n")
    assert host.differ(entry) == []
    host.file(entry["dest"], f"key {SECRET}")
    assert host.differ(entry) == [entry["dest"]]


def test_template_knows_that_ansible_manages_it_and_keeps_json(host: Host) -> None:
    (host.folder / "templates" / "a.j2").write_text("{{ ansible_managed | comment }}\n")
    (host.folder / "templates" / "b.j2").write_text("{{ {'b': 1, 'a': [2]} | to_nice_json(sort_keys=true) }}\n")
    host.file("a", "#\n# Ansible managed\n#\n")
    host.file("b", '{\n    "a": [\n        2\n    ],\n    "b": 1\n}\n')
    assert host.differ({"template": "a.j2", "dest": "a"}, {"template": "b.j2", "dest": "b"}) == []


def test_content_of_data_is_json_and_an_empty_one_is_a_file(host: Host) -> None:
    host.file("data", '{"a": [1]}')
    host.file("empty", "")
    assert host.differ({"content": {"a": [1]}, "dest": "data"}, {"content": "", "dest": "empty"}) == []


def test_entries_come_back_without_their_content(host: Host) -> None:
    dest = str(host.etc / "a")
    [entry] = host.compare(files=[{"content": SECRET, "dest": dest, "mode": "0600", "notify": "Restart"}])["files"]
    assert entry == {"dest": dest, "mode": "0600", "notify": "Restart"}


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"mode": "0640", "owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}, True),
        ({"mode": 0o640, "owner": str(os.getuid()), "group": str(os.getgid())}, True),
        ({"mode": "0644"}, False),
        ({"owner": "nobody"}, False),
        ({"group": "nogroup"}, False),
    ],
)
def test_owner_group_and_mode(host: Host, change: dict[str, t.Any], same: bool) -> None:
    host.file("a", "x", 0o640)
    assert (host.differ({"content": "x", "dest": "a", **change}) == []) is same


def test_states(host: Host) -> None:
    host.file("a", "x")
    (host.etc / "folder").mkdir(mode=0o700)
    (host.etc / "link").symlink_to("folder")
    (host.etc / "link to a").symlink_to("a")
    found = [
        (state, host.differ({"state": state, "dest": name}) == [])
        for state in ("file", "directory", "absent")
        for name in ("a", "folder", "link", "link to a", "nowhere")
    ]
    assert [same for _state, same in found] == [
        *(True, False, False, False, False),
        *(False, True, True, False, False),
        *(False, False, False, False, True),
    ]
    assert host.differ({"content": "x", "dest": "link to a"}) == ["link to a"]
    assert host.differ({"state": "directory", "dest": "link", "mode": "0700"}) == []


@pytest.mark.parametrize(
    ("active", "boot", "wanted", "same"),
    [
        ("active", "enabled", {}, True),
        ("reloading", "generated", {}, True),
        ("active", "static", {}, True),
        ("inactive", "enabled", {}, False),
        ("failed", "enabled", {}, False),
        ("active", "disabled", {}, False),
        ("active", "disabled", {"enabled": False}, True),
        ("inactive", "disabled", {"state": "stopped", "enabled": False}, True),
        ("inactive", "", {"state": "stopped", "enabled": False}, True),
        ("active", "enabled", {"state": "stopped"}, False),
        ("active", "enabled", {"enabled": False}, False),
    ],
)
def test_services_run_and_start_at_boot(
    host: Host, active: str, boot: str, wanted: dict[str, t.Any], same: bool
) -> None:
    host.unit("redis-server", active, boot)
    result = host.compare(services=[{"name": "redis-server", **wanted}])
    assert (result["services"], result["same"]) == ([] if same else ["redis-server"], same)


@pytest.mark.parametrize(
    ("active", "since", "stale"),
    [
        ("active", "Fri 2026-11-27 17:49:47.500000 UTC", []),
        ("active", "Fri 2026-11-27 17:49:47.000000 UTC", ["redis-server"]),
        ("active", "Wed 2025-12-31 23:59:59.999999 UTC", ["redis-server"]),
        # It is to be started, which reads the files
        ("inactive", "", []),
    ],
)
def test_service_older_than_a_file_is_stale(host: Host, active: str, since: str, stale: list[str]) -> None:
    # 2026-11-27 17:49:47.25 UTC
    new, old = host.file("new", "x"), host.file("old", "x")
    os.utime(new, (1795801787.25, 1795801787.25))
    os.utime(old, (1, 1))
    host.unit("redis-server", active, since=since)
    paths = [str(new), str(old), str(host.etc / "nowhere")]
    result = host.compare(services=[{"name": "redis-server", "newer_than": paths}])
    assert (result["stale"], result["same"]) == (stale, not stale and active == "active")


@pytest.mark.skipif(os.getuid() == 0, reason="root reads every file")
def test_file_that_may_not_be_read_is_an_error(host: Host) -> None:
    host.file("a", "x", 0)
    with pytest.raises(AnsibleActionFail, match=r"Could not read .*/a on the host: set become: true"):
        host.differ({"content": "x", "dest": "a"})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"files": [{"dest": "/a", "content": "x", "src": "y"}]}, "/a must have one of template, src, content, state"),
        ({"files": [{"dest": "/a"}]}, "/a must have one of template, src, content, state"),
        ({"files": [{"dest": "a", "content": "x"}]}, "dest must be an absolute path, not 'a'"),
        ({"files": [{"dest": "/a", "content": "x", "mode": "u=rw"}]}, "mode of /a must be octal and in quotes"),
        ({"files": [{"dest": "/a", "contents": "x"}]}, "contents"),
        ({"files": [{"content": "x"}]}, "missing required arguments: dest"),
        ({"files": [{"dest": "/a", "template": "none.j2"}]}, "Could not render /a: .*none.j2"),
        ({"files": [{"dest": "/a", "src": "none"}]}, "Could not render /a: .*none"),
        ({"packages": ["redis=5"]}, "'redis=5' is no name of a Debian package"),
        ({"services": [{"name": "a", "state": "restarted"}]}, "started, stopped"),
    ],
)
def test_wrong_entry_is_named(host: Host, arguments: dict[str, t.Any], says: str) -> None:
    with pytest.raises(AnsibleActionFail, match=says):
        host.compare(**arguments)
    assert host.commands == []


def test_undefined_variable_of_a_template_is_named(host: Host) -> None:
    (host.folder / "templates" / "a.j2").write_text("{{ secret }} {{ nowhere }}\n")
    with pytest.raises(AnsibleActionFail, match=r"Could not render /a: .*nowhere.* is undefined") as error:
        host.compare(files=[{"dest": "/a", "template": "a.j2"}])
    assert SECRET not in str(error.value)


def test_command_that_fails_says_what_the_host_said(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"rc": 1, "stdout": "", "stderr": "sudo: a password is required\n"}
    monkeypatch.setattr(host, "execute", lambda *_arguments, **_options: told)
    with pytest.raises(AnsibleActionFail, match="exit status 1: sudo: a password is required"):
        host.compare()
