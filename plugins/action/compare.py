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
from ansible.release import __version__ as core_version

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
PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]+")
OCTAL = re.compile(r"0?[0-7]{3,4}")
ACTIVE = ("active", "reloading", "refreshing")
# Those that `systemctl is-enabled` calls enabled
ENABLED = ("enabled", "enabled-runtime", "static", "alias", "indirect", "generated")

# POSIX shell: says what is there, a line each, and nothing of what is not
FUNCTIONS = r"""
export LC_ALL=C TZ=UTC
file() {
  stat $3 --printf='type=%F\nmode=%a\nowner=%U\nuid=%u\ngroup=%G\ngid=%g\n' -- "$2" 2>/dev/null |
    sed "s/^/compare file $1 /"
  if [ -f "$2" ] && [ ! -L "$2" ]; then echo "compare file $1 sum=$(sha256sum <"$2" | cut -d' ' -f1)"; fi
}
changed() { echo "compare service $1 changed=$(stat --dereference --format=%.9Y -- "$2" 2>/dev/null)"; }
service() {
  systemctl show --timestamp=us --property=ActiveState,UnitFileState,StateChangeTimestamp -- "$2" |
    sed "s/^/compare service $1 /"
}
"""


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
        if done["rc"] != 0 or "compare end" not in lines:
            reason = (done.get("stderr") or done["stdout"]).strip()
            raise AnsibleActionFail(f"The command on the host failed with exit status {done['rc']}: {reason}")
        found = parse(lines)

        unread = [entry["dest"] for i, entry in enumerate(files) if found("file", i).get("sum") == ""]
        if unread:
            raise AnsibleActionFail(f"Could not read {', '.join(unread)} on the host: set become: true for this task")
        missing = [name for name in packages if name not in found("package", 0)]
        other = [i for i, entry in enumerate(files) if not file_matches(entry, sums[i], found("file", i))]
        wrong_services, stale = [], []
        for i, one in enumerate(services):
            state = found("service", i)
            if not service_matches(one, state):
                wrong_services.append(one["name"])
            elif one["state"] == "started" and is_stale(state):
                stale.append(one["name"])
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
        # Before 2.19 a text that looks like JSON would come back as data
        options = {"convert_data": False} if core_version.startswith("2.18.") else {}
        [text] = lookup.run([template], variables=variables, **options)
        return t.cast("bytes", to_bytes(text, errors="surrogate_or_strict"))


def problems(packages: list[str], files: list[Entry]) -> list[str]:
    """What the types of the arguments can't say."""
    found = [f"packages: '{name}' is no name of a Debian package" for name in packages if not PACKAGE.fullmatch(name)]
    for entry in files:
        if sum(entry[kind] is not None for kind in KINDS) != 1:
            found.append(f"files: {entry['dest']} must have one of {', '.join(KINDS)}")
        if not entry["dest"].startswith("/"):
            found.append(f"files: dest must be an absolute path, not '{entry['dest']}'")
        if entry["mode"] is not None and not isinstance(entry["mode"], int) and not OCTAL.fullmatch(str(entry["mode"])):
            wanted = 'octal and in quotes, such as "0644"'
            found.append(f"files: mode of {entry['dest']} must be {wanted}, not '{entry['mode']}'")
    return found


def script(packages: list[str], files: list[Entry], services: list[Entry]) -> str:
    """The shell command for the host."""
    lines = [FUNCTIONS]
    if packages:
        names = " ".join(shlex.quote(name) for name in packages)
        shown = "'compare package 0 ${Package}=${db:Status-Status}\\n'"
        lines.append(f"dpkg-query --show --showformat={shown} -- {names} 2>/dev/null | sed -n '/=installed$/p'")
    for i, entry in enumerate(files):
        # A link to a directory is one, a link to a file would be replaced by a file
        follow = "--dereference" if entry["state"] == "directory" else ""
        lines.append(f"file {i} {shlex.quote(entry['dest'])} '{follow}'")
    for i, one in enumerate(services):
        lines.append(f"service {i} {shlex.quote(one['name'])}")
        lines += [f"changed {i} {shlex.quote(path)}" for path in one["newer_than"]]
    return "\n".join([*lines, "echo compare end"])


def parse(lines: list[str]) -> t.Callable[[str, int], Facts]:
    """What the host said of a package, file or service; of times the latest."""
    found: dict[tuple[str, int], Facts] = {}
    for line in lines:
        match = re.fullmatch(r"compare (package|file|service) (\d+) ([^=]+)=(.*)", line)
        if match:
            kind, number, name, value = match.groups()
            facts = found.setdefault((kind, int(number)), {})
            facts[name] = max(facts.get(name, ""), value)
    return lambda kind, number: found.get((kind, number), {})


def file_matches(entry: Entry, wanted_sum: str | None, found: Facts) -> bool:
    if entry["state"] == "absent" or not found:
        return entry["state"] == "absent" and not found
    # An empty one has a type of its own
    if found["type"] not in (
        ("directory",) if entry["state"] == "directory" else ("regular file", "regular empty file")
    ):
        return False
    if wanted_sum is not None and found["sum"] != wanted_sum:
        return False
    mode = entry["mode"]
    if mode is not None and int(found["mode"], 8) != (mode if isinstance(mode, int) else int(mode, 8)):
        return False
    return all(
        entry[key] is None or entry[key] in (found[key], found[number])
        for key, number in (("owner", "uid"), ("group", "gid"))
    )


def service_matches(wanted: Entry, found: Facts) -> bool:
    active = found.get("ActiveState") in ACTIVE
    boot = found.get("UnitFileState")
    enabled = boot in ENABLED if wanted["enabled"] else boot not in ENABLED[:2]
    return active == (wanted["state"] == "started") and enabled


def is_stale(found: Facts) -> bool:
    """Whether a file is newer than the service's last start or reload."""
    if not found.get("changed"):
        return False
    _day, date, time, _zone = found["StateChangeTimestamp"].split()
    since = datetime.fromisoformat(f"{date}T{time}+00:00")
    return datetime.fromtimestamp(float(found["changed"]), UTC) > since
