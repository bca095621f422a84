# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: whether values are what a role's argument specs say, each problem as a sentence. Ansible
# itself says it in words of its own, shows all options of the role beside them, and takes a text for a list, which
# templates then take apart by letters.

from __future__ import annotations

import typing as t
from collections.abc import Collection, Iterator, Mapping

from ansible.module_utils.common.validation import check_type_bool, check_type_float, check_type_int
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings import Settings
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_names import nearest

WANTED = {
    "bool": "true or false",
    "dict": "a dictionary of names and values",
    "float": "a number, such as 1.5",
    "int": "a whole number",
    "list": "a list",
    "path": "a path",
    "str": "text",
}
CHECKS: dict[str, t.Callable[[t.Any], t.Any]] = {
    "bool": check_type_bool,
    "float": check_type_float,
    "int": check_type_int,
}
Options = Mapping[str, Mapping[str, t.Any]]


def kind(value: t.Any) -> str:
    """What a value is, where it must not be shown, or is long."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "text" if isinstance(value, str) else "a dictionary" if isinstance(value, Mapping) else "a list"


def type_problems(settings: Settings, options: Options, failed: Collection[str] = ()) -> dict[str, list[str]]:
    """Sentences for each variable that is not what its option says. `failed`: those that are set, and have no value."""
    found: dict[str, list[str]] = {}
    for name, option in options.items():
        if name in settings:
            found[name] = list(_of_value(name, settings[name], option))
        elif option.get("required") and name not in failed:
            found[name] = [f"{name} is not set; it must be {_wanted(option)}."]
    return {name: problems for name, problems in found.items() if problems}


def _wanted(option: Mapping[str, t.Any]) -> str:
    choices = [str(choice) for choice in option.get("choices", [])]
    return f"{', '.join(choices[:-1])} or {choices[-1]}" if choices else WANTED.get(option["type"], "set")


def _of_value(where: str, value: t.Any, option: Mapping[str, t.Any], secret: bool = False) -> Iterator[str]:
    secret = secret or option.get("no_log", False)
    wanted = option["type"]
    if value is None:
        # What was left empty, such as a list whose entries are comments. Ansible takes it for what was left out
        if option.get("required"):
            yield f"{where} is empty; it must be {_wanted(option)}."
        elif "default" in option and wanted != "raw":
            yield f"{where} is empty; it must be {_wanted(option)}, or be removed."
    elif not _is(value, wanted) or ("choices" in option and value not in option["choices"]):
        plain = not secret and not isinstance(value, Mapping | list | tuple)
        more = f", such as [{value}]" if plain and wanted == "list" else ""
        if isinstance(value, bool) and wanted == "str":
            more = "; put it into quotes, for YAML takes no and off for false"
        yield f"{where} is {repr(value) if plain else kind(value)}; it must be {_wanted(option)}{more}."
    elif wanted == "dict" and "options" in option:
        yield from _of_entry(where, value, option["options"], secret)
    elif wanted == "list" and "elements" in option:
        yield from _of_list(where, value, option, secret)


def _of_list(where: str, entries: t.Any, option: Mapping[str, t.Any], secret: bool) -> Iterator[str]:
    for number, entry in enumerate(entries, 1):
        if entry is None or not _is(entry, option["elements"]):
            yield f"{where}: entry {number} is {kind(entry)}; it must be {WANTED.get(option['elements'], 'set')}."
        elif "options" in option:
            name = entry.get("name") or entry.get("dest")
            yield from _of_entry(f"{name or f'entry {number}'} in {where}", entry, option["options"], secret)


def _of_entry(where: str, entry: Mapping[str, t.Any], options: Options, secret: bool) -> Iterator[str]:
    for key in sorted(set(map(str, entry)) - set(options)):
        near = nearest(key, options)
        hint = f"did you mean {near}?" if near else f"there are {', '.join(options)}."
        yield f"{key} of {where} is not known; {hint}"
    for key, option in options.items():
        if key in entry:
            yield from _of_value(f"{key} of {where}", entry[key], option, secret)
        elif option.get("required"):
            yield f"{key} of {where} is not set; it must be {_wanted(option)}."


def _is(value: t.Any, wanted: str) -> bool:
    if wanted in ("list", "dict"):
        return isinstance(value, list | tuple if wanted == "list" else Mapping)
    if wanted in ("str", "path"):
        return not isinstance(value, Mapping | list | tuple)
    if wanted not in CHECKS:
        return True
    try:
        CHECKS[wanted](value)
    except TypeError:
        return False
    # int(true) is 1
    return wanted == "bool" or not isinstance(value, bool)
