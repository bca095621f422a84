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

OPTIONS = (
    "redis_password",
    "redis_user",
    "redis_acl",
    "redis_admin_password",
    "redis_bind",
    "redis_port",
    "redis_appendonly",
    "redis_appendfsync",
    "redis_memory_percent",
    "redis_maxmemory",
    "redis_maxmemory_policy",
)
ACL_RULE = re.compile(
    r"[+-]@?[A-Za-z][A-Za-z0-9|_-]*|(~|%[RW]+~|&).+|(all|reset)(keys|channels)|(all|no)commands",
)


def _acl_problems(acl: str) -> list[str]:
    rules = acl.split()
    # A password may be among the wrong ones
    wrong = [re.sub(r"^([<>#!]).*", r"\1...", rule) for rule in rules if not ACL_RULE.fullmatch(rule)]
    if rules and not wrong and not re.search("[\n\"']", acl):
        return []
    return [
        "redis_acl must be rules of Redis' ACL, such as ~* &* +@all -@dangerous +info, without quotes or a password."
        + (f" Wrong: {', '.join(wrong)}." if wrong else "")
    ]


def redis_problems(settings: Settings) -> list[str]:
    """A sentence for each problem, without a password."""
    problems = unknown_names(settings, "redis", OPTIONS)
    password, admin = (str(settings.get(f"redis_{name}", "")) for name in ("password", "admin_password"))
    if len(password) < 12:
        problems.append("redis_password must have at least 12 characters.")
    if admin and (len(admin) < 12 or admin == password):
        problems.append(
            "redis_admin_password must be empty, or have at least 12 characters and differ from redis_password."
        )
    user = str(settings.get("redis_user", "app"))
    if not re.fullmatch(r"[A-Za-z0-9_-]+", user) or user == "default":
        problems.append(f"redis_user is '{user}'; it must be letters, digits, _ and -, and not default.")
    problems += _acl_problems(str(settings.get("redis_acl", "+@all")))
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
