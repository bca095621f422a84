# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible import constants, context
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.template import Templar
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars
from ansible_collections.alphacoder.scaleout.plugins.inventory import droplets as plugin
from support.fake_api import TOKEN, FakeApi, Reply, droplet, error, networks

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
            "do_reserved_ipv4": None,
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
        assert inventory.warnings[0].startswith(
            "These hosts get no ansible_host, because they have no public_ipv4: app-2."
        )

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
            "3 droplets are called web: host web is the one with id 3; the others are web-5-5, web-7."
        ]

    def test_a_reserved_address_is_not_mistaken_for_the_own_one(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1, networks=networks("203.0.113.99", None, None, "203.0.113.1"))]
        api.reserved_ips = [{"ip": "203.0.113.99", "droplet": {"id": 1}}]
        found = inventory.hostvars("app-1")
        assert (found["ansible_host"], found["do_reserved_ipv4"]) == ("203.0.113.1", "203.0.113.99")

    def test_reserved_addresses_are_asked_for_once(self, api: FakeApi, inventory: Inventory) -> None:
        both = [networks(f"203.0.113.{n}", None, None, f"198.51.100.{n}") for n in (1, 2)]
        api.droplets = [droplet(n, networks=both[n - 1]) for n in (1, 2)]
        api.reserved_ips = [{"ip": "198.51.100.1", "locked": True, "droplet": {"id": 1}}, {"ip": "203.0.113.2"}]
        found = inventory.read().get_hosts()
        assert [host.vars["do_public_ipv4"] for host in found] == ["203.0.113.1", "198.51.100.2"]
        assert [host.vars["do_reserved_ipv4"] for host in found] == ["198.51.100.1", "203.0.113.2"]
        assert [one.path for one in api.requests] == ["/droplets", "/reserved_ips"]

    def test_a_token_that_may_not_ask_for_them_still_gives_hosts(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1, networks=networks("203.0.113.99", None, None, "203.0.113.1"))]
        api.replies_to = {"GET /reserved_ips": [error(403)]}
        found = inventory.hostvars("app-1")
        assert found["ansible_host"] in ("203.0.113.99", "203.0.113.1")
        assert found["do_reserved_ipv4"] is None
        assert len(inventory.warnings) == 1
        assert "give the token the scope reserved_ip:read" in inventory.warnings[0]

    def test_another_failure_to_list_them_is_an_error(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1, networks=networks("203.0.113.99", None, None, "203.0.113.1"))]
        api.replies_to = {"GET /reserved_ips": [error(500)]}
        assert "GET /reserved_ips: status 500" in inventory.failure()

    def test_warnings_about_many_are_short(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(n, f"web-{n // 2}", networks={}) for n in range(2, 102)]
        assert len(inventory.hosts()) == 100
        *of_one_name, more, unreachable = inventory.warnings
        assert len(of_one_name) == 10
        assert more == "40 more names are shared by several droplets."
        assert "and 90 more. Set connect_with" in unreachable

    def test_what_is_no_droplet_is_an_error(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1), droplet(2, networks=["203.0.113.1"])]
        assert "droplet app-2 (id 2) is not as the API documents it" in inventory.failure()

    @pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "all", "ungrouped"])
    def test_what_means_something_else_to_ansible_is_no_host_name(
        self, api: FakeApi, inventory: Inventory, name: str
    ) -> None:
        api.droplets = [droplet(7, name), droplet(8, "app-8")]
        assert set(inventory.hosts()) == {"app-8", f"{name}-7"}
        (warning,) = inventory.warnings
        assert warning == f"A droplet is called {name}, which means something else to Ansible: its host is {name}-7."

    def test_a_droplet_of_the_api_before_it_has_anything(self, api: FakeApi, inventory: Inventory) -> None:
        # As it is just after it was ordered
        api.polls_until_active = 9
        api.droplets = [droplet(1, status="new", networks={"v4": [], "v6": []}, tags=None, vpc_uuid=None, locked=True)]
        found = inventory.hostvars("app-1", statuses=["new"])
        assert (found["do_public_ipv4"], found["do_tags"]) == (None, [])

    def test_one_that_is_off_is_left_out_unless_asked_for(self, api: FakeApi, inventory: Inventory) -> None:
        api.polls_until_active = 9
        api.droplets = [droplet(1), droplet(2, status="off"), droplet(3, status="archive"), droplet(4, status="new")]
        assert inventory.hosts(tag="scaleout") == ["app-1"]
        assert inventory.hosts(tag="scaleout", statuses=["active", "off"]) == ["app-1", "app-2"]

    def test_a_name_that_is_a_group_too(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [
            droplet(1, "app", tags=["lb"]),
            droplet(2, "lb", tags=["lb", "app"]),
            droplet(3, "web", tags=["lb"]),
        ]
        found = inventory.read(
            compose={"private_address": "do_private_ipv4"},
            groups={"web": "do_name == 'web'", "low": "do_id < 3"},
            keyed_groups=[{"key": "do_region", "prefix": "at"}],
        )
        members = found.get_groups_dict()
        assert members["app"] == ["lb"]
        assert members["lb"] == ["app", "lb", "web"]
        assert members["web"] == ["web"]
        assert members["low"] == ["app", "lb"]
        assert members["at_fra1"] == ["app", "lb", "web"]
        assert [host.vars["private_address"] for host in found.get_hosts()] == [f"10.114.0.{n}" for n in (1, 2, 3)]
        assert not [group for group in found.groups.values() if group.vars]

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


class TestScopes:
    """What the API does not show to a token without the scope, it leaves out or shows empty."""

    @pytest.mark.parametrize(
        ("field", "options", "option", "scope"),
        [
            ("tags", {"service": "shop"}, "service", "tag:read"),
            ("tags", {"tag": "pool:app"}, "tag", "tag:read"),
            ("vpc_uuid", {"vpcs": ["5a4981aa"]}, "vpcs", "vpc:read"),
        ],
    )
    @pytest.mark.parametrize("shown", [None, ""])
    def test_an_option_that_lets_nothing_through_is_an_error(
        self,
        api: FakeApi,
        inventory: Inventory,
        field: str,
        options: dict[str, t.Any],
        option: str,
        scope: str,
        shown: t.Any,
    ) -> None:
        api.droplets = [droplet(n, **{field: shown}) for n in (1, 2)]
        api.narrows = False
        said = inventory.failure(**options)
        assert f"The API shows the {field} of no droplet, which the option {option} needs: " in said
        assert said.endswith(f"give the token the scope {scope}.")

    @pytest.mark.parametrize(
        ("kind", "field", "scope"),
        [("image", "image", "image:read"), ("vpc", "vpc_uuid", "vpc:read"), ("tag", "tags", "tag:read")],
    )
    def test_groups_that_there_are_none_of_are_a_warning(
        self, api: FakeApi, inventory: Inventory, kind: str, field: str, scope: str
    ) -> None:
        api.droplets = [droplet(1)]
        del api.droplets[0][field]
        assert inventory.hosts(group_by=[kind]) == ["app-1"]
        (warning,) = inventory.warnings
        assert warning.endswith(
            f"The API shows the {field} of no droplet, which group_by {kind} needs: give the token the scope {scope}."
        )

    def test_droplets_without_tags_are_nothing_special(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1, tags=[])]
        assert inventory.hosts() == ["app-1"]
        assert inventory.warnings == []


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

    def test_a_bare_name_is_worth_what_a_template_makes_of_it(
        self, api: FakeApi, inventory: Inventory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api.droplets = [droplet(1, tags=["a", "b-c"], vpc_uuid=None)]
        fields = ("do_id", "do_name", "do_tags", "do_vpc_uuid", "do_region", "do_public_ipv6")
        compose = {f"copy_of_{field}": field for field in fields}
        found = inventory.hostvars("app-1", compose=compose)
        monkeypatch.delattr(plugin.InventoryModule, "_compose")
        assert found == inventory.hostvars("app-1", compose=compose)
        assert found["copy_of_do_tags"] == ["a", "b-c"]

    def test_keyed_groups_see_what_compose_made_of_a_hostvar(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1)]
        found = inventory.groups(
            group_by=[],
            compose={"do_region": "do_region | upper"},
            keyed_groups=[{"key": "do_region", "prefix": "at", "parent_group": "places"}],
        )
        assert found == {"at_FRA1": ["app-1"], "places": ["app-1"]}

    def test_extra_variables_win_over_a_bare_name(
        self, api: FakeApi, inventory: Inventory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(context, "CLIARGS", {"extra_vars": ("do_region=mars",)})
        load_extra_vars.extra_vars = None
        api.droplets = [droplet(1)]
        keyed = [{"key": "do_region", "prefix": "at"}]
        try:
            assert "at_mars" in inventory.groups(use_extra_vars=True, keyed_groups=keyed)
        finally:
            load_extra_vars.extra_vars = None

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

    def test_what_the_api_did_not_pick_is_left_out(self, api: FakeApi, inventory: Inventory) -> None:
        api.narrows = False
        api.droplets = [droplet(1, tags=["X"]), droplet(2), droplet(3, tags=["service:shop"])]
        assert inventory.hosts(tag="x") == ["app-1"]
        assert inventory.hosts(service="shop") == ["app-3"]
        assert inventory.hosts(name="app-2") == ["app-2"]

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
                "There is no droplet with tag 'x' that matches regions",
            ),
            ({"statuses": ["new", "off"]}, "There is no new or off droplet: create"),
        ],
    )
    def test_none_at_all_is_a_warning_that_helps(
        self, inventory: Inventory, options: dict[str, t.Any], text: str
    ) -> None:
        inventory.read(**options)
        assert text in inventory.warnings[0]

    def test_none_because_of_capitals(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1, tags=["ScaleOut"])]
        inventory.read(tag="scaleout")
        assert "(a tag keeps the capitals of its first use)" in inventory.warnings[0]

    def test_a_tag_that_the_api_finds_in_other_capitals(self, api: FakeApi, inventory: Inventory) -> None:
        api.replies = [Reply(200, {"droplets": [droplet(1, tags=["ScaleOut"])], "meta": {"total": 1}})]
        assert inventory.hosts(tag="scaleout") == ["app-1"]

    @pytest.mark.parametrize("workers", [1, 4])
    def test_droplets_come_and_go_between_the_pages(self, api: FakeApi, inventory: Inventory, workers: int) -> None:
        api.droplets = [droplet(n) for n in range(1, 8)]

        def change(page: int) -> None:
            if page == 2 and api.droplets[0]["id"] == 1:
                api.droplets[0] = droplet(99, "late")
                del api.droplets[1]

        api.before_page = change
        found = inventory.hosts(page_size=2, workers=workers)
        assert found == ["app-3", "app-4", "app-5", "app-6", "app-7", "late"]
        assert inventory.warnings == []

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
            ({"page_size": 201}, "page_size is 201, but the API allows 1 to 200"),
            ({"page_size": 0}, "page_size is 0"),
            ({"workers": 0}, "workers is 0, but it must be at least 1"),
            ({"timeout": 0}, "timeout is 0, but it must be at least 1"),
            ({"retries": -1}, "retries is -1, but it must be at least 0"),
            ({"timeout": "soon"}, "timeout"),
            ({"region": "fra1"}, "There is no option region; did you mean regions?"),
            ({"colour": "red"}, "There is no option colour."),
            ({"statuses": ["on"]}, "statuses"),
            ({"connect_with": "first"}, "connect_with"),
            ({"group_by": ["color"]}, "group_by"),
        ],
    )
    def test_what_cannot_be(self, inventory: Inventory, options: dict[str, t.Any], text: str) -> None:
        assert text in inventory.failure(**options)
        assert not inventory.api.requests

    @pytest.mark.parametrize("statuses", [["off"], [False], False, "off"])
    def test_off_is_off_without_quotes_too(self, api: FakeApi, inventory: Inventory, statuses: t.Any) -> None:
        api.droplets = [droplet(1), droplet(2, status="off")]
        assert inventory.hosts(statuses=statuses) == ["app-2"]

    def test_certificates_need_not_be_trusted(self, inventory: Inventory, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[bool] = []
        monkeypatch.setattr(plugin.Client, "list_all", lambda self, *args, **options: asked.append(self.validate_certs))
        monkeypatch.setattr(plugin.InventoryModule, "_fetch", fetch_nothing)
        inventory.read(validate_certs=False)
        inventory.read()
        assert asked == [False, True]

    def test_a_token_that_is_a_broken_template_is_not_shown(self, inventory: Inventory) -> None:
        failure = inventory.failure(api_token="dop_v1_template77{{ x | }}")
        assert "The option api_token is a template that fails" in failure
        assert "template77" not in failure

    @pytest.mark.parametrize("token", [["dop_v1_list77"], {"token": "dop_v1_list77"}])
    def test_a_token_of_the_wrong_type_is_not_shown(self, inventory: Inventory, token: t.Any) -> None:
        failure = inventory.failure(api_token=token)
        assert "api_token is a list or a dictionary, but it must be text" in failure
        assert "list77" not in failure

    @pytest.mark.parametrize(
        ("text", "wrong"),
        [
            (f"plugin: {PLUGIN}\napi_token: dop_v1_yaml77\n  tag: a", "line 3 is not valid YAML"),
            (f"plugin: {PLUGIN}\napi_token: 'dop_v1_yaml77", "line 2 is not valid YAML"),
            (f"plugin: {PLUGIN}\napi_token: dop_v1_yaml77\n\0", "can't be read as YAML"),
        ],
    )
    def test_broken_yaml_shows_its_line_and_not_the_token(
        self, inventory: Inventory, monkeypatch: pytest.MonkeyPatch, text: str, wrong: str
    ) -> None:
        monkeypatch.setattr(Inventory, "write", lambda self: write_text(self.folder / "digitalocean.yml", text))
        assert wrong in inventory.failure()
        assert "yaml77" not in " ".join(inventory.warnings + inventory.errors)

    @pytest.mark.parametrize("reply", [error(500), error(401), Reply(200, "<html>"), Reply(200, "[]")])
    def test_a_failure_is_never_an_empty_inventory(self, api: FakeApi, inventory: Inventory, reply: Reply) -> None:
        api.replies = [reply]
        assert "DigitalOcean API, GET /droplets" in inventory.failure()


class TestServices:
    def variables(self, inventory: Inventory, **options: t.Any) -> dict[str, t.Any]:
        return dict(inventory.read(**options).groups["all"].vars)

    @pytest.mark.parametrize("narrows", [True, False])
    def test_only_its_own_droplets_are_hosts(self, api: FakeApi, inventory: Inventory, narrows: bool) -> None:
        api.narrows = narrows
        api.droplets = [
            droplet(1, tags=["service:shop", "pool:app", "app"]),
            droplet(2, tags=["service:shop", "pool:lb", "lb"]),
            droplet(3, tags=["service:shop-staging", "pool:app", "app"]),
            droplet(4, tags=["scaleout", "pool:app", "app"]),
            droplet(5, tags=[]),
        ]
        assert inventory.groups(service="shop", group_by=["tag"]) == {
            "service_shop": ["app-1", "app-2"],
            "pool_app": ["app-1"],
            "app": ["app-1"],
            "pool_lb": ["app-2"],
            "lb": ["app-2"],
        }
        assert [one.query["tag_name"] for one in api.requests] == ["service:shop"]

    def test_tag_and_name_narrow_further(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(n, tags=["service:shop", *(["web"] if n > 1 else [])]) for n in (1, 2, 3)]
        assert inventory.hosts(service="shop", tag="web") == ["app-2", "app-3"]
        assert inventory.hosts(service="shop", name="APP-3") == ["app-3"]
        assert {one.query["tag_name"] for one in api.requests} == {"service:shop"}

    def test_all_hosts_have_its_name_also_without_a_droplet(self, api: FakeApi, inventory: Inventory) -> None:
        named = {"scaleout_service": "shop", "scaleout_inventory_service": "shop"}
        assert self.variables(inventory, service="shop") == named
        assert self.variables(inventory, service="{{ 'sh' ~ 'op' }}") == named
        api.droplets = [droplet(1, tags=["service:shop"])]
        assert self.variables(inventory, service="shop") == named

    def test_without_it_no_variable_is_set(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1)]
        assert self.variables(inventory, tag="scaleout") == {}
        assert self.variables(inventory, tag="nothing") == {}

    @pytest.mark.parametrize("name", ["", " ", "Shop", "shop_staging", "a:b", "-a", "a" * 64, False, "{{ '' }}"])
    def test_a_bad_name_is_an_error(self, api: FakeApi, inventory: Inventory, name: t.Any) -> None:
        api.droplets = [droplet(1)]
        assert "The option service is '" in inventory.failure(service=name)
        assert api.requests == []

    def test_an_option_without_a_value_is_an_error(
        self, api: FakeApi, inventory: Inventory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = f"plugin: {PLUGIN}\napi_url: {api.url}\napi_token: {TOKEN}\nservice:\n"
        monkeypatch.setattr(Inventory, "write", lambda self: write_text(self.folder / "digitalocean.yml", text))
        assert "The option service is ''; it must be the name of a service" in inventory.failure()
        assert api.requests == []

    def test_a_droplet_in_two_services_is_an_error(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1, tags=["service:shop", "service:other"])]
        assert "app-1 (id 1) has the tags service:other, service:shop, but" in inventory.failure(service="shop")
        assert inventory.hosts(tag="service:shop") == ["app-1"]

    def test_two_services_in_one_run_are_an_error(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1, tags=["service:a"]), droplet(2, tags=["service:b"])]
        first = inventory.write(service="a").rename(inventory.folder / "a.droplets.yml")
        again = write_text(inventory.folder / "c.droplets.yml", first.read_text())
        second = inventory.write(service="b")
        manager = InventoryManager(loader=DataLoader(), sources=[str(first), str(again)])
        assert [host.name for host in manager.get_hosts()] == ["app-1"]
        with pytest.raises(SystemExit):
            InventoryManager(loader=DataLoader(), sources=[str(first), str(second)])
        assert "the inventory of service b, but another file of this run is that of a" in inventory.errors[0]

    @pytest.mark.parametrize("narrows", [True, False])
    def test_droplets_of_no_service_are_named_where_there_is_no_other(
        self, api: FakeApi, inventory: Inventory, narrows: bool
    ) -> None:
        api.narrows = narrows
        api.droplets = [
            droplet(1, tags=["scaleout", "pool:app"]),
            droplet(2, tags=["scaleout", "pool:app", "service:other"]),
            droplet(3, tags=["scaleout"]),
            droplet(4, tags=["pool:app"]),
        ]
        assert self.variables(inventory, service="shop")["scaleout_unclaimed"] == ["app-1", "app-3"]
        nothing, unclaimed = inventory.warnings
        assert nothing.startswith("There is no active droplet of service 'shop': create some")
        assert (
            "made before there were services: app-1, app-3. Adopt them once, with the inventory of the service"
            in unclaimed
        )
        assert [one.query["tag_name"] for one in api.requests] == ["service:shop", "scaleout"]

    def test_nobody_looks_for_them_where_there_are_others(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1, tags=["scaleout", "pool:app"]), droplet(2, tags=["service:shop"], status="off")]
        assert "scaleout_unclaimed" not in self.variables(inventory, service="shop")
        assert len(api.requests) == 1


class TestExamples:
    @pytest.mark.parametrize("example", list(yaml.safe_load_all(plugin.EXAMPLES)))
    def test_each_works(self, api: FakeApi, inventory: Inventory, tmp_path: Path, example: dict[str, t.Any]) -> None:
        api.polls_until_active = 9
        tags = ["service:shop-staging", "web", "production"]
        api.droplets = [droplet(1, tags=tags), droplet(2, tags=["production"], status="off")]
        if "cache" in example:
            example["cache_connection"] = str(tmp_path / "cache")
        (found,) = inventory.read(**{**example, "api_token": TOKEN, "strict": True}).get_hosts()
        assert found.vars["ansible_host"].startswith(("203.0.113.", "10.114.0."))
        assert inventory.warnings == []


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

    def test_what_another_version_left_is_asked_for_again(
        self, api: FakeApi, inventory: Inventory, cached: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api.droplets = [droplet(1)]
        monkeypatch.setattr(plugin, "_packed", lambda answer: "as it was once")
        inventory.hosts(**cached)
        monkeypatch.undo()
        assert inventory.hosts(**cached) == ["app-1"]
        assert len(api.requests) == 2

    def test_a_broken_file_is_asked_for_again(
        self, api: FakeApi, inventory: Inventory, cached: dict[str, t.Any], tmp_path: Path
    ) -> None:
        api.droplets = [droplet(1)]
        inventory.hosts(**cached)
        (file,) = (tmp_path / "cache").iterdir()
        file.write_text("{")
        assert inventory.hosts(**cached) == ["app-1"]
        assert "The cache can't be read, so the API is asked" in inventory.warnings[-1]

    def test_reserved_addresses_are_kept_too(
        self, api: FakeApi, inventory: Inventory, cached: dict[str, t.Any]
    ) -> None:
        api.droplets = [droplet(1, networks=networks("203.0.113.99", None, None, "203.0.113.1"))]
        api.reserved_ips = [{"ip": "203.0.113.99"}]
        before = inventory.hostvars("app-1", **cached)
        assert inventory.hostvars("app-1", **cached) == before
        assert before["do_public_ipv4"] == "203.0.113.1"
        assert len(api.requests) == 2

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
        self, path: Path, *arguments: str, token: str = TOKEN, must_parse: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        settings = {
            "PATH": os.environ["PATH"],
            "HOME": str(path.parent),
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": str(must_parse),
            "ANSIBLE_INVENTORY_ENABLED": f"{PLUGIN},ansible.builtin.constructed,yaml,ini",
            "ANSIBLE_NOCOLOR": "true",
            "DIGITALOCEAN_TOKEN": token,
            **environment,
        }
        command = [sys.executable, "-m", "ansible", "inventory", "-i", str(path), *arguments]
        return subprocess.run(command, env=settings, cwd=path.parent, text=True, capture_output=True, timeout=30)

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

    @pytest.mark.parametrize("where", ["file", "environment"])
    @pytest.mark.parametrize("works", [True, False])
    def test_the_token_is_shown_at_no_verbosity(
        self, api: FakeApi, inventory: Inventory, where: str, works: bool
    ) -> None:
        api.droplets = [droplet(1)]
        token = TOKEN if works else "dop_v1_refused77"
        path = inventory.write(api_token=token if where == "file" else None, cache=True, cache_connection="cache")
        done = self.run(
            path, "--list", "-vvvvv", token=token, ANSIBLE_DEBUG="true", ANSIBLE_INVENTORY_CACHE_PLUGIN="jsonfile"
        )
        assert ("do_id" in done.stdout) == works, done.stderr
        assert ("status 401" in done.stdout + done.stderr) != works
        assert token not in done.stdout + done.stderr

    @pytest.mark.parametrize(
        ("reply", "said"),
        [
            (error(401), "the token was refused"),
            (error(404), "not found; check api_url"),
            (Reply(200, '{"droplets": ['), "the answer is not JSON"),
            (Reply(delay=3), "within 1 s; check that it is reachable, or raise timeout"),
        ],
        ids=["token", "404", "JSON", "timeout"],
    )
    @pytest.mark.parametrize(
        "setting", ["ANSIBLE_INVENTORY_UNPARSED_FAILED", "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"]
    )
    def test_a_failure_ends_the_run_if_that_is_wanted(
        self, api: FakeApi, inventory: Inventory, reply: Reply, said: str, setting: str
    ) -> None:
        api.replies = [reply] * 2
        done = self.run(inventory.write(timeout=1), "--list", must_parse=False, **{setting: "true"})
        assert done.returncode != 0
        assert said in " ".join(done.stderr.split())
        assert "Traceback" not in done.stdout + done.stderr

    def test_broken_yaml_is_not_shown_where_ansible_goes_on(self, tmp_path: Path) -> None:
        path = write_text(tmp_path / "droplets.yml", f"plugin: {PLUGIN}\napi_token: dop_v1_yaml77\n  tag: a\n")
        done = self.run(path, "--list", "-vvvvv", must_parse=False, ANSIBLE_INVENTORY_ENABLED=PLUGIN)
        assert "line 3 is not valid YAML" in " ".join(done.stderr.split())
        assert "yaml77" not in done.stdout + done.stderr

    def test_graph_and_host(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1), droplet(2, tags=["b"])]
        path = inventory.write()
        graph = self.run(path, "--graph").stdout.splitlines()
        assert graph == [
            "@all:",
            "  |--@ungrouped:",
            "  |--@scaleout:",
            "  |  |--app-1",
            "  |--@fra1:",
            "  |  |--app-1",
            "  |  |--app-2",
            "  |--@b:",
            "  |  |--app-2",
        ]
        assert json.loads(self.run(path, "--host", "app-2").stdout)["do_id"] == 2

    def test_beside_other_sources_and_before_a_constructed_one(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1), droplet(2)]
        folder = inventory.folder
        static = write_text(folder / "hosts.ini", "[scaleout]\nold ansible_host=192.0.2.1\n[scaleout:vars]\nx=1\n")
        chained = {
            "plugin": "ansible.builtin.constructed",
            "strict": True,
            "compose": {"second": "do_id | default(0) == 2"},
            "groups": {"late": "do_id | default(0) > 1"},
            "keyed_groups": [{"key": "do_region | default('none')", "prefix": "at"}],
        }
        last = write_text(folder / "zz-constructed.yml", yaml.safe_dump(chained))
        done = self.run(static, "-i", str(inventory.write()), "-i", str(last), "--list")
        assert done.returncode == 0, done.stderr
        shown = json.loads(done.stdout)
        assert sorted(shown["scaleout"]["hosts"]) == ["app-1", "app-2", "old"]
        assert shown["late"]["hosts"] == ["app-2"]
        assert (shown["at_fra1"]["hosts"], shown["at_none"]["hosts"]) == (["app-1", "app-2"], ["old"])
        assert shown["_meta"]["hostvars"]["app-1"]["x"] == 1
        assert shown["_meta"]["hostvars"]["app-2"]["second"] is True

    def test_a_token_from_an_extra_variable(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1)]
        path = inventory.write(api_token="{{ my_token }}")
        done = self.run(path, "--list", "-e", f"my_token={TOKEN}", token="not this one")
        assert '"do_id": 1' in done.stdout, done.stderr

    def test_a_token_from_a_vault(self, api: FakeApi, inventory: Inventory) -> None:
        api.droplets = [droplet(1)]
        password = write_text(inventory.folder / "password", "open\n")
        secret = VaultLib([("default", VaultSecret(b"open"))]).encrypt(TOKEN).decode()
        path = inventory.write(api_token=None)
        path.write_text(path.read_text() + "api_token: !vault |\n" + textwrap.indent(secret, "  "))
        done = self.run(path, "--list", "--vault-password-file", str(password), "-vvvvv", token="not this one")
        assert '"do_id": 1' in done.stdout, done.stderr
        assert TOKEN not in done.stdout + done.stderr

    def test_from_an_installed_collection(self, api: FakeApi, inventory: Inventory, tmp_path: Path) -> None:
        # Without the configuration of this checkout, by the plugin that looks at `plugin:`
        api.droplets = [droplet(1)]
        for command in (
            [
                "build",
                "--output-path",
                str(tmp_path),
                str(COLLECTIONS / "ansible_collections" / "alphacoder" / "scaleout"),
            ],
            ["install", "--offline", "--no-deps", "-p", str(tmp_path / "installed"), "alphacoder-scaleout-*.tar.gz"],
        ):
            found = [str(next(tmp_path.glob(one))) if "*" in one else one for one in command]
            galaxy = [sys.executable, "-m", "ansible", "galaxy", "collection", *found]
            subprocess.run(galaxy, cwd=tmp_path, check=True, capture_output=True, timeout=60)
        done = self.run(
            inventory.write(),
            "--list",
            ANSIBLE_COLLECTIONS_PATH=str(tmp_path / "installed"),
            ANSIBLE_INVENTORY_ENABLED="auto",
        )
        assert '"do_id": 1' in done.stdout, done.stderr


def write_text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def fetch_nothing(self: plugin.InventoryModule, client: plugin.Client, filters: dict[str, str]) -> dict[str, t.Any]:
    client.list_all("/droplets", "droplets")
    return {"droplets": [], "reserved_ipv4": []}


def test_it_is_a_plugin_of_ansible() -> None:
    assert issubclass(plugin.InventoryModule, BaseInventoryPlugin)
