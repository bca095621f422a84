# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: what the filters that check a role's settings share.

from __future__ import annotations

import typing as t
from collections.abc import Collection, Mapping

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_names import PLAYBOOKS, meant

Settings = Mapping[str, t.Any]


def unknown_names(
    settings: Settings,
    role: str,
    options: Collection[str],
    removed: Mapping[str, str] | None = None,
    also: Collection[str] = (),
    owner: str = "",
) -> list[str]:
    """A sentence for each variable that begins like the role's and is none.

    `options`: the role's variables; `removed`: those of earlier versions, with what to do instead; `also`: other names
    that begin alike, those that end in * with anything after it; `owner`: who has the variables, if that is no role.
    """
    removed = removed or {}
    others = tuple(name.removesuffix("*") for name in also if name.endswith("*"))
    found = []
    for name in sorted(settings):
        if not name.startswith(f"{role}_") or name in options or name in also or (others and name.startswith(others)):
            continue
        if name in removed:
            found.append(f"{name} was removed; {removed[name]}.")
            continue
        near = meant(name, role, [option for option in (*options, *PLAYBOOKS) if option.startswith(f"{role}_")])
        readme = f"roles/{role}/README.md" if not owner else "docs/day-two.md"
        hint = f"did you mean {near}?" if near else f"{readme} lists them."
        found.append(f"{name} is no variable of {owner or f'role {role}'}; {hint}")
    return found


def not_between(settings: Settings, name: str, low: int, high: int | None = None) -> list[str]:
    """A sentence if the number is below or above these; a variable that isn't set is right."""
    wanted = f"{low} or more" if high is None else f"between {low} and {high}"
    try:
        value = int(settings.get(name, low))
    except (TypeError, ValueError):
        return [f"{name} is {settings[name]}; it must be a number, {wanted}."]
    return (
        []
        if value >= low and (high is None or value <= high)
        else [f"{name} is {settings[name]}; it must be {wanted}."]
    )
