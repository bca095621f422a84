# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which releases were brought, when, by whom and to which hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: release_history
short_description: Which releases were brought, when, by whom and to which hosts
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Joins the records that role P(alphacoder.scaleout.app#role) keeps on its hosts. What reached several hosts in turn
    is one line.
options:
  _input:
    description:
      - The variables of all hosts by name. C(__scaleout_history) of one has the record of releases, a line
        C(# history), and the history.
    type: dict
    required: true
  hosts:
    description: Names of the hosts.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
msg: "{{ hostvars | alphacoder.scaleout.release_history(groups['app']) }}"
"""

RETURN = r"""
_value:
  description: Lines, the newest release last, and then hosts that said nothing.
  type: list
  elements: str
"""

import json
import re
import typing as t
from collections.abc import Mapping, Sequence

Entry = dict[str, t.Any]


def entries(said: str) -> list[Entry]:
    """What a host has on record. Releases of before there was a history are in the record alone, and say nobody."""
    record, _heading, history = said.replace("\r\n", "\n").partition("# history\n")
    former = [{**one, "by": "?"} for one in json.loads(record) if "by" not in one]
    return former + [json.loads(line) for line in history.splitlines() if line]


def release_history(hosts: Mapping[str, Mapping[str, t.Any]], names: Sequence[str]) -> list[str]:
    """The lines. See DOCUMENTATION."""
    found: list[tuple[Entry, str]] = []
    silent = []
    for name in names:
        seen = hosts[name].get("__scaleout_history", {})
        if "stdout" not in seen or seen.get("unreachable"):
            silent.append(f"{name} cannot be reached.")
            continue
        found += [(entry, name) for entry in entries(seen["stdout"])]
    found.sort(key=lambda one: one[0]["since"])
    rows: list[tuple[Entry, list[str]]] = []
    for entry, name in found:
        if rows and all(rows[-1][0][key] == entry[key] for key in ("release", "by")) and name not in rows[-1][1]:
            rows[-1][1].append(name)
        else:
            rows.append((entry, [name]))
    lines = []
    width = max((len(row[0]["by"]) for row in rows), default=0)
    for entry, on in rows:
        release = re.sub(r"(@sha256:.{12}).*", r"\1", entry["release"])
        when = entry["since"].replace("T", " ").replace("Z", " UTC")
        lines.append(f"{when}  {entry['by']:{width}}  {release}  on {', '.join(sorted(on, key=list(names).index))}")
    return (lines or ["No release is on record."]) + silent


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"release_history": release_history}
