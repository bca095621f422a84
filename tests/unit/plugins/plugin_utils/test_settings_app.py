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
        {"app_image": "localhost:5000/me/Shop_1:1.4@sha256:abc", "app_health_path": "/up?deep=1"},
        {"app_image": "localhost:5000/shop@sha256:abc", "app_tmpfs": []},
        {"app_image": "me/shop", "app_registry": LOGIN},
        {"app_image": "me/shop:1", "app_registry": LOGIN | {"server": "docker.io"}},
        {"app_image": "r.example.com:5000/shop", "app_registry": LOGIN | {"server": "r.example.com:5000"}},
        {"app_image": "lb-1:5000/me/shop:1", "app_registry": LOGIN | {"server": "lb-1:5000"}},
        # A release from before
        {"app_image": "old.example.com/shop:1@sha256:abc", "app_registry": LOGIN | {"server": "r.example.com"}},
        {
            "app_env": {"_A1": "x", "WORKERS": 4, "RATE": 0.5},
            "app_beside_port": 0,
            "app_stop_timeout": 0,
            "app_count": 2,
            "app_pending": True,
        },
    ],
)
def test_good_settings_of_an_app(settings: dict[str, Any]) -> None:
    assert app_problems(settings) == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"app_image": "Shop:1"}, "app_image is 'Shop:1'; it must be an image reference"),
        ({"app_image": "/:1"}, "it must be an image reference"),
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
        ({"app_env": {"DEBUG": False, "OTHER": None}}, "the value of DEBUG, OTHER must be text in quotes, or a number"),
        ({"app_env": {"NOT-A-NAME": "secret"}}, "app_env has NOT-A-NAME; a name must be"),
        ({"app_env": {"INSTANCE_ID": "secret"}}, "INSTANCE_ID is set with app_instance_id"),
        ({"app_healt_path": "/up"}, "app_healt_path is no variable of role app; did you mean app_health_path?"),
    ],
)
def test_wrong_setting_of_an_app_is_named(settings: dict[str, Any], says: str) -> None:
    (problem,) = app_problems(settings)

    assert says in problem
    assert "secret" not in problem


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
        ({"deploy_drain_timeout": "30s"}, "deploy_drain_timeout is 30s; it must be 0 or more"),
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
