# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible import constants
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.template import Templar
from ansible.utils.display import Display
from ansible_collections.alphacoder.scaleout.plugins.inventory import droplets as plugin
from fake_api import TOKEN, FakeApi, Reply, droplet, error, networks

COLLECTIONS = Path(plugin.__file__).parents[5]
PLUGIN = "alphacoder.scaleout.droplets"


class Inventory:
    """What ansible makes of a file for this plugin."""

    def __init__(self, folder: Path, api: FakeApi, warnings: list[str], errors: list[str]) -> None:
        self.folder, self.api, self.warnings, self.errors = folder, api, warnings, errors

    def write(self, **options: t.Any) -> Path:
        path = self.folder / "digitalocean.yml"
        config = {"plugin": PLUGIN, "api_url": self.api.url, "api_token": TOKEN, "retries": 0, **options}
        path.write_text(yaml.safe_dump({key: value for key, value in config.items() if value is not None}))
        return path

    def read(self, use_cache: bool = True, **options: t.Any) -> InventoryManager:
        manager = InventoryManager(loader=DataLoader(), sources=None, parse=False)
        manager._sources = [str(self.write(**options))]
        manager.parse_sources(cache=use_cache)
        return manager

    def hosts(self, **options: t.Any) -> list[str]:
        return [host.name for host in self.read(**options).get_hosts()]

    def failure(self, **options: t.Any) -> str:
        with pytest.raises(SystemExit):
            self.read(**options)
        (text,) = self.errors
        return text

    def hostvars(self, host: str, **options: t.Any) -> dict[str, t.Any]:
        found = self.read(**options).get_host(host)
        assert found
        return {name: value for name, value in found.vars.items() if not name.startswith("inventory_")}

    def groups(self, **options: t.Any) -> dict[str, list[str]]:
        groups = self.read(**options).get_groups_dict()
        return {name: hosts for name, hosts in groups.items() if name not in ("all", "ungrouped")}


@pytest.fixture
def inventory(tmp_path: Path, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Inventory:
    warnings: list[str] = []
    errors: list[str] = []
    monkeypatch.setattr(constants, "INVENTORY_ANY_UNPARSED_IS_FAILED", True)
    monkeypatch.setattr(Display, "warning", lambda self, msg, *args, **kwargs: warnings.append(str(msg)))
    monkeypatch.setattr(Display, "error", lambda self, msg, *args, **kwargs: errors.append(str(msg)))
    return Inventory(tmp_path, api, warnings, errors)


class TestHosts:
    def test_variables_are_these_and_no_others(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(4, tags=["a", "pool:app"], networks=networks("203.0.113.4", "10.0.0.4", "2001:db8::4"))]
        found = inventory.hostvars("app-4")
        assert found == {
            "ansible_host": "203.0.113.4",
            "do_id": 4,
            "do_name": "app-4",
            "do_status": "active",
            "do_region": "fra1",
            "do_size": "s-1vcpu-1gb",
            "do_image": "debian-13-x64",
            "do_tags": ["a", "pool:app"],
            "do_vpc_uuid": "5a4981aa-9653-4bd1-bef5-d6bff52042e4",
            "do_public_ipv4": "203.0.113.4",
            "do_private_ipv4": "10.0.0.4",
            "do_public_ipv6": "2001:db8::4",
            "do_created_at": "2026-07-21T16:38:02Z",
        }
        assert inventory.warnings == []

    def test_order_is_by_number(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(n, name) for n, name in enumerate(["b-1", "app-10", "app-2", "10x", "app"], start=1)]
        assert inventory.hosts() == ["10x", "app", "app-2", "app-10", "b-1"]

    def test_prefix_and_attributes(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1)]
        found = inventory.hostvars("app-1", hostvars_prefix="x_", attributes=["vcpus", "nothing"])
        assert (found["x_vcpus"], found["x_nothing"], found["x_id"]) == (1, None, 1)
        assert not [name for name in found if name.startswith("do_")]

    @pytest.mark.parametrize(
        ("connect_with", "address"),
        [
            ("public_ipv4", "203.0.113.1"),
            ("private_ipv4", "10.114.0.1"),
            ("public_ipv6", "2001:db8::1"),
            ("name", "app-1"),
        ],
    )
    def test_connect_with(self, api: FakeApi, inventory: Inventory, connect_with: str, address: str) -> None:
        api.droplets = [droplet(1, networks=networks("203.0.113.1", "10.114.0.1", "2001:db8::1"))]
        assert inventory.hostvars("app-1", connect_with=connect_with)["ansible_host"] == address

    def test_without_the_wanted_address_it_stays_with_a_warning(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1), droplet(2, networks=networks(None, "10.114.0.2"))]
        assert "ansible_host" not in inventory.hostvars("app-2")
        assert len(inventory.warnings) == 1
        assert inventory.warnings[0].startswith("No ansible_host, because there is no public_ipv4: app-2.")

    def test_no_such_warning_if_compose_sets_it(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(2, networks=networks(None, "10.114.0.2"))]
        compose = {"ansible_host": "do_public_ipv4 or do_private_ipv4"}
        assert inventory.hostvars("app-2", compose=compose)["ansible_host"] == "10.114.0.2"
        assert inventory.warnings == []

    @pytest.mark.parametrize("order", [[7, 3, 5], [3, 5, 7]])
    def test_two_of_one_name_are_two_hosts(self, api: FakeApi, inventory: Inventory, order: list[int]) -> None:
        api.droplets = [droplet(n, "web") for n in order] + [droplet(9, "web-5")]
        found = inventory.read()
        ids = {host.name: host.vars["do_id"] for host in found.get_hosts()}
        assert ids == {"web": 3, "web-5": 9, "web-5-5": 5, "web-7": 7}
        assert inventory.warnings == [
            "3 droplets are called web: web is the one with id 3, and there is web-5-5, web-7."
        ]

    def test_a_reserved_address_is_not_mistaken_for_the_own_one(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1, networks=networks("203.0.113.99", None, None, "203.0.113.1"))]
        api.reserved_ips = [{"ip": "203.0.113.99", "droplet": {"id": 1}}]
        found = inventory.hostvars("app-1")
        assert (found["ansible_host"], found["do_reserved_ipv4"]) == ("203.0.113.1", "203.0.113.99")

    def test_reserved_addresses_are_asked_for_only_then(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1)]
        inventory.hosts()
        assert [one.path for one in api.requests] == ["/droplets"]

    def test_names_and_tags_are_no_templates(self, api: FakeApi, inventory: Inventory) -> None:
        tag = "{{ lookup('pipe', 'touch pwned') }}"
        api.droplets = [droplet(1, tags=[tag])]
        found = inventory.hostvars("app-1", compose={"copied": "do_tags[0]"}, keyed_groups=[{"key": "do_tags"}])
        assert found["copied"] == tag
        assert Templar(loader=DataLoader(), variables=found).template("{{ do_tags[0] }}") in (tag, "{{ do_tags[0] }}")
        assert not Path("pwned").exists()


class TestGroups:
    def test_tags_and_regions_by_default(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [
            droplet(1, tags=["app", "pool:app"]),
            droplet(2, tags=["env-x", "app"], region={"slug": "ams3"}),
        ]
        assert inventory.groups() == {
            "app": ["app-1", "app-2"],
            "pool_app": ["app-1"],
            "env_x": ["app-2"],
            "fra1": ["app-1"],
            "ams3": ["app-2"],
        }

    def test_each_kind_with_a_prefix(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1, tags=["t"])]
        found = inventory.groups(group_by=["tag", "region", "size", "image", "vpc", "status"], group_prefix="do-")
        assert sorted(found) == [
            "do_5a4981aa_9653_4bd1_bef5_d6bff52042e4",
            "do_active",
            "do_debian_13_x64",
            "do_fra1",
            "do_s_1vcpu_1gb",
            "do_t",
        ]

    def test_what_a_droplet_does_not_have_makes_no_group(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1, vpc_uuid=None, image={"id": 7, "slug": None})]
        assert inventory.groups(group_by=["vpc", "image"], group_prefix="id-") == {"id_7": ["app-1"]}

    def test_none_if_none_are_wanted(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1)]
        assert inventory.groups(group_by=[]) == {}

    def test_constructed_ones_see_composed_variables(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1), droplet(2, tags=["big"])]
        found = inventory.groups(
            group_by=[],
            compose={"kind": "'large' if 'big' in do_tags else 'small'"},
            groups={"heavy": "kind == 'large'"},
            keyed_groups=[{"key": "kind", "prefix": "kind"}, {"key": "do_region", "prefix": "", "separator": ""}],
        )
        assert found == {
            "heavy": ["app-2"],
            "kind_small": ["app-1"],
            "kind_large": ["app-2"],
            "fra1": ["app-1", "app-2"],
        }

    def test_strict(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1)]
        compose = {"bad": "no_such_variable"}
        assert inventory.hosts(compose=compose) == ["app-1"]
        assert "no_such_variable" in inventory.failure(compose=compose, strict=True)


class TestFilters:
    def test_the_api_picks_by_tag(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1, tags=["x"]), droplet(2)]
        assert inventory.hosts(tag="x") == ["app-1"]
        assert api.requests[0].query["tag_name"] == "x"

    def test_the_api_picks_by_name(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1), droplet(2)]
        assert inventory.hosts(name="APP-2") == ["app-2"]
        assert api.requests[0].query["name"] == "APP-2"

    def test_tag_and_name_together(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1, tags=["x"]), droplet(2, tags=["x"]), droplet(3, "app-2", tags=["y"])]
        found = inventory.read(tag="x", name="APP-2").get_hosts()
        assert [host.vars["do_id"] for host in found] == [2]

    @pytest.mark.parametrize(
        ("options", "left"),
        [
            ({}, [1, 2, 3]),
            ({"regions": ["ams3"]}, [2]),
            ({"regions": ["ams3", "fra1"]}, [1, 2, 3]),
            ({"vpcs": ["v3"]}, [3]),
            ({"statuses": ["off"]}, [4]),
            ({"statuses": []}, [1, 2, 3, 4]),
            ({"filters": ["do_id > 1", "'scaleout' in do_tags"]}, [2, 3]),
            ({"filters": ["do_tags"]}, [1, 2, 3]),
            ({"filters": ["'no'"]}, []),
        ],
    )
    def test_left_over(self, api: FakeApi, inventory: Inventory, options: dict[str, t.Any], left: list[int]) -> None:
        api.droplets = [
            droplet(1),
            droplet(2, region={"slug": "ams3"}),
            droplet(3, vpc_uuid="v3"),
            droplet(4, status="off"),
        ]
        assert [host.vars["do_id"] for host in inventory.read(**options).get_hosts()] == left

    def test_a_filter_that_fails_hides_nothing(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1)]
        failure = inventory.failure(filters=["no_such_variable > 1"])
        assert "The filter 'no_such_variable > 1' fails for droplet app-1" in failure

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"tag": "x"}, "There is no active droplet with tag 'x': create some with playbooks/provision.yml"),
            (
                {"tag": "x", "regions": ["a"], "statuses": []},
                "There is no droplet with tag 'x' that regions let through",
            ),
            ({"statuses": ["new", "off"]}, "There is no new or off droplet: create"),
        ],
    )
    def test_none_at_all_is_a_warning_that_helps(
        self, inventory: Inventory, options: dict[str, t.Any], text: str
    ) -> None:
        inventory.read(**options)
        assert text in inventory.warnings[0]

    def test_all_pages(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(n) for n in range(1, 12)]
        assert len(inventory.hosts(page_size=3, workers=2)) == 11


class TestOptions:
    @pytest.mark.parametrize(
        ("name", "wanted"),
        [
            ("droplets.yml", True),
            ("my.droplets.yaml", True),
            ("digitalocean.yml", True),
            ("digitalocean.yaml", True),
            ("inventory.yml", False),
            ("droplets.yml.bak", False),
            ("digitalocean.json", False),
        ],
    )
    def test_file_names(self, tmp_path: Path, name: str, wanted: bool) -> None:
        (tmp_path / name).write_text(f"plugin: {PLUGIN}\n")
        assert plugin.InventoryModule().verify_file(str(tmp_path / name)) == wanted

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        assert not plugin.InventoryModule().verify_file(str(tmp_path / "droplets.yml"))

    @pytest.mark.parametrize("variable", ["DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN", "DO_API_TOKEN"])
    def test_token_from_the_environment(
        self, api: FakeApi, inventory: Inventory, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        api.droplets = [droplet(1)]
        monkeypatch.setenv(variable, TOKEN)
        monkeypatch.setenv("DIGITALOCEAN_API_URL", api.url)
        assert inventory.hosts(api_token=None, api_url=None) == ["app-1"]

    def test_digitalocean_token_wins(self, inventory: Inventory, monkeypatch: pytest.MonkeyPatch, api: FakeApi) -> None:
        api.droplets = [droplet(1)]
        monkeypatch.setenv("DO_API_TOKEN", "old")
        monkeypatch.setenv("DIGITALOCEAN_ACCESS_TOKEN", "older")
        monkeypatch.setenv("DIGITALOCEAN_TOKEN", TOKEN)
        assert inventory.hosts(api_token=None) == ["app-1"]

    def test_token_from_a_template(self, api: FakeApi, inventory: Inventory, monkeypatch: pytest.MonkeyPatch) -> None:
        api.droplets = [droplet(1, tags=["x"])]
        monkeypatch.setenv("MY_TOKEN", f"{TOKEN}\n")
        template = "{{ lookup('ansible.builtin.env', 'MY_TOKEN') }}"
        assert inventory.hosts(api_token=template, tag="{{ 'X' | lower }}") == ["app-1"]

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"api_token": None}, "No DigitalOcean API token: set the environment variable DIGITALOCEAN_TOKEN"),
            ({"api_token": "{{ no_such }}"}, "The option api_token is a template that fails"),
            ({"api_url": "http://203.0.113.1/v2"}, "plain HTTP"),
            ({"page_size": 201}, "page_size is 201, but the API takes 1 to 200"),
            ({"page_size": 0}, "page_size is 0"),
            ({"workers": 0}, "workers is 0"),
            ({"connect_with": "first"}, "connect_with"),
            ({"group_by": ["color"]}, "group_by"),
        ],
    )
    def test_what_cannot_be(self, inventory: Inventory, options: dict[str, t.Any], text: str) -> None:
        assert text in inventory.failure(**options)
        assert not inventory.api.requests

    @pytest.mark.parametrize("reply", [error(500), error(401), Reply(200, "<html>"), Reply(200, "[]")])
    def test_a_failure_is_never_an_empty_inventory(self, api: FakeApi, inventory: Inventory, reply: Reply) -> None:
        api.replies = [reply]
        assert "DigitalOcean API, GET /droplets" in inventory.failure()


class TestCache:
    @pytest.fixture
    def cached(self, tmp_path: Path) -> dict[str, t.Any]:
        return {
            "cache": True,
            "cache_plugin": "ansible.builtin.jsonfile",
            "cache_connection": str(tmp_path / "cache"),
        }

    def test_a_second_run_asks_for_nothing(self, api: FakeApi, inventory: Inventory, cached: dict[str, t.Any]) -> None:
        api.droplets = [droplet(1)]
        before = inventory.hostvars("app-1", **cached)
        assert inventory.hostvars("app-1", **cached) == before
        assert len(api.requests) == 1

    def test_options_changed_later_still_hold(
        self, api: FakeApi, inventory: Inventory, cached: dict[str, t.Any]
    ) -> None:
        api.droplets = [droplet(1), droplet(2, region={"slug": "ams3"})]
        inventory.hosts(**cached)
        options = {
            "connect_with": "private_ipv4",
            "regions": ["ams3"],
            "hostvars_prefix": "x_",
            "attributes": ["vcpus"],
        }
        found = inventory.hostvars("app-2", **cached, **options)
        assert (found["ansible_host"], found["x_vcpus"]) == ("10.114.0.2", 1)
        assert len(api.requests) == 1

    @pytest.mark.parametrize("change", ["tag", "name", "url"])
    def test_another_question_is_asked(
        self, api: FakeApi, inventory: Inventory, cached: dict[str, t.Any], change: str
    ) -> None:
        api.droplets = [droplet(1)]
        inventory.hosts(**cached)
        options = {
            "tag": {"tag": "scaleout"},
            "name": {"name": "app-1"},
            "url": {"api_url": api.url + "/"},
        }
        inventory.hosts(**cached, **options[change])
        assert len(api.requests) == 2

    def test_another_account_is_not_shown_this_one(
        self, api: FakeApi, inventory: Inventory, cached: dict[str, t.Any]
    ) -> None:
        inventory.hosts(**cached)
        assert "status 401" in inventory.failure(**cached, api_token="another")

    def test_a_flush_asks_again_and_keeps_the_answer(
        self, api: FakeApi, inventory: Inventory, cached: dict[str, t.Any]
    ) -> None:
        api.droplets = [droplet(1)]
        inventory.hosts(**cached)
        api.droplets = [droplet(2)]
        assert inventory.hosts(use_cache=False, **cached) == ["app-2"]
        assert inventory.hosts(**cached) == ["app-2"]
        assert len(api.requests) == 2

    def test_the_token_is_not_kept(
        self, api: FakeApi, inventory: Inventory, cached: dict[str, t.Any], tmp_path: Path
    ) -> None:
        api.droplets = [droplet(1)]
        inventory.hosts(**cached)
        files = list((tmp_path / "cache").iterdir())
        assert files
        assert not [one for one in files if TOKEN in one.name or TOKEN in one.read_text()]


class TestCommand:
    """As a user runs it."""

    def run(
        self, path: Path, *arguments: str, token: str = TOKEN, must_parse: bool = True
    ) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(path.parent),
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": str(must_parse),
            "ANSIBLE_INVENTORY_ENABLED": f"{PLUGIN},yaml",
            "ANSIBLE_NOCOLOR": "true",
            "DIGITALOCEAN_TOKEN": token,
        }
        command = [sys.executable, "-m", "ansible", "inventory", "-i", str(path), *arguments]
        return subprocess.run(command, env=environment, cwd=path.parent, text=True, capture_output=True, timeout=20)

    def test_list(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1, tags=["scaleout", "app"])]
        done = self.run(inventory.write(tag="scaleout", api_token=None), "--list")
        assert done.returncode == 0, done.stderr
        shown = json.loads(done.stdout)
        assert shown["app"]["hosts"] == ["app-1"]
        assert shown["_meta"]["hostvars"]["app-1"]["do_id"] == 1
        assert "WARNING" not in done.stderr

    def test_a_refused_token_ends_the_run_with_one_line(self, inventory: Inventory) -> None:
        path = inventory.write(api_token=None)
        done = self.run(path, "--list", token="dop_v1_refused77")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"[ERROR]: {path}: DigitalOcean API, GET /droplets: status 401 (Unable to authenticate you.): "
            "the token was refused; check that api_token is complete and still valid\n"
        )

    def test_a_refused_token_is_a_warning_where_ansible_goes_on(self, inventory: Inventory) -> None:
        done = self.run(inventory.write(api_token=None), "--list", token="dop_v1_refused77", must_parse=False)
        assert done.returncode == 0
        assert "status 401 (Unable to authenticate you.): the token was refused" in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr

    def test_a_static_inventory_of_such_a_name_is_left_to_its_plugin(self, tmp_path: Path) -> None:
        path = tmp_path / "droplets.yml"
        path.write_text("app: {hosts: {app-1: {ansible_host: 203.0.113.1}}}")
        done = self.run(path, "--list")
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["app"]["hosts"] == ["app-1"]

    def test_a_refused_token_is_shown_at_no_verbosity(self, inventory: Inventory) -> None:
        refused = "dop_v1_refused77"
        done = self.run(inventory.write(api_token=None), "--list", "-vvvvv", token=refused)
        assert "status 401" in done.stderr
        assert refused not in done.stdout + done.stderr


def test_it_is_a_plugin_of_ansible() -> None:
    assert issubclass(plugin.InventoryModule, BaseInventoryPlugin)
