# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: which variables there are, and which hosts' values of them are read.

from __future__ import annotations

import difflib
import functools
import typing as t
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import yaml

ROLES = Path(__file__).resolve().parents[2] / "roles"
TIERS = ("postgresql", "redis", "app", "lb")
TIER_OF_ROLE = {
    "app": "app",
    "docker": "app",
    "haproxy": "lb",
    "hits": "app",
    "postgresql": "postgresql",
    "redis": "redis",
}
# The variables of the playbooks, with the groups whose values they read; none where group_vars read them, anywhere
PLAYBOOKS: dict[str, tuple[str, ...]] = {
    "app_count": ("localhost",),
    "deploy_batch": ("app",),
    "deploy_break_lock": ("app", "lb"),
    "deploy_drain_timeout": ("app", "lb"),
    "deploy_ready_timeout": ("app", "lb"),
    "deploy_release_commands": ("app",),
    "scaleout_adopt": ("localhost",),
    "scaleout_app_health": (),
    "scaleout_app_hosts": ("app",),
    "scaleout_app_name": (),
    "scaleout_app_port": (),
    "scaleout_app_servers": ("lb",),
    "scaleout_apps": ("localhost", "app", "lb"),
    "scaleout_backend": ("localhost", "app", "lb"),
    "scaleout_backends": ("lb",),
    "scaleout_build_role": ("app",),
    "scaleout_database_url": (),
    "scaleout_default_backend": ("lb",),
    "scaleout_destroy": ("localhost",),
    # Groups of droplets of one size may have it
    "scaleout_haproxy_server": (),
    "scaleout_http_check": ("lb",),
    "scaleout_httpchk": ("lb",),
    "scaleout_image": ("localhost",),
    "scaleout_inventory_service": ("localhost",),
    "scaleout_max_removals": ("localhost",),
    "scaleout_pools": ("localhost",),
    "scaleout_redis_url": (),
    "scaleout_region": ("localhost",),
    "scaleout_secrets_dir": (),
    "scaleout_service": ("localhost",),
    "scaleout_ssh_keys": ("localhost",),
    "scaleout_timeout_check": ("lb",),
    "scaleout_unclaimed": ("localhost",),
    "scaleout_use_backend": ("lb",),
}
# What the playbooks give role rollout, from variables of their own
OF_ROLLOUT = {f"rollout_{name}": f"deploy_{name}" for name in ("break_lock", "drain_timeout", "ready_timeout")}
# Words of others for what has another name here
ALSO_CALLED = {"app_environment": "app_env", "app_replicas": "app_count", "scaleout_count": "app_count"}


@functools.cache
def options_of(role: str) -> Mapping[str, t.Any]:
    """The options of a role, as its argument specs have them."""
    specs = yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    options: Mapping[str, t.Any] = specs["argument_specs"]["main"]["options"]
    return options


@functools.cache
def all_names() -> Collection[str]:
    """Every variable that a user may set."""
    return {*PLAYBOOKS, *(name for role in TIER_OF_ROLE for name in options_of(role))}


def nearest(name: str, names: Iterable[str]) -> str:
    """The one of the names that the other one was probably meant to be, or nothing."""
    names = sorted(names)
    close = difflib.get_close_matches(name, names, 1)
    # healthcheck, env_vars
    longer = [one for one in names if one and (name.startswith(one) or one.startswith(name))]
    return close[0] if close else max(longer, key=len, default="")


def meant(name: str, prefix: str, options: Iterable[str]) -> str:
    """The variable that was probably meant by one that begins with this prefix, or nothing."""
    if name in ALSO_CALLED:
        return ALSO_CALLED[name]
    rest = name.removeprefix(f"{prefix}_")
    # Another prefix is the likeliest mistake where all the rest is right
    others = [other for other in all_names() if other.partition("_")[2] == rest]
    if rest in all_names() or len(others) == 1:
        return rest if rest in all_names() else others[0]
    if near := nearest(rest, [option.removeprefix(f"{prefix}_") for option in options]):
        # Closer to a whole name than to one with this prefix: scaleout_ap_count
        whole = difflib.get_close_matches(rest, all_names(), 1, 0.9)
        return whole[0] if whole and _likeness(rest, near) < 0.9 else f"{prefix}_{near}"
    return next(iter(difflib.get_close_matches(rest, all_names(), 1, 0.8)), "")


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()
