# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with an inventory or a setting is said before any host is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

REPO = Path(__file__).resolve().parents[3]
PLAYBOOK = str(Path(sys.executable).with_name("ansible-playbook"))
# Nobody answers there: a play that connected would fail, and say so
HOST = {"ansible_host": "127.0.0.1", "ansible_port": 9, "private_address": "10.0.0.1"}
OTHER = HOST | {"ansible_host": "127.0.0.2", "private_address": "10.0.0.2"}
SETTINGS = {
    "app_publish_address": "{{ private_address }}",
    "haproxy_servers": "{{ scaleout_app_servers }}",
    "postgresql_listen_addresses": ["{{ private_address }}"],
    "redis_bind": ["{{ private_address }}"],
    "app_image": "hits:{{ hits_release }}",
    "scaleout_build_role": "alphacoder.scaleout.hits",
    "postgresql_password": "a-secret-of-postgresql",
    "redis_password": "a-secret-of-redis",
    "postgresql_database": "hits",
    "postgresql_user": "hits",
    "haproxy_httpchk": "{{ scaleout_httpchk }}",
    "haproxy_http_check": "{{ scaleout_http_check }}",
    "haproxy_timeout_check": "{{ scaleout_timeout_check }}",
}


def preflight(
    directory: Path, groups: dict[str, Any], *arguments: str, bare: bool = False, **settings: Any
) -> subprocess.CompletedProcess[str]:
    """Run the preflight on a static inventory, without settings that are None; bare: without any but these."""
    inventory = directory / "hosts.yml"
    hosts = {group: {"hosts": hosts} for group, hosts in groups.items()}
    variables = {
        name: value for name, value in (settings if bare else SETTINGS | settings).items() if value is not None
    }
    inventory.write_text(yaml.safe_dump({"all": {"children": hosts, "vars": variables}}))
    done = subprocess.run(
        [PLAYBOOK, "-i", str(inventory), *arguments, str(REPO / "playbooks" / "preflight.yml")],
        cwd=REPO,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "400"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert "a-secret-of" not in done.stdout
    assert "Traceback" not in done.stdout
    return done


def everything() -> dict[str, Any]:
    return {
        "lb": {"lb-1": HOST},
        "app": {"app-1": HOST, "app-2": OTHER},
        "postgresql": {"data-1": HOST},
        "redis": {"data-1": HOST},
    }


def test_good_inventory_passes(tmp_path: Path) -> None:
    done = preflight(tmp_path, everything())

    assert done.returncode == 0, done.stdout


def test_empty_groups_are_named_with_what_else_is_known(tmp_path: Path) -> None:
    groups = everything() | {"app": {}, "lb": {}}
    done = preflight(tmp_path, groups, deploy_bacth=1)

    assert done.returncode != 0
    errors = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]")]
    assert len(errors) == 1
    # What is known without them is said, too
    assert "deploy_bacth is no variable of the playbooks; did you mean deploy_batch?" in done.stdout
    assert "No host in groups app, lb. With droplets, ansible-playbook playbooks/provision.yml" in errors[0]


URLS = {
    "DATABASE_URL": "postgresql://hits:a-secret-of-postgresql@db.example.org:25060/hits?sslmode=require",
    "REDIS_URL": "rediss://default:a-secret-of-redis@cache.example.org:25061",
}
JOINED = {"DATABASE_URL": "{{ scaleout_database_url }}", "REDIS_URL": "{{ scaleout_redis_url }}"}


@pytest.mark.parametrize(
    ("empty", "environment", "missing"),
    [
        ((), JOINED, ""),
        (("postgresql", "redis"), URLS, ""),
        (("redis",), JOINED | {"REDIS_URL": URLS["REDIS_URL"]}, ""),
        (("postgresql", "redis"), {}, ""),
        (("postgresql",), JOINED, "scaleout_database_url needs a host in group postgresql."),
        (("redis",), JOINED, "scaleout_redis_url needs a host in group redis."),
        (("app", "lb"), {}, "No host in groups app, lb. "),
    ],
)
def test_tier_may_be_elsewhere_if_its_url_is_set(
    tmp_path: Path, empty: tuple[str, ...], environment: dict[str, str], missing: str
) -> None:
    groups = {group: hosts for group, hosts in everything().items() if group not in empty}
    done = preflight(tmp_path, groups, app_env=environment)

    assert (done.returncode == 0) == (not missing), done.stdout
    assert missing in " ".join(done.stdout.split())


def test_tier_that_listens_for_itself_only_is_named(tmp_path: Path) -> None:
    done = preflight(tmp_path, everything(), app_publish_address=None)

    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert "app-1, app-2: app_publish_address is not set, so the other tiers could not reach them." in said


def test_port_that_no_load_balancer_asks_is_named(tmp_path: Path) -> None:
    done = preflight(tmp_path, everything(), app_publish_port=9000)

    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert "app-1: app_publish_port is 9000, but the load balancers ask scaleout_app_port, 8000." in said


def test_port_that_is_another_one_for_the_load_balancers_is_named(tmp_path: Path) -> None:
    apps = {name: HOST | {"scaleout_app_port": 9000, "app_publish_port": 9000} for name in ("app-1", "app-2")}
    done = preflight(tmp_path, everything() | {"app": apps})

    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert "scaleout_app_port is 9000 for app-1 and 8000 for lb-1. Set it in group_vars/all.yml" in said


def test_variables_that_nothing_reads_and_what_else_is_wrong_are_named_at_once(tmp_path: Path) -> None:
    """The inventory, the playbooks' variables, the command line and the roles, in one list."""
    groups = everything() | {"lb": {"lb-1": HOST | {"app_memory": "512m"}}}
    groups["app"] = {
        "app-1": HOST | {"haproxy_balance": "leastconn", "scaleout_pools": []},
        "app-2": HOST | {"private_address": ""},
    }
    done = preflight(tmp_path, groups, "-e", "relase=shop:2", "-e", "host=app-1", deploy_bacth=1, redis_port="x")

    assert done.returncode != 0
    end = " ".join(done.stdout.partition("PLAY [Result]")[2].split())
    for text in (
        "haproxy_balance is set for app-1, where nothing reads it: move it to inventory/group_vars/lb.yml.",
        "app_memory is set for lb-1, where nothing reads it: move it to inventory/group_vars/app.yml.",
        "scaleout_pools is set for app-1, where nothing reads it: move it to inventory/group_vars/all.yml.",
        "app-2: no private_address.",
        "relase is no variable of preflight.yml; did you mean release?",
        "host is no variable of preflight.yml; exec.yml, maintenance.yml have it.",
        "deploy_bacth is no variable of the playbooks; did you mean deploy_batch?",
        "redis_port is 'x'; it must be a whole number.",
    ):
        assert text in end.replace("''", "'"), done.stdout


@pytest.mark.parametrize(
    "inventory",
    [
        pytest.param(path, marks=[pytest.mark.slow] if number else [], id=path)
        for number, path in enumerate(
            ("inventory", "molecule/app/inventory", "molecule/own-app/inventory", "molecule/registry/inventory")
        )
    ],
)
def test_group_vars_of_the_collection_are_where_they_are_read(tmp_path: Path, inventory: str) -> None:
    (tmp_path / "inventory").mkdir()
    for part in ("group_vars", "host_vars"):
        if (REPO / inventory / part).is_dir():
            (tmp_path / "inventory" / part).symlink_to(REPO / inventory / part)
    pools = yaml.safe_load((REPO / inventory / "group_vars" / "all.yml").read_text())["scaleout_pools"]
    groups = {group: hosts for group, hosts in everything().items() if any(group in pool["tags"] for pool in pools)}
    done = preflight(tmp_path / "inventory", groups, "-e", "scaleout_service=shop", bare=True)

    assert done.returncode == 0, done.stdout


def test_limit_that_leaves_the_checks_out_is_refused(tmp_path: Path) -> None:
    done = preflight(tmp_path, everything(), "--limit", "lb-1")

    assert done.returncode != 0
    assert "--limit lb-1 leaves out localhost" in " ".join(done.stdout.split())
    assert preflight(tmp_path, everything(), "--limit", "localhost,lb-1").returncode == 0


def test_variable_that_a_playbook_does_not_know_is_named(tmp_path: Path) -> None:
    done = preflight(tmp_path, everything(), deploy_bacth=1, scaleout_app_prot=8000)

    assert done.returncode != 0
    assert "deploy_bacth is no variable of the playbooks; did you mean deploy_batch?" in done.stdout
    assert "scaleout_app_prot is no variable of the playbooks; did you mean scaleout_app_port?" in done.stdout


SECRETS = "{{ inventory_dir }}/.secrets/{{ scaleout_service }}"


def test_static_inventory_says_which_service_it_is(tmp_path: Path) -> None:
    done = preflight(tmp_path, everything(), scaleout_secrets_dir=SECRETS)

    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert "scaleout_service is not set, so nothing says which service this is." in said
    assert "with a static inventory, scaleout_service: NAME into group_vars/all.yml." in said
    assert preflight(tmp_path, everything(), scaleout_secrets_dir=SECRETS, scaleout_service="shop").returncode == 0


def test_bad_name_of_the_service_is_named(tmp_path: Path) -> None:
    done = preflight(tmp_path, everything(), scaleout_service="Shop_1")

    assert done.returncode != 0
    assert "scaleout_service is 'Shop_1'; it must be the name of a service" in " ".join(
        done.stdout.replace("''", "'").split()
    )


@pytest.mark.parametrize("service", ["", "Shop_1"])
def test_no_passwords_are_made_for_a_service_without_a_good_name(tmp_path: Path, service: str) -> None:
    password = "{{ lookup('ansible.builtin.password', scaleout_secrets_dir ~ '/redis_password') }}"
    settings = {"scaleout_secrets_dir": SECRETS, "scaleout_service": service, "redis_password": password}
    done = preflight(tmp_path, everything(), **settings)

    assert done.returncode != 0
    assert "scaleout_service is " in done.stdout
    assert not (tmp_path / ".secrets").exists()


def test_passwords_that_are_still_where_they_were_are_named(tmp_path: Path) -> None:
    (tmp_path / ".secrets").mkdir()
    (tmp_path / ".secrets" / "redis_password").write_text("x")
    done = preflight(tmp_path, everything(), scaleout_secrets_dir=SECRETS, scaleout_service="shop")

    assert done.returncode != 0
    assert f"Move them: mkdir -m 700 {tmp_path}/.secrets/shop && mv" in " ".join(done.stdout.split())


def test_entries_of_lists_are_checked_without_their_passwords(tmp_path: Path) -> None:
    done = preflight(
        tmp_path,
        everything(),
        postgresql_users=["reports:a-secret-of-reports"],
        redis_users=[{"name": "reports", "password": "a-secret-of-reports"}],
        docker_packages_from="ubuntu",
    )

    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    for text in (
        "docker_packages_from is 'ubuntu'; it must be distribution or docker.",
        "postgresql_users: entry 1 is text; it must be a dictionary of names and values.",
        "acl of reports in redis_users is not set; it must be text.",
    ):
        assert text in said.replace("''", "'")


def test_host_without_private_address_is_named(tmp_path: Path) -> None:
    groups = everything() | {"app": {"app-1": HOST, "app-2": HOST | {"private_address": ""}}}
    done = preflight(tmp_path, groups)

    assert done.returncode != 0
    assert "app-2: no private_address. With droplets, " in done.stdout


def test_hosts_without_any_private_address_are_named_at_once(tmp_path: Path) -> None:
    host = {key: value for key, value in HOST.items() if key != "private_address"}
    done = preflight(tmp_path, everything() | {"app": {"app-1": host, "app-2": OTHER, "app-3": host}})

    assert done.returncode != 0
    assert "app-1, app-3: no private_address. With droplets, " in done.stdout


# Of each role, what is wrong with types, names and templates, or what its own checks find; each run takes seconds
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {
                "haproxy_maxconn": "many",
                "haproxy_mode": "https",
                "haproxy_backends": {},
                "haproxy_balance": "leastcon",
                "haproxy_maintenance_page": "nowhere.html",
                "app_port": "abc",
                "app_env": {"REDIS_URL": "{{ scaleout_redis_ulr }}"},
                "app_environment": {},
                "redis_maxmemory_policy": "lru",
                "redis_appendfsync": False,
                "postgresql_client_addresses": "10.0.0.0/8",
                "deploy_drain_timeout": "30s",
                "rollout_batch": 2,
                "scaleout_ap_count": 3,
            },
            (
                "haproxy_maxconn is 'many'; it must be a whole number.",
                "haproxy_mode is 'https'; it must be http or tcp.",
                "haproxy_backends is a dictionary; it must be a list.",
                # Beside it, what the role's own checks find
                "haproxy_balance is 'leastcon'; it must be an algorithm of HAProxy; did you mean leastconn?",
                "haproxy_maintenance_page: there is no file nowhere.html on this machine",
                "app_port is 'abc'; it must be a whole number.",
                "app_env: 'scaleout_redis_ulr' is undefined, did you mean scaleout_redis_url?",
                "app_environment is no variable of role app; did you mean app_env?",
                "redis_maxmemory_policy is 'lru'; it must be noeviction, allkeys-lru",
                "redis_appendfsync is False; it must be everysec, always or no; put it into quotes",
                "postgresql_client_addresses is '10.0.0.0/8'; it must be a list, such as [10.0.0.0/8].",
                "deploy_drain_timeout is 30s; it must be a number, 0 or more.",
                "rollout_batch is no variable of the playbooks; did you mean deploy_batch?",
                "scaleout_ap_count is no variable of the playbooks; did you mean app_count?",
            ),
        ),
        (
            {
                "haproxy_balanace": "leastconn",
                "haproxy_timeout_client": "30",
                "haproxy_cookie": "SERVERID",
                "redis_port": 70000,
                "redis_password": "short",
                "redis_acl": "+@all >a-secret-of-redis everything",
                "redis_maxmemroy": "256mb",
                "postgresql_password": "short",
                "postgresql_user": "postgres",
                "postgresql_client_addresses": ["10.0.0.0/33"],
                "postgresql_max_connections": "2",
                "postgresql_settings": {"port": 1, "jit": [1]},
                "postgresql_backup_directory": "backups",
                "hits_workers": 2,
                "hits_python_version": "python3",
                "hits_base_image_archive": "/nowhere.tar",
                "app_health_timeout": 0,
                "app_stop_timeout": -1,
                "app_env": {"PORT": 8000},
                "app_health": {"path": "up"},
                "app_container_options": {"cap_drop": []},
                "app_volumes": ["uploads"],
                "app_files": [{"dest": "/run/secrets/key", "content": 1234}],
                "docker_daemon_options": {"hosts": []},
            },
            (
                "haproxy_balanace is no variable of role haproxy; did you mean haproxy_balance?",
                "haproxy_timeout_client is '30'; it must be a number with its unit",
                "haproxy_cookie is 'SERVERID'; it must be a name and one of insert, rewrite",
                "redis_port is 70000; it must be between 1 and 65535",
                "redis_password must have at least 12 characters",
                "without quotes or a password. Wrong: >..., everything.",
                "redis_maxmemroy is no variable of role redis; did you mean redis_maxmemory?",
                "postgresql_password must have at least 12 characters",
                "postgresql_user must not be postgres, the superuser",
                "postgresql_client_addresses has 10.0.0.0/33; each must be a network, such as",
                "postgresql_max_connections is 2; it must be 10 or more",
                "must not have port: set postgresql_port instead.",
                "and a text, a number, true or false for each",
                "postgresql_backup_directory is 'backups'; it must be a path of at least",
                "hits_workers was removed; set WORKERS in app_env",
                "hits_python_version is 'python3'; it must be the CPython version of hits_base_image",
                "this machine has no such file",
                "app_health_timeout is 0; it must be 1 or more",
                "app_stop_timeout is -1; it must be 0 or more",
                "app_env: PORT must be text, and is a number.",
                "app_health: path is 'up'; it must begin with /",
                "app_container_options has cap_drop; set app_capabilities",
                "app_volumes has 'uploads'; it must be a volume or a directory, and a path",
                "app_files: /run/secrets/key must have a content that is text",
                "docker_daemon_options must not set 'hosts'",
            ),
        ),
    ],
)
def test_wrong_settings_of_all_roles_are_named_at_once(
    tmp_path: Path, settings: dict[str, Any], says: tuple[str, ...]
) -> None:
    done = preflight(tmp_path, everything(), **settings)

    assert done.returncode != 0
    # The last task has all of it, as YAML, which breaks lines, and doubles some quotes
    end = " ".join(done.stdout.partition("PLAY [Result]")[2].split()).replace("''", "'")
    for text in says:
        assert text in end, done.stdout
