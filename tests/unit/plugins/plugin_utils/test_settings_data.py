# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles docker, redis and postgresql say of settings that they could not use."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_docker import docker_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_postgresql import postgresql_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_redis import redis_problems

SECRET = "a-secret-of-14"
TOO_SHORT = "secret"
GOOD = {"docker": {}, "redis": {"redis_password": SECRET}, "postgresql": {"postgresql_password": SECRET}}
FILTERS = {"docker": docker_problems, "redis": redis_problems, "postgresql": postgresql_problems}


def problems(role: str, settings: dict[str, t.Any]) -> list[str]:
    """What the role says of these settings, beside good ones."""
    found = FILTERS[role](GOOD[role] | settings)
    assert not [text for text in found if SECRET in text or f"{TOO_SHORT}." in text]
    return found


def of(role: str, *cases: tuple[t.Any, ...]) -> list[t.Any]:
    return [pytest.param(role, *case, id=f"{role}_{case[0]}={str(case[1])[:40]}") for case in cases]


@pytest.mark.parametrize(
    ("role", "name", "value"),
    [
        *of(
            "docker",
            ("daemon_options", {}),
            ("daemon_options", {"live-restore": True}),
            ("packages_from", "docker"),
            ("repository", "http://192.0.2.1:8080/linux"),
            ("repository_fingerprint", "9dc858229fc7dd38854ae2d88d81803c0ebfcd88"),
            ("users", ["deploy", "svc.app-1"]),
        ),
        *of(
            "redis",
            ("user", "shop_1-a"),
            ("acl", "~shop:* %R~x &* +@all -@dangerous +info resetkeys allcommands"),
            ("admin_password", ""),
            ("admin_password", f"another-{SECRET}"),
            ("port", "6380"),
            ("users", [{"name": "reports-1", "password": SECRET, "acl": "~* +@read"}]),
            *(("maxmemory", size) for size in ("", "0", "1048576", "256mb", "1GB", "5k")),
        ),
        *of(
            "postgresql",
            ("user", "_shop1"),
            (
                "client_addresses",
                ["10.0.0.0/8", "fd00::/8", "::/0", "samenet", "all", ".example.org", "db.eu"],
            ),
            ("shared_buffers", "512MB"),
            ("settings", {"jit": False, "pg_stat_statements.max": 100, "search_path": "it's"}),
            ("backup_directory", "/srv/back-ups/x.y"),
            ("restore_file", ""),
            ("backup_hour", 0),
            (
                "hba",
                [
                    "local all all peer map=admins",
                    "hostssl all reports 10.0.0.0/8 scram-sha-256",
                    'host "a b",c +staff 192.0.2.1 255.255.255.255 reject',
                ],
            ),
            *(("locale", locale) for locale in ("", "C.UTF-8", "de_DE.UTF-8", "de_DE.utf8", "ca_ES.UTF-8@valencia")),
            ("packages", ["postgresql-17-pgvector"]),
            ("extensions", ["pg_trgm", "uuid-ossp"]),
            ("databases", [{"name": "metrics"}, {"name": "wiki", "owner": "app", "extensions": ["hstore"]}]),
            ("users", [{"name": "reports", "password": SECRET, "databases": ["app"], "roles": ["pg_read_all_data"]}]),
        ),
    ],
)
def test_good_settings_pass(role: str, name: str, value: t.Any) -> None:
    assert problems(role, {f"{role}_{name}": value}) == []


@pytest.mark.parametrize(
    ("role", "name", "value", "says"),
    [
        *of(
            "docker",
            ("daemon_options", {"hosts": []}, "docker_daemon_options must not set 'hosts': the distribution's"),
            ("daemon_options", "debug", "docker_daemon_options must be a dictionary"),
            ("deamon_options", {}, "did you mean docker_daemon_options?"),
            ("packages_from", "ubuntu", "docker_packages_from is 'ubuntu'; it must be distribution or docker."),
            ("repository", "mirror.example.org", "docker_repository is 'mirror.example.org'; it must be an address"),
            ("repository", "https://example.org/linux/", "without a slash at its end"),
            ("repository", "https://example.org/a b", "docker_repository is 'https://example.org/a b'"),
            ("repository_fingerprint", "0EBFCD88", "must be the 40 digits of the key's whole fingerprint"),
            ("users", "deploy", "docker_users must be a list of users of the host, such as [deploy]."),
            ("users", ["root", "a b", "deploy"], "docker_users has root, a b; each must be the name of a user"),
        ),
        *of(
            "redis",
            ("password", TOO_SHORT, "redis_password must have at least 12 characters."),
            ("admin_password", TOO_SHORT, "redis_admin_password must be empty, or have at least 12 characters"),
            ("admin_password", SECRET, "and differ from redis_password."),
            ("user", "default", "redis_user is 'default'; it must be letters, digits, _ and -, and not default."),
            ("user", "a b", "redis_user is 'a b'"),
            ("acl", "", "redis_acl must be rules of Redis' ACL"),
            ("acl", "+@all\nuser x", "redis_acl must be rules of Redis' ACL"),
            ("acl", f"+@all >{SECRET} everything", "without quotes or a password. Wrong: >..., everything."),
            ("acl", "~'x'", "redis_acl must be rules of Redis' ACL"),
            ("bind", "10.0.0.1", "redis_bind must be a list of addresses, such as [127.0.0.1]."),
            ("port", 70000, "redis_port is 70000; it must be between 1 and 65535."),
            ("memory_percent", 0, "redis_memory_percent is 0; it must be between 1 and 100."),
            ("maxmemory", "half", "redis_maxmemory is 'half'; it must be empty, bytes, or a number with kb, mb or gb"),
            (
                "users",
                [{"name": "default", "password": SECRET, "acl": "+@read"}],
                "redis_users has 'default'; a name must be letters, digits, _ and -, and not default.",
            ),
            (
                "users",
                [{"name": "app", "password": SECRET, "acl": "+@read"}],
                "redis_users has app more than once, or again what redis_user already is.",
            ),
            (
                "users",
                [{"name": "reports", "password": TOO_SHORT, "acl": "+@read"}],
                "redis_users: the password of reports must have at least 12 characters.",
            ),
            (
                "users",
                [{"name": "reports", "password": SECRET, "acl": f">{SECRET}"}],
                "redis_users: acl of reports must be rules of Redis' ACL",
            ),
            ("maxmemroy", "1gb", "redis_maxmemroy is no variable of role redis; did you mean redis_maxmemory?"),
        ),
        *of(
            "postgresql",
            ("password", TOO_SHORT, "postgresql_password must have at least 12 characters."),
            ("user", "postgres", "postgresql_user must not be postgres, the superuser."),
            ("database", "Shop", "postgresql_database ('Shop') and postgresql_user ('app') must be lower-case"),
            ("database", "a" * 64, "have at most 63 characters"),
            ("port", 0, "postgresql_port is 0; it must be between 1 and 65535."),
            ("listen_addresses", "*", "postgresql_listen_addresses must be a list, such as [localhost]."),
            ("client_addresses", "all", "postgresql_client_addresses must be a list, such as [10.110.0.0/20]."),
            ("client_addresses", ["10.0.0.0/33", "all"], "has 10.0.0.0/33; each must be a network, such as"),
            ("client_addresses", ["10.0.0/8"], "postgresql_client_addresses has 10.0.0/8;"),
            ("memory_percent", 101, "postgresql_memory_percent is 101; it must be between 1 and 100."),
            ("max_connections", "2", "postgresql_max_connections is 2; it must be 10 or more."),
            ("work_mem", "a lot", "postgresql_work_mem is 'a lot'; it must be empty, or a size such as 512MB"),
            ("shared_buffers", "1gb", "postgresql_shared_buffers is '1gb'"),
            ("settings", {"jit": [1]}, "and a text, a number, true or false for each."),
            ("settings", {"jit": None}, "and a text, a number, true or false for each."),
            ("settings", {"Jit": 1}, "postgresql_settings must have names of postgresql.conf in lower case"),
            ("settings", "jit", "postgresql_settings must be a dictionary"),
            ("settings", {"port": 1, "jit": 1}, "postgresql_settings must not have port: set postgresql_port instead."),
            (
                "backup_directory",
                "/backups",
                "postgresql_backup_directory is '/backups'; it must be a path of at",
            ),
            ("backup_hour", 24, "postgresql_backup_hour is 24; it must be between 0 and 23."),
            ("backup_days", 0, "postgresql_backup_days is 0; it must be 1 or more."),
            ("hba", "host all all all md5", "postgresql_hba must be a list of lines, such as"),
            (
                "hba",
                ["local all all peer", "hosts a b all md5"],
                "postgresql_hba, line 2 begins with 'hosts'; it must be one of",
            ),
            ("hba", [""], "postgresql_hba, line 1 begins with ''; it must be one of local, host,"),
            ("hba", ["host all all\nhost all all all trust"], "postgresql_hba, line 1 has a line break"),
            ("hba", ["host all all md5"], "it must be TYPE DATABASE USER ADDRESS METHOD, and options of the method."),
            ("hba", ["local all all"], "it must be TYPE DATABASE USER METHOD, and options of the method."),
            (
                "locale",
                "de_DE",
                "postgresql_locale is 'de_DE'; it must be empty, or a locale of UTF-8, such as de_DE.UTF-8",
            ),
            ("locale", "de_DE.ISO-8859-1", "postgresql_locale is 'de_DE.ISO-8859-1'"),
            ("packages", ["a b"], "postgresql_packages must be a list of names of Debian packages"),
            ("extensions", "pg_trgm", "postgresql_extensions must be a list of names of extensions"),
            ("extensions", ["x; y"], "postgresql_extensions must be a list of names of extensions"),
            *(
                ("databases", [{"name": name}], f"postgresql_databases has '{name}'; a name must be lower-case letters")
                for name in ("Wiki", "all", "template1", "pg_x", "app_replaced", "a" * 64)
            ),
            ("databases", [{"name": "app"}], "has app more than once, or again what postgresql_database already is."),
            (
                "databases",
                [{"name": "wiki", "owner": "nobody"}],
                "postgresql_databases: wiki has the owner nobody, who is neither postgresql_user nor in",
            ),
            (
                "databases",
                [{"name": "wiki", "extensions": ["x;"]}],
                "postgresql_databases: extensions of wiki must be a list of names of extensions",
            ),
            *(
                ("users", [{"name": name, "password": SECRET}], f"postgresql_users has '{name}'; a name must be")
                for name in ("Reports", "postgres", "all", "pg_monitor")
            ),
            (
                "users",
                [{"name": "a", "password": SECRET}, {"name": "a", "password": SECRET}],
                "postgresql_users has a more than once",
            ),
            (
                "users",
                [{"name": "reports", "password": TOO_SHORT}],
                "postgresql_users: the password of reports must have at least 12 characters.",
            ),
            (
                "users",
                [{"name": "reports", "password": SECRET, "databases": ["wiki"]}],
                "postgresql_users: reports has the databases wiki, which are neither postgresql_database nor in",
            ),
            ("memory", 1, "postgresql_memory is no variable of role postgresql"),
        ),
    ],
)
def test_wrong_setting_is_named(role: str, name: str, value: t.Any, says: str) -> None:
    [problem] = problems(role, {f"{role}_{name}": value})
    assert says in problem


def test_everything_wrong_is_named_at_once() -> None:
    assert len(problems("redis", {"redis_port": 0, "redis_password": TOO_SHORT, "redis_x": 1})) == 3
