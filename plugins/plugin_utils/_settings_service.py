# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the service of a run, and with the hosts that the run has as the service's."""

from __future__ import annotations

import difflib
import re
import typing as t
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_collections.alphacoder.scaleout.plugins.module_utils._pool import (
    ADOPT,
    Desired,
    PoolError,
    check,
    is_unclaimed_member,
    service_problem,
    services_of,
)

WHERE = (
    "With droplets, write service: NAME into inventory/digitalocean.yml, in place of tag: scaleout; with a static "
    "inventory, scaleout_service: NAME into group_vars/all.yml. The name is the service's and the environment's, such "
    "as shop-staging."
)
# What playbooks/tasks/pool.yml reads
POOL_KEYS = (
    "name",
    "count",
    "size",
    "region",
    "image",
    "vpc_uuid",
    "tags",
    "user_data",
    "monitoring",
    "ipv6",
    "backups",
    "public_networking",
)
POOLS = "must be a list of pools, each with at least `name` and `count`, such as in inventory/group_vars/all.yml"


def service_problems(
    settings: Mapping[str, t.Any], hosts: Mapping[str, Sequence[str]] | None = None, secrets: str | None = None
) -> list[str]:
    """A sentence for each problem.

    `settings`: the run's variables that begin with scaleout_, and service; where scaleout_pools is among them, the run
    is one that makes or removes droplets. `hosts`: the tags of the droplets that the run would work on. `secrets`: the
    folder with the service's secrets; empty if it needs the service's name and there is none.
    """
    service, of_inventory = (settings.get(name) or None for name in ("scaleout_service", "scaleout_inventory_service"))
    tags = hosts or {}
    droplets = [host for host in tags if services_of(tags[host]) or is_unclaimed_member(tags[host])]
    problems = []
    if service is None:
        # Of a folder that is named after it, nothing is known, or it has no name at its end
        no_folder = secrets is not None and (secrets == "" or secrets.endswith("/") or "{{" in secrets)
        if "scaleout_pools" in settings or droplets or no_folder:
            # A user's own variable may have that name where the service has its own
            hint = " There is a variable service; did you mean scaleout_service?" if settings.get("service") else ""
            problems.append(f"scaleout_service is not set, so nothing says which service this is. {WHERE}{hint}")
    elif problem := service_problem(service):
        problems.append(f"scaleout_service {problem}.")
    elif str(of_inventory or service) != str(service):
        problems.append(
            f"scaleout_service is {service}, but the inventory is that of service {of_inventory} (option service of "
            "its digitalocean.yml). Choose the other inventory with -i, or remove scaleout_service from group_vars and "
            "from the command line: the option sets it."
        )
    else:
        problems += _strangers(str(service), {host: tags[host] for host in droplets})
    if "scaleout_pools" in settings:
        problems += pools_problems(settings["scaleout_pools"])
    return problems + _moved(str(service), Path(secrets or "/"))


def _strangers(service: str, tags: Mapping[str, Sequence[str]]) -> list[str]:
    """Hosts of the inventory that are droplets of no service, or of another one."""
    of_hosts = {host: services_of(tags[host]) for host in tags}
    unclaimed = [host for host, services in of_hosts.items() if not services]
    of_others = {host: services for host, services in of_hosts.items() if services not in ([], [service])}
    problems = []
    if unclaimed:
        problems.append(
            f"{', '.join(unclaimed)}: of no service, because they were made before there were services. {ADOPT}."
        )
    if of_others:
        others = ", ".join(f"{host} ({', '.join(services)})" for host, services in of_others.items())
        problems.append(
            f"The service is {service}, but the inventory has droplets of others: {others}. Write "
            f"service: {service} into inventory/digitalocean.yml, in place of tag."
        )
    return problems


def pools_problems(pools: t.Any) -> list[str]:
    """A sentence for each thing that is wrong with scaleout_pools."""
    if (
        not isinstance(pools, list | tuple)
        or not pools
        or not all(isinstance(pool, Mapping) and {"name", "count"} <= set(pool) for pool in pools)
    ):
        return [f"scaleout_pools {POOLS}."]
    problems = []
    for pool in pools:
        where = f"Pool {pool['name']} of scaleout_pools"
        for key in sorted(set(map(str, pool)) - set(POOL_KEYS)):
            near = difflib.get_close_matches(key, POOL_KEYS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(POOL_KEYS)}."
            problems.append(f"{where} has {key}, which no pool takes; {hint}")
        try:
            check(Desired("shop", str(pool["name"]), 0))
        except PoolError as error:
            problems.append(f"scaleout_pools: {error}")
        if not re.fullmatch(r"[0-9]+", str(pool["count"])):
            problems.append(f"{where} has the count '{pool['count']}'; it must be a number of droplets.")
        if not isinstance(pool.get("tags", []), list | tuple):
            problems.append(f"{where} has the tags {pool['tags']!r}; they must be a list, such as [app].")
    names = [str(pool["name"]) for pool in pools]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        problems.append(f"scaleout_pools has more than one pool called {', '.join(twice)}.")
    return problems


def _moved(service: str, folder: Path) -> list[str]:
    """Generated secrets were in one folder for all services, and new ones would lock the app out of its database."""
    old = sorted(file.name for file in folder.parent.glob("*_password")) if folder.name == service else []
    if not old or folder.exists():
        return []
    return [
        f"The passwords of the service are now in {folder}, which is not there, and {folder.parent} has those of "
        f"before: {', '.join(old)}. Move them: mkdir -m 700 {folder} && mv {folder.parent}/*_password {folder}/ "
        "(copy them if another service uses them, too)."
    ]
