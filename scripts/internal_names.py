# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure how hard roles and playbooks are to follow, and fail above the limits.

Internal names: the distinct names that begin with `__` in tasks, handlers, defaults, vars and templates of roles/ and
in playbooks/, and how many of them more than one file uses.

Files of one release: those that a reader opens who follows playbooks/deploy.yml to its end. They are the playbooks,
task files and handlers, each role's vars/main.yml, the defaults that join the tiers, the templates and the programs in
files/ that those name, and the collection's own action and filter plugins, by their names.

- A role whose name is a template is role hits, which builds the sample's image.
- What only checks settings ends at playbooks/preflight.yml: a release changes none of them.
- Not counted, because a reader looks them up as they would Ansible's own: the collection's modules, and the documented
  defaults of its roles; nor the module_utils behind a plugin.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

REPO = Path(__file__).resolve().parent.parent
COLLECTION = "alphacoder.scaleout"
# Fewer than that many distinct names, and fewer than that many in more than one file
NAMES = 103
SHARED_NAMES = 45
# At most that many files
FILES = 33
PARTS = ("tasks", "handlers", "defaults", "vars", "templates")
NAME = re.compile(r"(?<!\w)__[a-z]\w*(?<!__)\b")
PLUGINS = ("action", "filter", "lookup", "test")
# What only checks settings
CHECKS = re.compile(r"(tasks/preflight\.yml|tasks/check_\w+\.yml|/\w+_problems\.py)$")
PLUGIN = re.compile(rf"\b{re.escape(COLLECTION)}\.(\w+)")
# A path in a text, such as a template's, or of tasks that a role gets by a variable
TEMPLATE = re.compile(r"[\w./-]+\.j2\b")
PROGRAM = re.compile(r"[\w./-]+\.(?:py|sh)\b")
TASKS_BY_VARIABLE = re.compile(r"\{\{ *playbook_dir *\}\}/([\w./-]+\.yml)")
SAMPLE_BUILD_ROLE = "hits"


def internal_names(root: Path) -> dict[str, set[str]]:
    """The files that use each internal name."""
    found: dict[str, set[str]] = defaultdict(set)
    folders = [folder for role in root.glob("roles/*") for part in PARTS if (folder := role / part).is_dir()]
    for file in sorted(file for folder in [*folders, root / "playbooks"] for file in folder.rglob("*")):
        if file.is_file() and file.suffix in (".yml", ".j2"):
            for name in NAME.findall(file.read_text()):
                found[name].add(str(file.relative_to(root)))
    return found


class _Loader(yaml.SafeLoader):
    """Takes Ansible's own tags, such as !unsafe."""


_Loader.add_multi_constructor("!", lambda _loader, _tag, node: node.value)


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """The value's mappings, at any depth."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from mappings(item)
    elif isinstance(value, list):
        for item in value:
            yield from mappings(item)


class Release:
    """The files through which a release goes, in the order in which they are met."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: list[Path] = []
        self._open(root / "playbooks" / "deploy.yml")

    def _open(self, file: Path) -> None:
        file = file.resolve()
        if file in self.files or CHECKS.search(str(file)):
            return
        if not file.is_file():
            raise FileNotFoundError(f"{file.relative_to(self.root.resolve())} is named, but is not there")
        self.files.append(file)
        if file.suffix in (".yml", ".j2"):
            text = re.sub(r"^\s*#.*$", "", file.read_text(), flags=re.MULTILINE)
            self._follow_text(file, text)
            if file.suffix == ".yml":
                for mapping in mappings(yaml.load(text, _Loader)):
                    self._follow(file, mapping)

    def _follow(self, file: Path, mapping: dict[str, Any]) -> None:
        for key, value in mapping.items():
            match str(key).removeprefix("ansible.builtin."), value:
                case "import_playbook", str(name):
                    name = name.removeprefix(f"{COLLECTION}.")
                    self._open(file.parent / (name if name.endswith(".yml") else f"{name}.yml"))
                case (("import_tasks" | "include_tasks"), (str(name) | {"file": str(name)})):
                    # A template is the variable that TASKS_BY_VARIABLE finds where it is set
                    if "{{" not in name:
                        self._open(file.parent / name)
                case (("import_role" | "include_role"), {"name": str(name), **options}):
                    if options.get("tasks_from") != "preflight":
                        self._open_role(name, str(options.get("tasks_from", "main")))
                case "roles", list(roles):
                    for role in roles:
                        self._open_role(role if isinstance(role, str) else role.get("role") or role["name"], "main")

    def _open_role(self, name: str, tasks_from: str) -> None:
        name = SAMPLE_BUILD_ROLE if "{{" in name else name.removeprefix(f"{COLLECTION}.")
        folders = [self.root / "playbooks" / "roles" / name, self.root / "roles" / name]
        folder = next((folder for folder in folders if folder.is_dir()), None)
        if folder is None:
            raise FileNotFoundError(f"no role {name} in {' or '.join(str(folder.parent) for folder in folders)}")
        # Where the name is a template, any file that it may name
        tasks = re.sub(r"\{\{.*?\}\}", "*", tasks_from.removesuffix(".yml"))
        if tasks != "main" and "*" not in tasks:
            self._open(folder / "tasks" / f"{tasks}.yml")
        # Those of a role of the playbooks are what joins the tiers
        defaults = ["defaults/main"] if folder.parent.parent.name == "playbooks" else []
        for part in (*defaults, "vars/main", f"tasks/{tasks}", "handlers/main"):
            for file in sorted(folder.glob(f"{part}.yml")):
                self._open(file)

    def _follow_text(self, file: Path, text: str) -> None:
        # The folder of the role, or playbooks/
        base = next(parent for parent in file.parents if parent.name == "playbooks" or parent.parent.name == "roles")
        for path in TEMPLATE.findall(text):
            self._open(base / "templates" / path.removeprefix("templates/"))
        for path in PROGRAM.findall(text):
            program = base / "files" / path.rpartition("files/")[2]
            # Other programs are those of the host
            if program.is_file():
                self._open(program)
        for path in TASKS_BY_VARIABLE.findall(text):
            self._open(self.root / "playbooks" / path)
        for name in PLUGIN.findall(text):
            for plugin in (self.root / "plugins" / kind / f"{name}.py" for kind in PLUGINS):
                if plugin.is_file():
                    self._open(plugin)
                    break


def main(root: Path = REPO, arguments: list[str] | None = None) -> int:
    """Print the figures; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--list", action="store_true", help="list the names and the files, too")
    listed = parser.parse_args(arguments).list

    names = internal_names(root)
    shared = {name: files for name, files in names.items() if len(files) > 1}
    release = [str(file.relative_to(root.resolve())) for file in Release(root).files]
    print(f"internal names: {len(names)} (fewer than {NAMES} are allowed)")
    print(f"internal names in more than one file: {len(shared)} (fewer than {SHARED_NAMES} are allowed)")
    if listed or len(names) >= NAMES or len(shared) >= SHARED_NAMES:
        for name, files in sorted(names.items(), key=lambda item: (-len(item[1]), item[0])):
            if listed or len(files) > 1:
                print(f"  {name}: {', '.join(sorted(files))}")
    print(f"files of one release: {len(release)} (at most {FILES} are allowed)")
    if listed or len(release) > FILES:
        print(*(f"  {file}" for file in release), sep="\n")
    return int(len(names) >= NAMES or len(shared) >= SHARED_NAMES or len(release) > FILES)


if __name__ == "__main__":
    sys.exit(main())
