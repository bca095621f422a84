# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the settings of role postgresql."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings import (
    Settings,
    not_between,
    unknown_names,
)
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_names import options_of

# Those of the entry point restore
RESTORE = (
    "postgresql_restore_database",
    "postgresql_restore_dump",
    "postgresql_restore_file",
    "postgresql_restore_overwrite",
)
# A number with a dot somewhere must be a whole IPv4 network; one with a colon passes for IPv6
ADDRESS = re.compile(
    r"((25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}/(3[0-2]|[12]?\d)"
    r"|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*/(12[0-8]|1[01]\d|\d?\d)|\.?[A-Za-z][A-Za-z0-9_.-]*)"
)
NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
SIZE = re.compile(r"([1-9][0-9]*(kB|MB|GB|TB))?")
SIZES = ("shared_buffers", "effective_cache_size", "maintenance_work_mem", "work_mem")
PATH = re.compile(r"/[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+")
SETTING = re.compile(r"[a-z_][a-z0-9_]*([.][a-z_][a-z0-9_]*)?")
# Those of UTF-8 alone: another one would give the cluster another encoding
LOCALE = re.compile(r"(C|[a-z]{2,3}_[A-Z]{2})[.](UTF-8|utf8)(@[a-z]+)?")
EXTENSION = re.compile(r"[a-z_][a-z0-9_-]*")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]+")
# What pg_hba.conf takes for more than one of them, and what PostgreSQL keeps for itself
RESERVED_DATABASES = ("all", "sameuser", "samerole", "samegroup", "replication", "postgres", "template0", "template1")
# What a restore gives its databases
RESTORE_NAMES = ("_restoring", "_replaced")
CONNECTIONS = ("local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc")
# Settings of postgresql.conf that have a variable of their own
TAKEN = ("listen_addresses", "port", "max_connections", *SIZES)


def _settings_problems(own: t.Any) -> list[str]:
    if not isinstance(own, dict):
        return ["postgresql_settings must be a dictionary, such as {jit: false}."]
    problems = []
    plain = all(isinstance(value, (str, int, float)) for value in own.values())
    if not plain or not all(SETTING.fullmatch(str(name)) for name in own):
        problems.append(
            "postgresql_settings must have names of postgresql.conf in lower case, and a text, a number, true or false "
            "for each."
        )
    taken = [name for name in own if name in TAKEN]
    if taken:
        variables = ", ".join(f"postgresql_{name}" for name in taken)
        problems.append(f"postgresql_settings must not have {', '.join(taken)}: set {variables} instead.")
    return problems


def _hba_problems(lines: t.Any) -> list[str]:
    """What PostgreSQL itself would say too late, or not at all. It checks the rest before the file is placed."""
    if not isinstance(lines, list):
        return ['postgresql_hba must be a list of lines, such as ["hostssl all reports 10.110.0.0/20 scram-sha-256"].']
    problems = []
    for number, line in enumerate(lines, 1):
        words = str(line).split()
        where = f"postgresql_hba, line {number}"
        if "\n" in str(line):
            problems.append(f"{where} has a line break; write each line as an entry of its own.")
        elif not words or words[0] not in CONNECTIONS:
            first = words[0] if words else ""
            problems.append(f"{where} begins with '{first}'; it must be one of {', '.join(CONNECTIONS)}.")
        elif len(words) < (least := 4 if words[0] == "local" else 5):
            fields = "TYPE DATABASE USER METHOD" if least == 4 else "TYPE DATABASE USER ADDRESS METHOD"
            problems.append(f"{where} is '{line}'; it must be {fields}, and options of the method.")
    return problems


def _names_problems(settings: Settings) -> list[str]:
    """What is wrong with more databases and users."""
    database, user = (str(settings.get(f"postgresql_{name}", "app")) for name in ("database", "user"))
    databases, users = (settings.get(f"postgresql_{name}", []) for name in ("databases", "users"))
    known_databases = [database, *(str(one["name"]) for one in databases)]
    known_users = [user, *(str(one["name"]) for one in users)]
    problems = []
    for name, known, reserved in (
        ("databases", known_databases, RESERVED_DATABASES),
        ("users", known_users, ("all", "postgres", "public", "none", "user")),
    ):
        wrong = [
            one
            for one in known[1:]
            if not NAME.fullmatch(one) or one in reserved or one.startswith("pg_") or one.endswith(RESTORE_NAMES)
        ]
        if wrong:
            problems.append(
                f"postgresql_{name} has '{', '.join(wrong)}'; a name must be lower-case letters, digits and _, not "
                f"start with a digit or pg_, nor end with {' or '.join(RESTORE_NAMES)}, have at most 63 characters, "
                f"and be none of {', '.join(reserved)}."
            )
        twice = sorted({one for one in known if known.count(one) > 1})
        if twice:
            problems.append(
                f"postgresql_{name} has {', '.join(twice)} more than once, or again what "
                f"postgresql_{name.removesuffix('s')} already is."
            )
    for one in databases:
        if str(one.get("owner") or user) not in known_users:
            problems.append(
                f"postgresql_databases: {one['name']} has the owner {one['owner']}, who is neither postgresql_user "
                "nor in postgresql_users."
            )
        problems += _extension_problems(
            f"postgresql_databases: extensions of {one['name']}", one.get("extensions") or []
        )
    for one in users:
        if len(str(one["password"])) < 12:
            problems.append(f"postgresql_users: the password of {one['name']} must have at least 12 characters.")
        unknown = [name for name in one.get("databases") or [] if name not in known_databases]
        if unknown:
            problems.append(
                f"postgresql_users: {one['name']} has the databases {', '.join(unknown)}, which are neither "
                "postgresql_database nor in postgresql_databases."
            )
    return problems


def _extension_problems(where: str, names: t.Any) -> list[str]:
    if isinstance(names, list) and all(EXTENSION.fullmatch(str(name)) for name in names):
        return []
    return [f"{where} must be a list of names of extensions, such as [pg_trgm, uuid-ossp]."]


def postgresql_problems(settings: Settings) -> list[str]:
    """A sentence for each problem, without a password."""
    problems = unknown_names(settings, "postgresql", options_of("postgresql"), also=RESTORE)
    if len(str(settings.get("postgresql_password", ""))) < 12:
        problems.append("postgresql_password must have at least 12 characters.")
    database, user = (str(settings.get(f"postgresql_{name}", "app")) for name in ("database", "user"))
    if not NAME.fullmatch(database) or not NAME.fullmatch(user) or user == "postgres":
        problems.append(
            f"postgresql_database ('{database}') and postgresql_user ('{user}') must be lower-case letters, digits and "
            "_, not start with a digit, and have at most 63 characters; postgresql_user must not be postgres, the "
            "superuser."
        )
    problems += not_between(settings, "postgresql_port", 1, 65535)
    for name, example in (("listen", "[localhost]"), ("client", "[10.110.0.0/20]")):
        addresses = settings.get(f"postgresql_{name}_addresses", [])
        if not isinstance(addresses, list):
            problems.append(f"postgresql_{name}_addresses must be a list, such as {example}.")
        elif name == "client" and not all(ADDRESS.fullmatch(str(address)) for address in addresses):
            wrong = ", ".join(str(address) for address in addresses if not ADDRESS.fullmatch(str(address)))
            problems.append(
                f"postgresql_client_addresses has {wrong}; each must be a network, such as 10.110.0.0/20, or samenet, "
                "samehost, all, or a host's name."
            )
    problems += not_between(settings, "postgresql_memory_percent", 1, 100)
    problems += not_between(settings, "postgresql_max_connections", 10)
    for name in SIZES:
        size = str(settings.get(f"postgresql_{name}", ""))
        if not SIZE.fullmatch(size):
            problems.append(
                f"postgresql_{name} is '{size}'; it must be empty, or a size such as 512MB (units kB, MB, GB and TB)."
            )
    problems += _settings_problems(settings.get("postgresql_settings", {}))
    problems += _hba_problems(settings.get("postgresql_hba", []))
    locale = str(settings.get("postgresql_locale", ""))
    if locale and not LOCALE.fullmatch(locale):
        problems.append(
            f"postgresql_locale is '{locale}'; it must be empty, or a locale of UTF-8, such as de_DE.UTF-8 or C.UTF-8."
        )
    packages = settings.get("postgresql_packages", [])
    if not isinstance(packages, list) or not all(PACKAGE.fullmatch(str(name)) for name in packages):
        problems.append(
            "postgresql_packages must be a list of names of Debian packages, such as [postgresql-17-pgvector]."
        )
    problems += _extension_problems("postgresql_extensions", settings.get("postgresql_extensions", []))
    problems += _names_problems(settings)
    directory = str(settings.get("postgresql_backup_directory", "/var/backups/postgresql"))
    if not PATH.fullmatch(directory):
        problems.append(
            f"postgresql_backup_directory is '{directory}'; it must be a path of at least two parts, such as "
            "/var/backups/postgresql (letters, digits, . _ -)."
        )
    problems += not_between(settings, "postgresql_backup_hour", 0, 23)
    return problems + not_between(settings, "postgresql_backup_days", 1)
