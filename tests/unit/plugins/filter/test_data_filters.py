# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles postgresql and docker decide."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.alphacoder.scaleout.plugins.filter.docker_plan import docker_plan
from ansible_collections.alphacoder.scaleout.plugins.filter.openpgp_fingerprints import openpgp_fingerprints
from ansible_collections.alphacoder.scaleout.plugins.filter.postgresql_plan import postgresql_plan

APP = {"name": "shop", "owner": "app", "password": "p-app", "extensions": ["pg_trgm"]}

# --- PostgreSQL ---


def test_app_alone() -> None:
    plan = postgresql_plan(APP, [], [], "Debian-12")
    assert {key: plan[key] for key in ("databases", "passwords", "access", "extensions", "roles")} == {
        "databases": {"shop": "app"},
        "passwords": {"app": "p-app"},
        "access": [{"database": "shop", "user": "app"}],
        "extensions": [{"database": "shop", "name": "pg_trgm"}],
        "roles": [],
    }


def test_more_databases_and_users() -> None:
    databases = [{"name": "wiki", "owner": "wiki", "extensions": ["hstore"]}, {"name": "metrics", "owner": None}]
    users: list[dict[str, t.Any]] = [
        {"name": "wiki", "password": "p-wiki"},
        {"name": "reports", "password": "p-reports", "databases": ["shop", "wiki"], "roles": ["pg_read_all_data"]},
    ]
    plan = postgresql_plan(APP, databases, users, "Debian-13")

    assert plan["databases"] == {"shop": "app", "wiki": "wiki", "metrics": "app"}
    assert plan["passwords"] == {"app": "p-app", "wiki": "p-wiki", "reports": "p-reports"}
    assert [f"{one['user']}@{one['database']}" for one in plan["access"]] == [
        *("app@shop", "app@metrics", "wiki@wiki", "reports@shop", "reports@wiki")
    ]
    assert plan["extensions"][1:] == [{"database": "wiki", "name": "hstore"}]
    assert plan["roles"] == [{"user": "reports", "role": "pg_read_all_data"}]


def test_places_are_those_of_the_distribution_s_version() -> None:
    plan = postgresql_plan(APP, [], [], "Ubuntu-24")

    assert (plan["version"], plan["unit"]) == ("16", "postgresql@16-main")
    assert (plan["config"], plan["data"]) == ("/etc/postgresql/16/main", "/var/lib/postgresql/16/main")
    assert plan["psql"].startswith(plan["programs"] + "/psql ")
    assert '--port="$(sed -n 4p /var/lib/postgresql/16/main/postmaster.pid)"' in plan["psql"]


# --- Docker ---

OWN = "/etc/apt/sources.list.d/scaleout-docker.sources"
OTHER = "/etc/apt/sources.list.d/docker.list"
ENGINE = "docker.io | docker-ce"
CE = ["docker-ce", "docker-ce-cli", "containerd.io"]


def told(installed: list[str], sources: list[str]) -> list[str]:
    """What a host says that had an engine before."""
    packages = [f"package {name} installed" for name in installed]
    return (
        [*packages, "package docker.io config-files", *sources] if "docker.io" not in installed else packages + sources
    )


@pytest.mark.parametrize(
    ("missing", "installed", "packages_from", "sources", "separate", "packages"),
    [
        # Nothing is there
        ([ENGINE, "iptables"], [], "distribution", [], False, ["docker.io", "iptables"]),
        ([ENGINE, "iptables"], [], "distribution", [], True, ["docker.io", "docker-cli", "iptables"]),
        (CE, [], "docker", [], True, CE),
        # The distribution's, without what belongs to it
        (
            ["iptables"],
            ["docker.io", "containerd", "runc"],
            "distribution",
            [],
            True,
            ["docker.io", "docker-cli", "iptables"],
        ),
        # An image that came with Docker's
        (["python3-requests"], CE, "distribution", [OTHER], True, ["python3-requests"]),
        (["python3-requests"], CE, "docker", [], True, ["python3-requests"]),
        # Interrupted before the packages came, and then another setting
        ([ENGINE], [], "distribution", [OWN], False, ["docker.io"]),
        (["docker-ce"], CE[1:], "docker", [OWN], True, ["docker-ce"]),
    ],
)
def test_engine_that_is_there_is_kept(
    missing: list[str],
    installed: list[str],
    packages_from: str,
    sources: list[str],
    separate: bool,
    packages: list[str],
) -> None:
    plan = docker_plan(missing, told(installed, sources), packages_from, OWN, separate)
    assert plan == {"packages": packages, "problem": ""}


@pytest.mark.parametrize(
    ("installed", "packages_from", "sources", "says"),
    [
        (["docker.io", "containerd"], "docker", [], "but this host has containerd, docker.io of its distribution"),
        (["runc"], "docker", [], "run 'apt-get remove runc', then run this again."),
        ([], "docker", [OTHER, OWN], f"but {OTHER} has Docker's repository already"),
        (CE, "distribution", [OWN], "but this host has Docker's packages, which this role installed."),
        (
            ["containerd.io"],
            "distribution",
            [],
            "but this host has containerd.io of Docker, which the distribution's engine",
        ),
    ],
)
def test_engine_is_never_replaced(installed: list[str], packages_from: str, sources: list[str], says: str) -> None:
    problem = docker_plan([], told(installed, sources), packages_from, OWN, False)["problem"]
    assert problem.startswith(f"docker_packages_from is {packages_from}, but ")
    assert says in problem


# --- Keys ---

FINGERPRINT = "9002B82E68EC6ECB48F2C35E0537506D90837847"
# Made for this test: a key that signs, and a subkey
KEY = """-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawpqUBYJKwYBBAHaRw8BAQdAe+JE1K6+av72TQIXwuSSWJNI6TUfWDQjNFIN
uFng6Mq0CFRlc3Qgb25liJAEExYIADgWIQSQArguaOxuy0jyw14FN1BtkIN4RwUC
awpqUAIbAwULCQgHAgYVCgkICwIEFgIDAQIeAQIXgAAKCRAFN1BtkIN4R/KTAP4z
CexPvDe9Mw3VmE7sNr9Ka5INJyIbG5ptTaGAU9DNLwD+JtUvFXaxXHfWSUKZqwtH
iswk6TOCcW75+vi8KJyRWAe4OARrCmpQEgorBgEEAZdVAQUBAQdAvOZceGkN9poE
vyqhF3T3Bz/oqU/A8Y1LWf5kEP7yyWkDAQgHiHgEGBYIACAWIQSQArguaOxuy0jy
w14FN1BtkIN4RwUCawpqUAIbDAAKCRAFN1BtkIN4R5N7AQCY8Mfa1rBrMpq63nuR
19aG1fHT8VlSo+jF4ke+HCQKQAD6A8QAyZMtNeYtNBhERdsSt9Fi27s/8PDaC6sY
GaK6sAw=
=PTtL
-----END PGP PUBLIC KEY BLOCK-----
"""
# An old packet of a version that is past, and a new one with a length of five bytes
VERSION_3 = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmAIDAA==\n=AAAA\n-----END PGP PUBLIC KEY BLOCK-----\n"
LONG = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxv8AAAACBAA=\n-----END PGP PUBLIC KEY BLOCK-----\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (KEY, [FINGERPRINT]),
        (KEY.replace("\n", "\r\n"), [FINGERPRINT]),
        (KEY.replace("BLOCK-----\n\n", "BLOCK-----\nComment: of a test\n\n", 1), [FINGERPRINT]),
        (KEY + KEY, [FINGERPRINT, FINGERPRINT]),
        (VERSION_3, ["unknown"]),
        (LONG, ["C62CE68657A0A5FBBA52F08876E13DA542D507A5"]),
        (KEY.replace("mDMEawp", "mDMEaw"), ["unknown"]),
        (KEY.replace("mDMEawp", "AAAAawp"), ["unknown"]),
        ("<html>no such page</html>", []),
        ("", []),
    ],
)
def test_fingerprints_of_keys(text: str, found: list[str]) -> None:
    assert openpgp_fingerprints(text) == found
