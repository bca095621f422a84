# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A variable that a role doesn't have is named, and a number that is out of bounds."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings import not_between, unknown_names
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_command_line import TAKES
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_names import (
    PLAYBOOKS,
    TIER_OF_ROLE,
    options_of,
)

from scripts import untested_options

REPO = Path(__file__).resolve().parents[4]
PLAYBOOK_FILES = sorted((REPO / "playbooks").glob("[!_]*.yml"))
SPECIAL = ("follow_seconds", "status_file")

OPTIONS = ("redis_port", "redis_maxmemory")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("redis_maxmemory", []),
        ("redis_maxmemroy", ["redis_maxmemroy is no variable of role redis; did you mean redis_maxmemory?"]),
        ("redis_x", ["redis_x is no variable of role redis; roles/redis/README.md lists them."]),
        ("redis_url", ["redis_url was removed; set redis_port instead."]),
        ("redis_restore_file", []),
        ("redis_restore_fil", ["redis_restore_fil is no variable of role redis; roles/redis/README.md lists them."]),
        ("redis_fact_version", []),
        ("__redis_maxmemroy", []),
        ("redison", []),
        ("postgresql_port", []),
    ],
)
def test_unknown_names(name: str, says: list[str]) -> None:
    removed = {"redis_url": "set redis_port instead"}
    also = ("redis_restore_file", "redis_fact_*")
    assert unknown_names({name: 1, "redis_port": 2}, "redis", OPTIONS, removed, also) == says


def rows(playbook: str) -> list[str]:
    """The names in the table of a playbook's header."""
    return re.findall(r"^#   (\w+)  ", playbook, re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        # A slip of the pen, and a longer or a shorter word
        ("app_prot", "app_port"),
        ("app_healthcheck", "app_health"),
        ("app_volume", "app_volumes"),
        # Another one's prefix
        ("rollout_batch", "deploy_batch"),
        ("scaleout_batch", "deploy_batch"),
        ("app_balance", "haproxy_balance"),
        ("haproxy_health_path", "app_health_path"),
        ("redis_max_connections", "postgresql_max_connections"),
        # A prefix before a whole name
        ("scaleout_ap_count", "app_count"),
        ("scaleout_haproxy_balance", "haproxy_balance"),
        ("app_cuont", "app_count"),
        # Words of others
        ("app_environment", "app_env"),
        ("app_replicas", "app_count"),
        # Several would fit
        ("haproxy_x", ""),
    ],
)
def test_name_that_was_meant_is_said(name: str, meant: str) -> None:
    role = name.partition("_")[0]
    options = options_of(role) if role in TIER_OF_ROLE else PLAYBOOKS

    (problem,) = unknown_names({name: 1}, role, options)
    assert problem.endswith(f"did you mean {meant}?" if meant else "lists them.")


def test_every_variable_of_the_playbooks_is_known() -> None:
    """Those of a header, and those that the tiers' defaults have."""
    headers = [name for file in PLAYBOOK_FILES for name in untested_options.playbook_variables(file.read_text())]
    tiers = yaml.safe_load((REPO / "playbooks/roles/tiers/defaults/main.yml").read_text())
    names = {name for name in (*headers, *tiers) if name.startswith(("deploy_", "scaleout_"))}

    assert names - set(PLAYBOOKS) == set()
    taken = {name for file in PLAYBOOK_FILES for name in rows(file.read_text()) if "_" not in name or name in SPECIAL}
    assert taken == {name for names in TAKES.values() for name in names}
    assert {file.stem for file in PLAYBOOK_FILES} == set(TAKES)


def test_all_unknown_names_are_said_at_once() -> None:
    assert len(unknown_names({"redis_a": 1, "redis_b": 2}, "redis", OPTIONS)) == 2


@pytest.mark.parametrize(
    ("value", "high", "says"),
    [
        (1, 3, ""),
        ("3", 3, ""),
        (0, 3, "redis_port is 0; it must be between 1 and 3."),
        (4, 3, "redis_port is 4; it must be between 1 and 3."),
        ("many", 3, "redis_port is many; it must be a number, between 1 and 3."),
        (None, 3, "redis_port is None; it must be a number, between 1 and 3."),
        (4, None, ""),
        (0, None, "redis_port is 0; it must be 1 or more."),
    ],
)
def test_not_between(value: t.Any, high: int | None, says: str) -> None:
    assert not_between({"redis_port": value}, "redis_port", 1, high) == ([says] if says else [])
    assert not_between({}, "redis_port", 1, high) == []
