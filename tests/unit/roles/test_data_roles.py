# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles docker, postgresql and redis write into files, by the host's memory and by their settings."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import ansible_templates

ROLES = Path(__file__).resolve().parents[3] / "roles"


def text_of(role: str, template: str, mebibytes: int = 2048, version: str = "13", **settings: Any) -> str:
    """Return a file that the role writes on a host with this memory and version of its distribution."""
    folder = ROLES / role
    defaults = yaml.safe_load((folder / "defaults" / "main.yml").read_text())
    facts = {"memtotal_mb": mebibytes, "distribution_version": version}
    host = {"ansible_facts": facts, "ansible_managed": "Ansible managed"}
    return ansible_templates.render((folder / "templates" / template).read_text(), {**defaults, **settings, **host})


def render(role: str, template: str, mebibytes: int = 2048, **settings: Any) -> dict[str, str]:
    """Return the settings of such a file, and their values."""
    text = text_of(role, template, mebibytes, **settings)
    lines = [line.replace(" = ", " ", 1).split(" ", 1) for line in text.splitlines() if line and line[0] != "#"]
    return {name: value.strip("'") for name, value in lines}


@pytest.mark.parametrize(
    ("mebibytes", "percent", "sizes"),
    [
        (480, 75, ("90MB", "270MB", "22MB", "4MB")),
        (1967, 75, ("368MB", "1106MB", "92MB", "4MB")),
        (1967, 100, ("491MB", "1475MB", "122MB", "4MB")),
        (8192, 100, ("2048MB", "6144MB", "512MB", "20MB")),
        (131072, 100, ("16384MB", "98304MB", "2048MB", "382MB")),
    ],
)
def test_postgresql_shares_out_memory(mebibytes: int, percent: int, sizes: tuple[str, ...]) -> None:
    found = render("postgresql", "scaleout.conf.j2", mebibytes, postgresql_memory_percent=percent)
    names = ("shared_buffers", "effective_cache_size", "maintenance_work_mem", "work_mem")

    assert tuple(found[name] for name in names) == sizes


def test_settings_of_the_user_hold_over_the_formula() -> None:
    found = render(
        "postgresql",
        "scaleout.conf.j2",
        postgresql_shared_buffers="1GB",
        postgresql_port=5433,
        postgresql_effective_cache_size="3GB",
        postgresql_maintenance_work_mem="128MB",
        postgresql_work_mem="64MB",
        postgresql_max_connections=20,
        postgresql_settings={"synchronous_commit": False, "search_path": "it's", "random_page_cost": 1.1},
    )

    assert (found["shared_buffers"], found["work_mem"], found["max_connections"]) == ("1GB", "64MB", "20")
    assert (found["effective_cache_size"], found["maintenance_work_mem"], found["port"]) == ("3GB", "128MB", "5433")
    assert (found["synchronous_commit"], found["fsync"], found["random_page_cost"]) == ("off", "on", "1.1")
    assert found["search_path"] == "it''s"


def test_number_that_ansible_core_made_a_text_restarts_no_postgresql() -> None:
    numbers = {"postgresql_port": 5433, "postgresql_max_connections": 20}
    texts = {name: str(number) for name, number in numbers.items()}

    file = text_of("postgresql", "scaleout.conf.j2", **numbers)
    assert "port = 5433\n" in file
    assert text_of("postgresql", "scaleout.conf.j2", **texts) == file


def test_own_lines_of_pg_hba_come_after_the_way_in_of_the_role_and_before_its_users() -> None:
    text = text_of(
        "postgresql",
        "pg_hba.conf.j2",
        postgresql_hba=["local all all peer", "host all reports 192.0.2.0/24 reject"],
        postgresql_client_addresses=["samenet", "10.0.0.0/8"],
        __postgresql_plan={"access": [{"database": "app", "user": "app"}, {"database": "app", "user": "reports"}]},
    )

    assert [" ".join(line.split()) for line in text.splitlines() if not line.startswith("#")] == [
        "local all postgres peer",
        "local all all peer",
        "host all reports 192.0.2.0/24 reject",
        "host app app samenet scram-sha-256",
        "host app app 10.0.0.0/8 scram-sha-256",
        "host app reports samenet scram-sha-256",
        "host app reports 10.0.0.0/8 scram-sha-256",
    ]


@pytest.mark.parametrize(
    ("locale", "options"),
    [("", "--data-checksums"), ("de_DE.UTF-8", "--data-checksums --lc-collate=de_DE.UTF-8 --lc-ctype=de_DE.UTF-8")],
)
def test_new_cluster_has_the_locale(locale: str, options: str) -> None:
    assert render("postgresql", "createcluster.conf.j2", postgresql_locale=locale)["initdb_options"] == options


def test_redis_without_an_append_only_file() -> None:
    found = render("redis", "redis.conf.j2", redis_appendonly=False)

    assert found["appendonly"] == "no"
    assert "appendfsync" not in found


@pytest.mark.parametrize(
    ("settings", "maxmemory"),
    [
        ({}, "1024mb"),
        ({"redis_memory_percent": 15}, "307mb"),
        ({"redis_memory_percent": 1}, "64mb"),
        ({"redis_maxmemory": "0"}, "0"),
        ({"redis_maxmemory": "1gb"}, "1gb"),
    ],
)
def test_redis_has_its_part_of_memory(settings: dict[str, Any], maxmemory: str) -> None:
    assert render("redis", "redis.conf.j2", 2048, **settings)["maxmemory"] == maxmemory


@pytest.mark.parametrize(
    ("version", "admin", "default", "app"),
    [
        ("13", "", "default reset", "~* &* +@all -@admin -@dangerous +info"),
        ("12", "of-an-admin", "default reset on #{} ~* &* +@all", "~* &* +@all -@admin -@dangerous +info"),
        ("22.04", "of-an-admin", "default reset on #{} ~* +@all", "~* +@all -@admin -@dangerous +info"),
    ],
)
def test_redis_has_users_without_their_passwords(version: str, admin: str, default: str, app: str) -> None:
    def digest(text: str) -> str:
        return sha256(text.encode()).hexdigest()

    reports = {"name": "reports", "password": "of-reports", "acl": "~x &y +@read"}
    secrets = {"redis_password": "of-the-app", "redis_admin_password": admin, "redis_users": [reports]}
    text = text_of("redis", "users.conf.j2", version=version, **secrets)

    users = [" ".join(line.split()) for line in text.splitlines() if line.startswith("user ")]
    assert users == [
        f"user {default.format(digest(admin))}",
        f"user app reset on #{digest('of-the-app')} {app}",
        f"user reports reset on #{digest('of-reports')} ~x &y +@read".replace(" &y" if version == "22.04" else "-", ""),
    ]


def test_docker_options_are_json_in_one_order() -> None:
    text = text_of("docker", "daemon.json.j2", docker_daemon_options={"live-restore": True, "dns": ["192.0.2.1"]})

    assert text.endswith("}\n")
    assert list(json.loads(text).items()) == [("dns", ["192.0.2.1"]), ("live-restore", True)]
