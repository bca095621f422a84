# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that a user has role haproxy bring, with their places on the host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: haproxy_files
short_description: The files that a user has role haproxy bring, with their places on the host
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Makes of C(haproxy_certificates), C(haproxy_files) and pages of role P(alphacoder.scaleout.haproxy#role) one list,
    as the role compares and copies files.
options:
  _input:
    description: The certificates, each with C(name) and one of C(content) and C(src).
    type: list
    elements: dict
    required: true
  files:
    description: Other files, which may have C(secret), too.
    type: list
    elements: dict
    required: true
  pages:
    description: HTML files of the controller, by the names that HAProxy's configuration has for them.
    type: dict
    required: true
"""

EXAMPLES = r"""
files: "{{ haproxy_certificates | alphacoder.scaleout.haproxy_files(files=haproxy_files, pages=haproxy_error_pages) }}"
"""

RETURN = r"""
_value:
  description: A file each, with C(dest), C(group), C(mode), C(secret), and C(content) or C(src); folders before them.
  type: list
  elements: dict
"""

import typing as t
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

FOLDER = PurePosixPath("/etc/haproxy")

Entry = dict[str, t.Any]


def _entry(path: PurePosixPath, file: Mapping[str, t.Any], secret: bool) -> Entry:
    """HAProxy reads its files as root; its group may, as that of the configuration."""
    source = {key: file[key] for key in ("content", "src") if file.get(key)} or {"content": ""}
    return {"dest": str(path), "group": "haproxy", "mode": "0640", "secret": secret, **source}


def haproxy_files(
    certificates: Iterable[Mapping[str, t.Any]], files: Iterable[Mapping[str, t.Any]], pages: Mapping[t.Any, str]
) -> list[Entry]:
    """The files that a user has role haproxy bring. See DOCUMENTATION."""
    others = {FOLDER / "files" / file["name"]: file for file in files}
    folders = {parent for path in others for parent in path.parents if FOLDER / "files" in parent.parents}
    return [
        *({"state": "directory", "dest": str(path), "group": "haproxy", "mode": "0750"} for path in sorted(folders)),
        *(_entry(FOLDER / "certs" / f"{one['name']}.pem", one, True) for one in certificates),
        *(_entry(path, file, bool(file.get("secret"))) for path, file in others.items()),
        *({"dest": str(FOLDER / "pages" / f"{name}.html"), "src": src, "mode": "0644"} for name, src in pages.items()),
    ]


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"haproxy_files": haproxy_files}
