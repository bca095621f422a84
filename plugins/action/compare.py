# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Compares a host with what a role wants, by one shell command: a module for each package, file and service would start
# Python on the host as many times, which is most of what a run that changes nothing costs. Contents are compared by
# their checksums on the controller, so that the command, which Ansible shows at -vvv, holds paths and names alone.

from __future__ import annotations

import json
import re
import shlex
import typing as t
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.common.text.converters import to_bytes
from ansible.plugins.action import ActionBase

Entry = dict[str, t.Any]
Facts = dict[str, str]

KINDS = ("template", "src", "content", "state")
FILE_OPTIONS: dict[str, Entry] = {
    "template": {"type": "str"},
    "src": {"type": "str"},
    "content": {"type": "raw"},
    "state": {"type": "str", "choices": ["file", "directory", "absent"]},
    "dest": {"type": "str", "required": True},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "raw"},
    "validate": {"type": "str"},
    "notify": {"type": "raw"},
    "secret": {"type": "bool"},
}
SERVICE_OPTIONS: dict[str, Entry] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
    "enabled": {"type": "bool", "default": True},
    "newer_than": {"type": "list", "elements": "str", "default": []},
}
ARGUMENTS: dict[str, Entry] = {
    "packages": {"type": "list", "elements": "str", "default": []},
    "files": {"type": "list", "elements": "dict", "default": [], "options": FILE_OPTIONS},
    "services": {"type": "list", "elements": "dict", "default": [], "options": SERVICE_OPTIONS},
}
PATH = re.compile(r"/[^\n\\]*")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]+")
OCTAL = re.compile(r"0?[0-7]{3,4}")
ACTIVE = ("active", "reloading", "refreshing")
# Those that `systemctl is-enabled` calls enabled
ENABLED = ("enabled", "enabled-runtime", "static", "alias", "indirect", "generated")

# What `find` prints of a file
FACTS = ("type", "mode", "owner", "uid", "group", "gid", "changed", "path")
FORMAT = r"%y|%m|%u|%U|%g|%G|%T@|%p\n"


class ActionModule(ActionBase):  # type: ignore[misc]
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _checked, arguments = self.validate_argument_spec(ARGUMENTS)
        packages: list[str] = arguments["packages"]
        files: list[Entry] = arguments["files"]
        services: list[Entry] = arguments["services"]
        wrong = problems(packages, files)
        if wrong:
            raise AnsibleActionFail("; ".join(wrong))

        sums = [self._wanted_sum(entry, task_vars or {}) for entry in files]
        done = self._low_level_execute_command(script(packages, files, services))
        lines = done["stdout"].splitlines()
        if done["rc"] != 0 or "# end" not in lines:
            reason = (done.get("stderr") or done["stdout"]).strip()
            raise AnsibleActionFail(f"The command on the host failed with exit status {done['rc']}: {reason}")
        told = sections(lines)
        installed = {line.removesuffix(" installed") for line in told["packages"] if line.endswith(" installed")}
        found, targets = facts(told["files"]), facts(told["targets"])
        found_sums = {path: total for total, path in (line.split("  ", 1) for line in told["sums"])}

        unread = [
            path
            for entry in files
            if entry["state"] is None
            and found.get(path := entry["dest"], {}).get("type") == "f"
            and path not in found_sums
        ]
        if unread:
            raise AnsibleActionFail(f"Could not read {', '.join(unread)} on the host: set become: true for this task")
        other = [
            i
            for i, entry in enumerate(files)
            if not file_matches(
                entry, (targets if entry["state"] == "directory" else found).get(entry["dest"]), sums[i], found_sums
            )
        ]
        wrong_services, stale = [], []
        for one, unit in zip(services, units(told["services"]), strict=True):
            if not service_matches(one, unit):
                wrong_services.append(one["name"])
            elif one["state"] == "started" and is_stale(one, unit, targets):
                stale.append(one["name"])
        missing = [entry for entry in packages if installed.isdisjoint(alternatives(entry))]
        # Entries as they were written, so that the role's next tasks find what it wrote, but no contents
        written = self._task.args.get("files") or []
        result.update(
            changed=False,
            packages=missing,
            files=[{key: value for key, value in written[i].items() if key != "content"} for i in other],
            services=wrong_services,
            stale=stale,
            same=not (missing or other or wrong_services or stale),
        )
        return result

    def _wanted_sum(self, entry: Entry, task_vars: dict[str, t.Any]) -> str | None:
        """The checksum of what the file is to hold; none where that is left open."""
        try:
            if entry["template"] is not None:
                return sha256(self._rendered(entry["template"], task_vars)).hexdigest()
            if entry["src"] is not None:
                path = Path(self._loader.get_real_file(self._find_needle("files", entry["src"])))
                return sha256(path.read_bytes()).hexdigest()
        except (AnsibleError, OSError) as error:
            raise AnsibleActionFail(f"Could not render {entry['dest']}: {error}") from error
        if entry["content"] is None:
            return None
        content = entry["content"]
        # What ansible.builtin.copy makes of data
        return sha256(to_bytes(json.dumps(content) if isinstance(content, (dict, list)) else content)).hexdigest()

    def _rendered(self, template: str, task_vars: dict[str, t.Any]) -> bytes:
        """What ansible.builtin.template would write."""
        lookup = self._shared_loader_obj.lookup_loader.get(
            "ansible.builtin.template", loader=self._loader, templar=self._templar
        )
        # The lookup adds to the list of paths
        variables = {**task_vars, "ansible_search_path": list(task_vars.get("ansible_search_path", []))}
        [text] = lookup.run([template], variables=variables)
        return t.cast("bytes", to_bytes(text, errors="surrogate_or_strict"))


def problems(packages: list[str], files: list[Entry]) -> list[str]:
    """What the types of the arguments can't say."""
    names = [name for entry in packages for name in alternatives(entry)]
    found = [f"packages: '{name}' is no name of a Debian package" for name in names if not PACKAGE.fullmatch(name)]
    for entry in files:
        if sum(entry[kind] is not None for kind in KINDS) != 1:
            found.append(f"files: {entry['dest']} must have one of {', '.join(KINDS)}")
        if not PATH.fullmatch(entry["dest"]):
            found.append(f"files: dest must be an absolute path, not '{entry['dest']}'")
        if entry["mode"] is not None and not isinstance(entry["mode"], int) and not OCTAL.fullmatch(str(entry["mode"])):
            wanted = 'octal and in quotes, such as "0644"'
            found.append(f"files: mode of {entry['dest']} must be {wanted}, not '{entry['mode']}'")
    return found


def alternatives(entry: str) -> list[str]:
    """The packages of an entry, any of which will do."""
    return [name.strip() for name in entry.split("|")]


def script(packages: list[str], files: list[Entry], services: list[Entry]) -> str:
    """The shell command for the host. It starts few processes, and says nothing of what is not there."""
    names = [name for entry in packages for name in alternatives(entry)]
    paths = [entry["dest"] for entry in files]
    sums = [entry["dest"] for entry in files if entry["state"] is None]
    # A link to a directory is one, a link to a file would be replaced by a file
    targets = [entry["dest"] for entry in files if entry["state"] == "directory"]
    targets += [path for one in services for path in one["newer_than"]]
    show = ["systemctl", "show", "--timestamp=us", "--property=ActiveState,UnitFileState,StateChangeTimestamp", "--"]
    commands = {
        "packages": (["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\\n", "--"], names, []),
        "files": (["find"], paths, ["-maxdepth", "0", "-printf", FORMAT]),
        "targets": (["find", "-L"], targets, ["-maxdepth", "0", "-printf", FORMAT]),
        "sums": (["find"], sums, ["-maxdepth", "0", "-type", "f", "-exec", "sha256sum", "--", "{}", "+"]),
        "services": (show, [one["name"] for one in services], []),
    }
    lines = ["export LC_ALL=C TZ=UTC"]
    for name, (command, operands, rest) in commands.items():
        lines.append(f"echo '# {name}'")
        if operands:
            lines.append(f"{shlex.join([*command, *operands, *rest])} 2>/dev/null")
    return "\n".join([*lines, "echo '# end'"])


def sections(lines: list[str]) -> dict[str, list[str]]:
    """What the host said, by the headings of the script."""
    found: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("# "):
            found[line[2:]] = []
        elif found:
            found[list(found)[-1]].append(line)
    return found


def facts(lines: list[str]) -> dict[str, Facts]:
    """What `find` said of files, by their paths."""
    split = (dict(zip(FACTS, line.split("|", len(FACTS) - 1), strict=True)) for line in lines)
    return {one["path"]: one for one in split}


def units(lines: list[str]) -> list[Facts]:
    """The properties of each unit; an empty line is between two of them."""
    blocks = "\n".join(lines).split("\n\n")
    return [dict(line.split("=", 1) for line in block.splitlines()) for block in blocks if block]


def file_matches(entry: Entry, found: Facts | None, wanted_sum: str | None, sums: Facts) -> bool:
    if entry["state"] == "absent" or found is None:
        return entry["state"] == "absent" and found is None
    if found["type"] != ("d" if entry["state"] == "directory" else "f"):
        return False
    if wanted_sum is not None and sums[entry["dest"]] != wanted_sum:
        return False
    mode = entry["mode"]
    if mode is not None and int(found["mode"], 8) != (mode if isinstance(mode, int) else int(mode, 8)):
        return False
    return all(
        entry[key] is None or entry[key] in (found[key], found[number])
        for key, number in (("owner", "uid"), ("group", "gid"))
    )


def service_matches(wanted: Entry, unit: Facts) -> bool:
    active = unit.get("ActiveState") in ACTIVE
    boot = unit.get("UnitFileState")
    enabled = boot in ENABLED if wanted["enabled"] else boot not in ENABLED[:2]
    return active == (wanted["state"] == "started") and enabled


def is_stale(wanted: Entry, unit: Facts, targets: dict[str, Facts]) -> bool:
    """Whether a file is newer than the service's last start or reload."""
    changed = [float(targets[path]["changed"]) for path in wanted["newer_than"] if path in targets]
    if not changed:
        return False
    _day, date, time, _zone = unit["StateChangeTimestamp"].split()
    return datetime.fromtimestamp(max(changed), UTC) > datetime.fromisoformat(f"{date}T{time}+00:00")
