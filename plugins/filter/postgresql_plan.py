# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The databases and users of a PostgreSQL server, from the settings of role postgresql."""

from __future__ import annotations

DOCUMENTATION = r"""
name: postgresql_plan
short_description: The databases, users and places of a PostgreSQL server, from the settings of a role
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Joins the app's database and user with O(databases) and O(users), and says who may log in where.
  - Says which version the distribution has, and where it keeps what belongs to it.
positional: databases, users, distribution
options:
  _input:
    description: The app's database, with C(name), C(owner), C(password) and C(extensions).
    type: dict
    required: true
  databases:
    description: More databases, as C(postgresql_databases) of role P(alphacoder.scaleout.postgresql#role) has them.
    type: list
    elements: dict
    required: true
  users:
    description: More users, as C(postgresql_users) of that role has them.
    type: list
    elements: dict
    required: true
  distribution:
    description: The distribution and its major version.
    type: str
    choices: [Debian-12, Debian-13, Ubuntu-22, Ubuntu-24]
    required: true
"""

EXAMPLES = r"""
plan: "{{ app | alphacoder.scaleout.postgresql_plan([], [], 'Debian-13') }}"
app: {name: shop, owner: shop, password: "{{ vault_password }}", extensions: []}
"""

RETURN = r"""
_value:
  description: >-
    C(databases), the owner of each by its name; C(passwords) of users by their names;
    C(access), a C(database) and a C(user) for each pair that may log in; C(extensions), a C(database)
    and a C(name) each; C(roles), a C(user) and a C(role) each; C(version), the major one; C(programs), C(data) and
    C(config), directories; C(unit) of systemd; C(psql), the shell's words that run it as the superuser.
  type: dict
"""

import typing as t
from collections.abc import Iterable, Mapping

Entry = Mapping[str, t.Any]
# The major version that each distribution has
VERSIONS = {"Debian-12": "15", "Debian-13": "17", "Ubuntu-22": "14", "Ubuntu-24": "16"}


def _places(version: str) -> dict[str, str]:
    """Where the distribution keeps what belongs to this version."""
    programs, data = f"/usr/lib/postgresql/{version}/bin", f"/var/lib/postgresql/{version}/main"
    return {
        "version": version,
        "programs": programs,
        "data": data,
        "config": f"/etc/postgresql/{version}/main",
        "unit": f"postgresql@{version}-main",
        # At the port that the server has now, which may not be the one that its files have
        "psql": f"{programs}/psql --no-psqlrc --no-password --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 "
        f'--host=/var/run/postgresql --port="$(sed -n 4p {data}/postmaster.pid)" --username=postgres',
    }


def postgresql_plan(
    app: Entry, databases: Iterable[Entry], users: Iterable[Entry], distribution: str
) -> dict[str, t.Any]:
    """The plan. See DOCUMENTATION."""
    every = [app, *({**one, "owner": one.get("owner") or app["owner"]} for one in databases)]
    people: list[Entry] = [{"name": app["owner"], "password": app["password"]}, *users]
    return {
        "databases": {one["name"]: one["owner"] for one in every},
        "passwords": {one["name"]: one["password"] for one in people},
        "access": [
            {"database": database["name"], "user": user["name"]}
            for user in people
            for database in every
            if database["owner"] == user["name"] or database["name"] in (user.get("databases") or [])
        ],
        "extensions": [
            {"database": one["name"], "name": extension} for one in every for extension in one.get("extensions") or []
        ],
        "roles": [{"user": one["name"], "role": role} for one in people for role in one.get("roles") or []],
        **_places(VERSIONS[distribution]),
    }


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"postgresql_plan": postgresql_plan}
