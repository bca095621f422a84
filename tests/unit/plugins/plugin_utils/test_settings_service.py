# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_service import POOL_KEYS, service_problems
from support import REPO

POOLS = [{"name": "app", "count": 2}, {"name": "lb", "count": 1, "tags": ["lb"]}]
SHOP = {"scaleout_service": "shop", "scaleout_inventory_service": "shop"}
OWN = ["service:shop", "pool:app", "app"]


@pytest.mark.parametrize(
    ("settings", "hosts"),
    [
        # A static inventory
        ({}, {}),
        ({"scaleout_service": None, "scaleout_inventory_service": None}, {}),
        ({"scaleout_service": "shop"}, {}),
        ({"scaleout_service": 2026, "scaleout_inventory_service": "2026"}, {}),
        ({"scaleout_service": "shop", "scaleout_pools": POOLS}, {}),
        (SHOP, {"app-1": OWN}),
        (SHOP, {"app-1": ["Service:Shop", "Pool:App"]}),
        # Droplets that are in no pool: somebody else's way to have a service
        ({}, {"web-1": ["app"]}),
        (SHOP, {"web-1": ["app"]}),
    ],
)
def test_good_ones(settings: dict[str, t.Any], hosts: dict[str, list[str]]) -> None:
    assert service_problems(settings, hosts=hosts) == []


@pytest.mark.parametrize(
    ("settings", "hosts", "says"),
    [
        ({"scaleout_pools": POOLS}, {}, ["scaleout_service is not set", "in place of tag: scaleout"]),
        ({"service": "shop", "scaleout_pools": POOLS}, {}, ["variable service; did you mean scaleout_service?"]),
        ({"scaleout_service": "", "scaleout_pools": POOLS}, {}, ["scaleout_service is not set"]),
        # An inventory file with tag: scaleout
        ({}, {"app-1": OWN}, ["scaleout_service is not set"]),
        ({}, {"app-1": ["scaleout", "pool:app"]}, ["scaleout_service is not set"]),
        ({"scaleout_service": "Shop"}, {}, ["scaleout_service is 'Shop'; it must be the name of a service"]),
        ({"scaleout_service": ["shop"]}, {}, ["scaleout_service is ['shop']; it must be"]),
        (
            {"scaleout_service": "shop", "scaleout_inventory_service": "shop-staging"},
            {"app-1": OWN},
            ["scaleout_service is shop, but the inventory is that of service shop-staging"],
        ),
        (
            {"scaleout_service": "shop"},
            {"app-1": OWN, "app-2": ["service:other", "pool:app"], "app-3": ["pool:app"], "app-4": ["Pool:App"]},
            ["app-3, app-4: of no service", "playbooks/adopt.yml", "droplets of others: app-2 (other)."],
        ),
        (
            {"scaleout_service": "shop"},
            {"app-1": [*OWN, "service:other"]},
            ["droplets of others: app-1 (other, shop)."],
        ),
        ({**SHOP, "scaleout_pools": None}, {}, ["scaleout_pools must be a list of pools"]),
        (
            {**SHOP, "scaleout_pools": [{"name": "a", "count": 1, "sise": "x"}]},
            {},
            ["a of scaleout_pools has sise", "size?"],
        ),
        ({**SHOP, "scaleout_pools": [{"name": "a", "count": 1, "qqq": 1}]}, {}, ["it takes name, count, size"]),
        ({**SHOP, "scaleout_pools": []}, {}, ["scaleout_pools must be"]),
        ({**SHOP, "scaleout_pools": {"name": "app", "count": 1}}, {}, ["scaleout_pools must be"]),
        ({**SHOP, "scaleout_pools": ["app"]}, {}, ["scaleout_pools must be"]),
        ({**SHOP, "scaleout_pools": [{"name": "app"}]}, {}, ["scaleout_pools must be"]),
        ({"scaleout_pools": "app"}, {}, ["scaleout_service is not set", "scaleout_pools must be"]),
    ],
)
def test_bad_ones(settings: dict[str, t.Any], hosts: dict[str, list[str]], says: list[str]) -> None:
    problems = "\n".join(service_problems(settings, hosts=hosts))
    for text in says:
        assert text in problems


def test_passwords_of_before_are_to_be_moved(tmp_path: Path) -> None:
    new = tmp_path / ".secrets" / "shop"
    assert service_problems(SHOP, secrets=str(new)) == []
    assert service_problems(SHOP, secrets="") == service_problems({}, secrets="/elsewhere") == []
    for unknown in ("", "/x/{{ scaleout_service }}"):
        assert "scaleout_service is not set" in service_problems({}, secrets=unknown)[0]
    new.parent.mkdir()
    (new.parent / "redis_password").write_text("x")
    (problem,) = service_problems(SHOP, secrets=str(new))
    assert f"are now in {new}, which is not there, and {new.parent} has those of before: redis_password." in problem
    # A folder of the user's own
    assert service_problems(SHOP, secrets=str(new.parent / "own")) == []

    subprocess.run(problem.partition("Move them: ")[2].partition(" (copy")[0], shell=True, check=True)
    assert (new / "redis_password").read_text() == "x"
    assert service_problems(SHOP, secrets=str(new)) == []


@pytest.mark.parametrize("service", ["", None])
@pytest.mark.parametrize("secrets", ["", "/me/.secrets/", "/me/.secrets/{{ scaleout_service }}"])
def test_secrets_of_no_service_are_no_folder(service: str | None, secrets: str) -> None:
    (problem,) = service_problems({"scaleout_service": service}, secrets=secrets)
    assert problem.startswith("scaleout_service is not set")
    assert service_problems({"scaleout_service": service}, secrets="/me/.secrets/shop") == []


def test_keys_of_a_pool_are_those_that_the_playbook_reads() -> None:
    read = re.findall(r"__scaleout_pool\.([a-z0-9_]+)", (REPO / "playbooks" / "tasks" / "pool.yml").read_text())
    assert set(read) == set(POOL_KEYS)
