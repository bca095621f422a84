# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container of an app is made of, and what its last words say that it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.alphacoder.scaleout.plugins.filter.app_container import app_container
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_hints import app_hints
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_mounts import mount_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_options import (
    FREE,
    LABEL,
    OWN,
    PARTS_LABEL,
    RELEASE_LABEL,
    ROLE,
)
from ansible_collections.community.docker.plugins.modules import docker_container

SETTINGS = {
    "app_name": "shop",
    "app_image": "shop:1",
    "app_publish_port": 8000,
    "app_publish_address": "10.0.0.3",
    "app_port": 8080,
    "app_env": {"A": "1"},
    "app_instance_id": "app-1",
}


def wanted(**settings: Any) -> dict[str, Any]:
    return app_container({**SETTINGS, **settings}, "app-1")


def made(**settings: Any) -> dict[str, Any]:
    web: dict[str, Any] = wanted(**settings)["web"]
    return web


def options(**settings: Any) -> dict[str, Any]:
    return made(**settings)["options"]


def test_container_without_further_settings_has_what_the_role_guarantees() -> None:
    assert {key: value for key, value in options().items() if key != "labels"} == {
        "name": "shop",
        "image": "shop:1",
        "pull": "missing",
        "restart_policy": "unless-stopped",
        "env": {"A": "1", "INSTANCE_ID": "app-1"},
        "published_ports": ["10.0.0.3:8000:8080"],
        "stop_timeout": 30,
        "init": True,
        "read_only": True,
        "tmpfs": ["/tmp"],
        "cap_drop": ["ALL"],
        "security_opts": ["no-new-privileges"],
        "comparisons": {"labels": "ignore", "env": "strict", "stop_timeout": "strict"},
    }


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({}, {"name": "shop", "port": 8000, "release": "shop:1", "image": "shop:1", "beside": False}),
        ({"app_beside": True}, {"name": "shop-beside", "port": 8001, "beside": True, "processes": []}),
        ({"app_beside": "True", "app_beside_port": 9000}, {"port": 9000}),
        # Modules of community.docker do not find an image by tag and digest
        (
            {"app_image": "r:5000/shop:1@sha256:ab"},
            {"release": "r:5000/shop:1@sha256:ab", "image": "r:5000/shop@sha256:ab"},
        ),
        ({"app_state": "rolled_back", "app_former_release": "shop:0"}, {"release": "shop:0"}),
        ({"app_former_release": "shop:0"}, {"release": "shop:1"}),
    ],
)
def test_what_is_wanted_of_the_app(settings: dict[str, Any], found: dict[str, Any]) -> None:
    all_of_it = wanted(app_processes={"worker": {"command": "work"}}, **settings)
    assert {key: all_of_it[key] for key in found} == found


def test_health_is_known_of_nothing_else() -> None:
    """Group_vars of load balancers have no more of the app."""
    assert app_container({"app_health_path": "/up"})["health"]["httpchk"] == "GET /up"


def test_login_is_as_docker_keeps_it() -> None:
    registry = {"server": "r.example.com", "username": "me", "password": "s3cret"}
    login = wanted(app_registry=registry)["login"]

    assert login["content"] == {"auths": {"r.example.com": {"auth": "bWU6czNjcmV0"}}}
    assert len(login["sum"]) == 4
    assert wanted(app_registry=registry | {"password": "other"})["login"]["sum"] != login["sum"]
    hub = wanted(app_registry={"username": "me", "password": "s3cret"})["login"]
    assert (hub["server"], list(hub["content"]["auths"])) == ("docker.io", ["https://index.docker.io/v1/"])
    assert {key: wanted()["login"][key] for key in ("content", "sum")} == {"content": {}, "sum": ""}


def test_engine_tries_all_but_what_two_containers_cannot_have() -> None:
    more = {"ulimits": ["nofile:1:2"], "networks": [{"name": "n", "ipv4_address": "192.0.2.9"}], "init": False}
    settings = {"app_memory": "64m", "app_user": "10001", "app_command": ["serve"], "app_container_options": more}
    trial = made(**settings)["trial"]

    assert not {"networks", "published_ports"} & set(trial)
    assert (trial["memory"], trial["user"], trial["ulimits"]) == ("64m", "10001", ["nofile:1:2"])
    # Nothing of the image runs, and nothing is left of it
    assert (trial["entrypoint"], trial["command"], trial["init"]) == (["/sbin/docker-init"], ["--version"], True)
    assert (trial["restart_policy"], trial["cleanup"], trial["keep_volumes"]) == ("no", True, False)
    # It does not count as one of the app's
    assert (trial["name"], trial["labels"]) == ("shop-trial", {})


@pytest.mark.parametrize(
    ("settings", "option", "value"),
    [
        ({"app_command": ["a", "b"]}, "command", ["a", "b"]),
        ({"app_command": "a b"}, "command", "a b"),
        ({"app_entrypoint": ["/e"]}, "entrypoint", ["/e"]),
        ({"app_user": "1:2"}, "user", "1:2"),
        ({"app_capabilities": ["CHOWN"]}, "capabilities", ["CHOWN"]),
        ({"app_memory": "512m"}, "memory", "512m"),
        ({"app_cpus": "1.5"}, "cpus", 1.5),
        ({"app_read_only": False}, "read_only", False),
        ({"app_tmpfs": ["/run"]}, "tmpfs", ["/run"]),
        ({"app_stop_timeout": 9}, "stop_timeout", 9),
        (
            {"app_volumes": ["uploads:/app/uploads", "/srv:/srv:ro"]},
            "volumes",
            ["uploads:/app/uploads", "/srv:/srv:ro"],
        ),
        ({"app_container_options": {"ulimits": ["nofile:1:2"]}}, "ulimits", ["nofile:1:2"]),
        # These are the user's to decide
        ({"app_container_options": {"init": False}}, "init", False),
        ({"app_container_options": {"security_opts": ["seccomp=unconfined"]}}, "security_opts", ["seccomp=unconfined"]),
    ],
)
def test_setting_becomes_an_option_and_another_label(settings: dict[str, Any], option: str, value: Any) -> None:
    found = options(**settings)

    assert found[option] == value
    # So that it is noticed when it is removed again
    assert found["labels"][LABEL] != options()["labels"][LABEL]


@pytest.mark.parametrize(
    "settings",
    [
        {
            "app_command": [],
            "app_entrypoint": [],
            "app_user": "",
            "app_capabilities": [],
            "app_memory": "",
            "app_cpus": 0,
        },
        {"app_volumes": [], "app_files": [], "app_container_options": {}, "app_read_only": True, "app_tmpfs": ["/tmp"]},
        # They change nothing of the container
        {"app_health": {"path": "/up"}, "app_releases_kept": 7, "app_count": 4},
    ],
)
def test_what_is_as_by_default_is_the_same_container(settings: dict[str, Any]) -> None:
    assert options(**settings) == options()


def test_labels_and_mounts_of_the_user_are_added() -> None:
    mount = {"type": "tmpfs", "target": "/cache", "tmpfs_size": "10m"}
    volume = {"source": "data", "target": "/data", "read_only": True}
    found = options(app_volumes=[volume], app_container_options={"labels": {"team": "shop"}, "mounts": [mount]})

    assert found["mounts"] == [{"type": "volume"} | volume, mount]
    assert found["labels"] == {
        "team": "shop",
        LABEL: found["labels"][LABEL],
        RELEASE_LABEL: "shop:1",
        PARTS_LABEL: found["labels"][PARTS_LABEL],
    }


def test_directory_of_the_host_is_made_with_its_owner() -> None:
    volume = {"source": "/srv/uploads", "target": "/up", "owner": "10001:20001", "mode": "0750"}
    found = made(app_volumes=[volume, {"source": "/srv/x", "target": "/x"}, "/etc/hosts:/h:ro"])

    assert found["directories"] == [
        {"path": "/srv/uploads", "owner": "10001", "group": "20001", "mode": "0750"},
        {"path": "/srv/x"},
    ]
    assert found["options"]["mounts"][0] == {
        "type": "bind",
        "source": "/srv/uploads",
        "target": "/up",
        "read_only": False,
    }


def test_files_are_in_a_folder_of_what_is_in_them(tmp_path: Path) -> None:
    source = tmp_path / "app.conf"
    source.write_bytes(b"\xff\x00")
    files = [
        {"dest": "/etc/app.conf", "src": str(source)},
        {"dest": "/run/secrets/key", "content": "s3cret", "owner": "10001", "mode": "0400"},
    ]
    found = made(app_files=files)
    folder = found["folder"]

    assert folder.startswith("/var/lib/alphacoder-app/shop/")
    assert found["files"] == [
        {"dest": f"{folder}/0-app.conf", "src": str(source), "owner": "0", "group": "0", "mode": "0444"},
        {"dest": f"{folder}/1-key", "content": "s3cret", "owner": "10001", "group": "10001", "mode": "0400"},
    ]
    assert found["options"]["mounts"] == [
        {"type": "bind", "source": f"{folder}/0-app.conf", "target": "/etc/app.conf", "read_only": True},
        {"type": "bind", "source": f"{folder}/1-key", "target": "/run/secrets/key", "read_only": True},
    ]
    assert "s3cret" not in str(found["options"])
    assert "s3cret" not in str(found["trial"])

    # The one that runs keeps its own when any of it changes
    folders = {folder}
    source.write_text("changed")
    for change in ({}, {"content": "other"}, {"owner": "10002"}, {"mode": "0440"}):
        folders.add(made(app_files=[files[0], files[1] | change])["folder"])
    assert len(folders) == 5
    assert made()["folder"] == ""


def test_every_option_of_docker_s_module_is_the_user_s_or_the_role_s() -> None:
    known = set(yaml.safe_load(docker_container.DOCUMENTATION)["options"])

    assert known - FREE - set(OWN) - ROLE == set()
    assert not FREE & (set(OWN) | ROLE)
    assert FREE - known == set()


READ_ONLY = "It may not write to its own file system. If it must write to {}, name that in app_tmpfs"
ROOT = "It has only the Linux capabilities of app_capabilities, and seems to need CHOWN, SETGID, SETUID."
OWNER = "Its user may not use {}. app_user names another user"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (
            '[emerg] 1#1: mkdir() "/var/cache/nginx/client_temp" failed (30: Read-only file system)',
            READ_ONLY.format("/var/cache/nginx"),
        ),
        ('[emerg] 1#1: open() "/run/nginx.pid" failed (30: Read-only file system)', READ_ONLY.format("/run")),
        ("OSError: [Errno 30] Read-only file system: '/app/static/a.css'", READ_ONLY.format("/app/static")),
        ("Errno::EROFS: Read-only file system @ dir_s_mkdir - /rails/tmp/pids", READ_ONLY.format("/rails/tmp")),
        ("error: read-only filesystem", READ_ONLY.format("there")),
        ('[emerg] 7#7: chown("/var/lib/nginx/body", 33) failed (1: Operation not permitted)', ROOT),
        ("[emerg] 8#8: setgid(33) failed (1: Operation not permitted)", ROOT),
        ("chown: changing ownership of '/data': Operation not permitted", ROOT),
        ('error: failed switching to "postgres": operation not permitted', ROOT),
        ("[pool www] failed to setuid(33): Operation not permitted (1)", ROOT),
        ("PermissionError: [Errno 1] Operation not permitted: '/srv/run'", ROOT),
        ("[emerg] 1#1: bind() to 0.0.0.0:80 failed (13: Permission denied)", "seems to need NET_BIND_SERVICE."),
        (
            "(13)Permission denied: AH00072: make_sock: could not bind to address [::]:80",
            "seems to need NET_BIND_SERVICE.",
        ),
        ("listen tcp :80: bind: permission denied", "seems to need NET_BIND_SERVICE."),
        ("ping: socktype: SOCK_RAW: raw socket: Operation not permitted", "seems to need NET_RAW."),
        ("PermissionError: [Errno 13] Permission denied: '/app/uploads/a.png'", OWNER.format("/app/uploads")),
        ("exec /entrypoint.sh: permission denied", OWNER.format("a file")),
    ],
)
def test_what_a_container_lacks_is_told_by_its_last_lines(line: str, hint: str) -> None:
    (found,) = app_hints(["starting", line, line])

    assert hint in found


def test_container_that_says_nothing_of_it_gets_no_hint() -> None:
    assert app_hints(["GREETING is not set", "GET /up 403 Forbidden", ""]) == []


def test_all_that_a_container_lacks_is_said() -> None:
    lines = [
        "chown: Operation not permitted",
        "bind: Permission denied",
        "'/a/b': Read-only file system",
        "open /c/d: permission denied",
    ]

    assert [hint.split(".")[0] for hint in app_hints(lines)] == [
        "It may not write to its own file system",
        f"{ROOT.removesuffix('.')}, NET_BIND_SERVICE",
        "Its user may not use /c",
    ]


def test_assets_are_mounted_read_only_where_the_image_has_them() -> None:
    found = made(app_assets="/app/public")

    assert found["assets"].startswith("/var/lib/alphacoder-app/shop/")
    assert found["options"]["mounts"] == [
        {"type": "bind", "source": f"{found['assets']}/assets", "target": "/app/public", "read_only": True}
    ]
    # Each release, and each directory, has a folder of its own
    assert made(app_assets="/app/static")["assets"] != found["assets"]
    assert made()["assets"] == ""


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"app_assets": "public"}, "app_assets is 'public'; it must be a directory of the image, such as /app/public."),
        ({"app_assets": "/"}, "app_assets is '/'"),
        ({"app_assets": "/tmp"}, "/tmp is named more than once in app_volumes, app_files, app_tmpfs and app_assets"),
    ],
)
def test_wrong_assets_are_named(settings: dict[str, Any], says: str) -> None:
    problems = mount_problems({"app_tmpfs": ["/tmp"]} | settings)

    assert len(problems) == 1
    assert problems[0].startswith(says)


def test_release_of_the_run_holds_over_the_image_of_the_command_line() -> None:
    settings = {"app_image": "shop:1", "app_release": "shop:2", "app_former_release": "shop:0"}

    assert app_container(settings)["web"]["options"]["image"] == "shop:2"
    assert app_container(settings | {"app_release": ""})["release"] == "shop:1"
    assert app_container(settings | {"app_state": "rolled_back"})["release"] == "shop:0"
