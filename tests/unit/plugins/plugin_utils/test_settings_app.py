# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with settings of roles app and hits, and with those of a roll-out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_app import app_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_deploy import deploy_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_hits import REMOVED, hits_problems

LOGIN = {"username": "me", "password": "secret"}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"app_image": "shop:1", "app_name": "shop", "app_port": "8080", "app_health_path": ""},
        {"app_image": "localhost:5000/me/shop_1:1.4@sha256:abc", "app_health_path": "/up?deep=1"},
        {"app_image": "localhost:5000/shop@sha256:abc", "app_tmpfs": []},
        {"app_image": "me/shop", "app_registry": LOGIN},
        {"app_image": "me/shop:1", "app_registry": LOGIN | {"server": "docker.io"}},
        {"app_image": "r.example.com:5000/shop", "app_registry": LOGIN | {"server": "r.example.com:5000"}},
        {"app_image": "lb-1:5000/me/shop:1", "app_registry": LOGIN | {"server": "lb-1:5000"}},
        # A release from before
        {"app_image": "old.example.com/shop:1@sha256:abc", "app_registry": LOGIN | {"server": "r.example.com"}},
        {
            "app_env": {"_A1": "x", "WORKERS": "4", "RATE": "0.5"},
            "app_beside_port": 0,
            "app_stop_timeout": 0,
            "app_count": 2,
            "app_pending": True,
        },
        {"app_health": {"path": "/up", "headers": {"Host": "a.org"}, "status": "200-299,401", "timeout": 2}},
        {"app_health": {"path": "/up", "status": 200}, "app_health_path": ""},
        {"app_command": "serve --port 80", "app_entrypoint": ["/e"], "app_user": "www-data", "app_memory": "1g"},
        {"app_command": "sh -c 'a && b > $HOME'", "app_before_release": ["sh", "-c", "a; b"]},
        {"app_command": "nginx -g 'daemon off;'", "app_after_release": ["find", "/", "-exec", "rm", "{}", ";"]},
        {"app_command": "a && b", "app_entrypoint": ["sh", "-c"], "app_volumes": ["uploads:/up:ro,z"]},
        {"app_image": "REG.example.com:5000/me/a__b/c-d.e:V1.2_x@sha256:0af"},
        {"app_command": ["a"], "app_user": "10001:10001", "app_capabilities": ["CHOWN"], "app_cpus": "0.5"},
        {"app_volumes": ["uploads:/up", "/srv/a:/a:ro", {"source": "/srv/b", "target": "/b", "owner": 10001}]},
        {"app_volumes": [{"source": "data", "target": "/d", "read_only": True}]},
        {"app_files": [{"dest": "/run/secrets/k", "content": ""}, {"dest": "/f", "src": __file__, "mode": "0400"}]},
        {"app_container_options": {"shm_size": "1g", "labels": {"a": "b"}, "mounts": [], "network_mode": "shop"}},
    ],
)
def test_good_settings_of_an_app(settings: dict[str, Any]) -> None:
    assert app_problems(settings) == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"app_image": "Shop:1"}, "app_image is 'Shop:1'; it must be an image reference"),
        ({"app_image": "/:1"}, "it must be an image reference"),
        ({"app_image": "https://ghcr.io/me/shop:1"}, "it must be an image reference"),
        ({"app_image": "ghcr.io/Me/shop:1"}, "and the name in lower case"),
        ({"app_image": 1.4}, "app_image is the number 1.4; it must be an image reference"),
        ({"app_image": "shop:1", "app_image_archive": "/tmp"}, "app_image_archive is '/tmp', which is a directory"),
        ({"app_command": "migrate && serve"}, "app_command has &&, which only a shell understands"),
        ({"app_command": "serve --port $PORT"}, "app_command has $PORT, which only a shell understands"),
        ({"app_before_release": "cd /app; ./migrate"}, "app_before_release has /app;, which only a shell"),
        ({"app_after_release": ["./manage.py clear_cache"]}, "app_after_release is one word with spaces"),
        ({"app_command": "say 'hello"}, "it can't be split into words"),
        ({"app_processes": {"beat": {"command": "celery > log"}}}, "app_processes: beat: command has >, which only a"),
        ({"app_env": {"clear": {"A": "b"}}}, "Write the variables themselves into app_env, without clear."),
        ({"app_volumes": ["uploads:/up:readonly"]}, "with readonly; it may be ro, rw, z"),
        ({"app_volumes": [{"source": "/s", "target": "/t", "mode": 750}]}, 'in quotes, such as "0750".'),
        ({"app_files": [{"dest": "/a", "content": "x", "mode": 644}]}, 'in quotes, such as "0644".'),
        ({"app_files": [{"dest": "/a", "content": "x", "mode": 0o644}]}, 'in quotes, such as "0644".'),
        ({"app_image": "shop:1 --privileged"}, "it must be an image reference"),
        ({"app_name": "my shop"}, "app_name is 'my shop'; it must be letters"),
        ({"app_health_path": "up"}, "app_health_path is 'up'; it must be empty, or begin with /"),
        ({"app_health_path": "/a b"}, "app_health_path is '/a b'"),
        ({"app_port": 0}, "app_port is 0; it must be between 1 and 65535"),
        ({"app_publish_port": 70000}, "app_publish_port is 70000"),
        ({"app_beside_port": -1}, "app_beside_port is -1; it must be between 0 and 65535"),
        ({"app_health_timeout": 0}, "app_health_timeout is 0; it must be 1 or more"),
        ({"app_stop_timeout": -1}, "app_stop_timeout is -1; it must be 0 or more"),
        (
            {"app_image": "localhost:5000/shop", "app_image_archive": "/shop.tar"},
            "it must have a tag, such as localhost:5000/shop:1.4",
        ),
        ({"app_registry": "me:secret"}, "app_registry must be a dictionary, such as {server: "),
        ({"app_registry": {"username": "me"}}, "app_registry has no password; it must be {server: "),
        ({"app_registry": {"username": "", "password": "secret"}}, "app_registry has no username"),
        ({"app_registry": LOGIN | {"url": "x"}}, "app_registry has url; it must be {server: "),
        ({"app_registry": LOGIN | {"username": "me:secret"[:3]}}, "username is 'me:'; it must not have a colon"),
        (
            {"app_registry": LOGIN | {"server": "https://registry.example.com/v2/"}},
            "server is 'https://registry.example.com/v2/'; it must be a name, with a port if images have one, such as "
            "registry.example.com.",
        ),
        ({"app_registry": LOGIN | {"server": "registry"}}, "server is 'registry'; it must be a name"),
        ({"app_registry": LOGIN | {"server": "https://index.docker.io/v1/"}}, "for Docker Hub, leave it out"),
        ({"app_registry": LOGIN | {"server": "hub.docker.com"}}, "for Docker Hub, leave it out"),
        (
            {"app_registry": LOGIN | {"server": "registry.example.com"}, "app_image": "me/shop:1"},
            "logs in to registry.example.com, but app_image, me/shop:1, is an image of docker.io: the name of an image "
            "begins with its registry, as in registry.example.com/me/shop:1.4.",
        ),
        (
            {"app_registry": LOGIN, "app_image": "localhost/shop:1"},
            "logs in to docker.io, but app_image, localhost/shop:1, is an image of localhost",
        ),
        ({"app_registry": LOGIN, "app_image_archive": "/shop.tar"}, "but app_image_archive is set: remove one of them"),
        ({"app_tmpfs": "/tmp /run"}, "app_tmpfs is '/tmp /run'; it must be a list of paths"),
        ({"app_tmpfs": ["run"]}, "it must be a list of paths"),
        ({"app_env": "TOKEN=secret"}, "app_env must be a dictionary of names and values"),
        (
            {"app_env": {"DEBUG": False}},
            'app_env: DEBUG must be text, and is true or false. Write it in quotes, DEBUG: "…"',
        ),
        ({"app_env": {"PIN": 12345678}}, 'app_env: PIN must be text, and is a number. Write it in quotes, PIN: "…"'),
        ({"app_env": {"A": None}}, "app_env: A must be text, and is nothing."),
        ({"app_env": {"A": ["secret"]}}, "app_env: A must be text, and is a list, a dictionary or a date."),
        ({"app_health": "/up"}, "app_health is '/up'; it must be a dictionary"),
        ({"app_health": {"status": 200}}, "app_health: path is ''; it must begin with /"),
        ({"app_health": {"path": "/a'b"}}, "app_health: path is '/a'b'; it must begin with /"),
        ({"app_health": {"path": "/up", "hdr": {}}}, "app_health has hdr; it takes path, headers, status, timeout."),
        ({"app_health": {"path": "/up", "status": "2xx"}}, "app_health: status is '2xx'; it must be a status, a range"),
        ({"app_health": {"path": "/up", "status": "399-200"}}, "app_health: status is '399-200'"),
        (
            {"app_health": {"path": "/up", "timeout": "5s"}},
            "app_health: timeout is '5s'; it must be a number of seconds",
        ),
        ({"app_health": {"path": "/up", "timeout": True}}, "app_health: timeout is True"),
        (
            {"app_health": {"path": "/up", "headers": ["Host: a"]}},
            "app_health: headers is ['Host: a']; it must be a dict",
        ),
        (
            {"app_health": {"path": "/up", "headers": {"Ho st": "a"}}},
            "headers has 'Ho st', which is no name of a header",
        ),
        ({"app_health": {"path": "/up", "headers": {"Host": "a\r\nB: c"}}}, "header Host must be text of one line"),
        ({"app_health": {"path": "/up", "headers": {"X-Id": 7}}}, "header X-Id must be text of one line; put a number"),
        ({"app_health": {"path": "/up"}, "app_health_path": "/up"}, "app_health_path and app_health are both set"),
        ({"app_command": [1]}, "app_command is [1]; it must be a text or a list of texts; put numbers into quotes."),
        ({"app_entrypoint": "/e"}, "app_entrypoint is '/e'; it must be a list of texts"),
        ({"app_user": "a b"}, "app_user is 'a b'; it must be a user with or without a group, such as 10001:10001."),
        ({"app_capabilities": ["chown"]}, "app_capabilities is ['chown']; it must be a list of Linux capabilities"),
        ({"app_capabilities": "CHOWN"}, "app_capabilities is 'CHOWN'; it must be a list of Linux capabilities"),
        ({"app_memory": "512"}, "app_memory is '512'; it must be a number with its unit (b, k, m, g), such as 512m."),
        ({"app_memory": "512MiB"}, "app_memory is '512MiB'"),
        ({"app_cpus": "half"}, "app_cpus is half; it must be a number, such as 1.5"),
        ({"app_volumes": "uploads:/up"}, "app_volumes is 'uploads:/up'; it must be a list"),
        ({"app_volumes": ["a:/x"]}, "The name of a volume has at least two characters"),
        ({"app_files": [{"dest": "etc/x", "content": "x"}]}, "app_files: etc/x must have a dest: a file's path in the"),
        ({"app_volumes": ["uploads"]}, "app_volumes has 'uploads'; it must be a volume or a directory, and a path"),
        ({"app_volumes": ["./up:/up"]}, "app_volumes has './up:/up'"),
        ({"app_volumes": ["a:b"]}, "app_volumes has 'a:b'"),
        ({"app_volumes": [1]}, "app_volumes has 1; it must be a text"),
        ({"app_volumes": [{"source": "/s"}]}, "app_volumes: /s must have a target: a path in the container"),
        ({"app_volumes": [{"source": "s/t", "target": "/t"}]}, "app_volumes: s/t must have a source"),
        (
            {"app_volumes": [{"source": "/s", "target": "/t", "ro": True}]},
            "app_volumes: /s has ro; it takes source, target",
        ),
        (
            {"app_volumes": [{"source": "vv", "target": "/t", "mode": "0700"}]},
            "app_volumes: vv is a volume, which has the",
        ),
        (
            {"app_volumes": [{"source": "/s", "target": "/t", "owner": "node"}]},
            "has the owner 'node'; it must be the number",
        ),
        ({"app_volumes": [{"source": "/s", "target": "/t", "mode": 488}]}, "has the mode 488; it must be in quotes"),
        (
            {"app_volumes": [{"source": "/s", "target": "/t", "read_only": "yes"}]},
            "has read_only 'yes'; it must be true",
        ),
        (
            {"app_volumes": ["uploads:/tmp/"], "app_tmpfs": ["/tmp:size=1m"]},
            "/tmp is named more than once in app_volumes",
        ),
        ({"app_files": {"dest": "/a"}}, "app_files must be a list of dictionaries"),
        ({"app_files": ["secret"]}, "app_files must have dictionaries"),
        ({"app_files": [{"content": "secret"}]}, "app_files: an entry without dest must have a dest"),
        (
            {"app_files": [{"dest": "a", "content": "secret"}]},
            "app_files: a must have a dest: a file's path in the container",
        ),
        ({"app_files": [{"dest": "/a"}]}, "app_files: /a must have one of src and content."),
        ({"app_files": [{"dest": "/a", "src": "/b", "content": "secret"}]}, "must have one of src and content."),
        (
            {"app_files": [{"dest": "/a", "content": 1234}]},
            "must have a content that is text; put a number into quotes.",
        ),
        ({"app_files": [{"dest": "/a", "src": "/nowhere"}]}, "has the src /nowhere, which is no file on this machine."),
        (
            {"app_files": [{"dest": "/a", "content": "secret", "mode": 256}]},
            'has the mode 256; it must be in quotes, such as "0400".',
        ),
        (
            {"app_files": [{"dest": "/a", "content": "secret", "owner": "app"}]},
            "has the owner 'app'; it must be the number",
        ),
        (
            {"app_files": [{"dest": "/a", "content": "secret", "path": "/b"}]},
            "app_files: /a has path; it takes src, content",
        ),
        ({"app_container_options": ["shm_size"]}, "app_container_options must be a dictionary"),
        ({"app_container_options": {"cap_drop": []}}, "has cap_drop; set app_capabilities, which names those that the"),
        (
            {"app_container_options": {"published_ports": []}},
            "has published_ports; set app_port, app_publish_address and",
        ),
        (
            {"app_container_options": {"restart_policy": "no"}},
            "has restart_policy; remove it, for the role decides how",
        ),
        ({"app_container_options": {"auto_remove": True}}, "has auto_remove; remove it"),
        (
            {"app_container_options": {"shmsize": "1g"}},
            "has shmsize, which is no option of a container; did you mean shm_size?",
        ),
        ({"app_container_options": {"zzz": 1}}, "has zzz, which is no option of a container"),
        ({"app_container_options": {"labels": ["a"]}}, "labels must be a dictionary"),
        ({"app_container_options": {"labels": {"alphacoder.scaleout.settings": "x"}}}, "which is the role's own"),
        ({"app_container_options": {"mounts": {}}}, "app_container_options: mounts must be a list."),
        (
            {"app_container_options": {"network_mode": "host"}},
            "network_mode is 'host', with which Docker publishes no port",
        ),
        ({"app_env": {"NOT-A-NAME": "secret"}}, "app_env has NOT-A-NAME; a name must be"),
        ({"app_env": {"INSTANCE_ID": "secret"}}, "INSTANCE_ID is set with app_instance_id"),
        ({"app_healt_path": "/up"}, "app_healt_path is no variable of role app; did you mean app_health_path?"),
    ],
)
def test_wrong_setting_of_an_app_is_named(settings: dict[str, Any], says: str) -> None:
    (problem,) = app_problems(settings)

    assert says in problem
    assert "secret" not in problem.replace("/run/secrets", "")
    assert "1234" not in problem


def test_all_that_is_wrong_is_named_at_once() -> None:
    assert len(app_problems({"app_image": "Shop:1", "app_port": 0, "app_env": {"1": ""}, "app_imgae": "x"})) == 4


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"hits_python_version": "python3"}, "hits_python_version is 'python3'; it must be the CPython version"),
        ({"hits_base_image_archive": "/nowhere.tar"}, "this machine has no such file"),
        ({"hits_base_imag": "x"}, "did you mean hits_base_image?"),
    ],
)
def test_wrong_setting_of_hits_is_named(settings: dict[str, Any], says: str) -> None:
    (problem,) = hits_problems(settings)

    assert says in problem


@pytest.mark.parametrize("name", REMOVED)
def test_removed_variable_of_hits_says_what_to_use(name: str) -> None:
    (problem,) = hits_problems({name: "secret"})

    assert problem.startswith(f"{name} was removed; ")
    assert "app_" in problem
    assert "secret" not in problem


def test_python_without_pip_is_said_before_there_is_something_to_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    settings = {"hits_cache_dir": str(tmp_path), "hits_release": "abc"}
    (problem,) = hits_problems(settings)
    assert "has no pip, which fetches the packages of hits. Install it there" in problem

    (tmp_path / "context-abc").mkdir()
    (tmp_path / "context-abc" / "context.tar").touch()
    assert hits_problems(settings) == []


def test_good_settings_of_hits(tmp_path: Path) -> None:
    archive = tmp_path / "base.tar"
    archive.touch()

    assert hits_problems({"hits_base_image_archive": str(archive), "hits_release": "1a2b"}) == []


@pytest.mark.parametrize("batch", [1, "1", "25%", [1, "25%"], ["1", "100%"]])
def test_good_batch(batch: Any) -> None:
    assert deploy_problems({"deploy_batch": batch, "release": "r.example.com/me/shop"}) == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"deploy_batch": "all"}, "deploy_batch has 'all'; it must be a number of hosts or a percentage"),
        ({"deploy_batch": [1, 0]}, "deploy_batch has '0'"),
        ({"deploy_batch": "1, 25%"}, "deploy_batch has '1, 25%'"),
        ({"deploy_drain_timeout": "30s"}, "deploy_drain_timeout is 30s; it must be a number, 0 or more"),
        ({"deploy_ready_timeout": 0}, "deploy_ready_timeout is 0; it must be 1 or more"),
        ({"release": "shop:1 --privileged"}, "release is 'shop:1 --privileged'; it must be an image reference"),
        ({"release": ""}, "release is ''; it must be an image reference"),
        ({"deploy_bacth": 1}, "deploy_bacth is no variable of the playbooks; did you mean deploy_batch?"),
        ({"scaleout_pols": {}}, "scaleout_pols is no variable of the playbooks; did you mean scaleout_pools?"),
    ],
)
def test_wrong_variable_of_a_roll_out_is_named(settings: dict[str, Any], says: str) -> None:
    (problem,) = deploy_problems(settings)

    assert says in problem
