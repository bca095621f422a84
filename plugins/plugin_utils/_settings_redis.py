# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the settings of role redis."""

from __future__ import annotations

import re

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings import (
    Settings,
    not_between,
    unknown_names,
)
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_names import options_of

USER = re.compile(r"[A-Za-z0-9_-]+")
ACL_RULE = re.compile(
    r"[+-]@?[A-Za-z][A-Za-z0-9|_-]*|(~|%[RW]+~|&).+|(all|reset)(keys|channels)|(all|no)commands",
)


def _acl_problems(acl: str, where: str = "redis_acl") -> list[str]:
    rules = acl.split()
    # A password may be among the wrong ones
    wrong = [re.sub(r"^([<>#!]).*", r"\1...", rule) for rule in rules if not ACL_RULE.fullmatch(rule)]
    if rules and not wrong and not re.search("[\n\"']", acl):
        return []
    return [
        f"{where} must be rules of Redis' ACL, such as ~* &* +@all -@dangerous +info, without quotes or a password."
        + (f" Wrong: {', '.join(wrong)}." if wrong else "")
    ]


def _users_problems(settings: Settings) -> list[str]:
    """What is wrong with more users."""
    users = settings.get("redis_users", [])
    known = [str(settings.get("redis_user", "app")), *(str(one["name"]) for one in users)]
    problems = []
    wrong = [name for name in known[1:] if not USER.fullmatch(name) or name == "default"]
    if wrong:
        problems.append(
            f"redis_users has '{', '.join(wrong)}'; a name must be letters, digits, _ and -, and not default."
        )
    twice = sorted({name for name in known if known.count(name) > 1})
    if twice:
        problems.append(f"redis_users has {', '.join(twice)} more than once, or again what redis_user already is.")
    for one in users:
        if len(str(one["password"])) < 12:
            problems.append(f"redis_users: the password of {one['name']} must have at least 12 characters.")
        problems += _acl_problems(str(one["acl"]), f"redis_users: acl of {one['name']}")
    return problems


def redis_problems(settings: Settings) -> list[str]:
    """A sentence for each problem, without a password."""
    problems = unknown_names(settings, "redis", options_of("redis"))
    password, admin = (str(settings.get(f"redis_{name}", "")) for name in ("password", "admin_password"))
    if len(password) < 12:
        problems.append("redis_password must have at least 12 characters.")
    if admin and (len(admin) < 12 or admin == password):
        problems.append(
            "redis_admin_password must be empty, or have at least 12 characters and differ from redis_password."
        )
    user = str(settings.get("redis_user", "app"))
    if not USER.fullmatch(user) or user == "default":
        problems.append(f"redis_user is '{user}'; it must be letters, digits, _ and -, and not default.")
    problems += _acl_problems(str(settings.get("redis_acl", "+@all")))
    problems += _users_problems(settings)
    if not isinstance(settings.get("redis_bind", []), list):
        problems.append("redis_bind must be a list of addresses, such as [127.0.0.1].")
    problems += not_between(settings, "redis_memory_percent", 1, 100)
    maxmemory = str(settings.get("redis_maxmemory", ""))
    if not re.fullmatch(r"|0|[1-9][0-9]*([kmg]b?)?", maxmemory.lower()):
        problems.append(
            f"redis_maxmemory is '{maxmemory}'; it must be empty, bytes, or a number with kb, mb or gb, such as 256mb "
            "(0 is no limit)."
        )
    return problems + not_between(settings, "redis_port", 1, 65535)
