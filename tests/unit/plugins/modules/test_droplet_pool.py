# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils import basic
from ansible_collections.alphacoder.scaleout.plugins.module_utils._digitalocean import scopes_of
from ansible_collections.alphacoder.scaleout.plugins.modules import droplet_pool
from support import REPO
from support.fake_api import TOKEN, FakeApi, Reply, SshListener, droplet, error, networks

SCOPE = re.compile(r"`([a-z_]+:[a-z]+)`")
COLLECTIONS = Path(droplet_pool.__file__).parents[5]
OWN = ["service:shop", "pool:app"]
KEYS = {"changed", "created", "drift", "droplets", "removed", "tagged"}


class Pool:
    """Runs the module as Ansible does, with its arguments as JSON and its result from what it prints."""

    def __init__(self, api: FakeApi, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.api, self.patch, self.capsys = api, patch, capsys
        self.warnings: list[str] = []
        patch.setattr(basic.AnsibleModule, "warn", lambda _self, text, **more: self.warnings.append(text))
        patch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        waits = ("POLL", "FIND", "LIST", "UNKNOWN", "ACTION")
        for seconds in ("SECONDS_A_REQUEST", *(f"{one}_SECONDS" for one in waits)):
            patch.setattr(droplet_pool, seconds, getattr(droplet_pool, seconds) / 100)

    def run(self, *, check: bool = False, diff: bool = False, **options: t.Any) -> dict[str, t.Any]:
        given = {
            "service": "shop",
            "name": "app",
            "size": "s-1vcpu-1gb",
            "region": "fra1",
            "api_token": TOKEN,
            "api_url": self.api.url,
            "retries": 0,
            "wait_timeout": 10,
            **options,
        }
        arguments = {name: value for name, value in given.items() if value is not None}
        arguments.update(_ansible_check_mode=check, _ansible_diff=diff)
        self.patch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        with pytest.raises(SystemExit):
            droplet_pool.main()
        printed = self.capsys.readouterr().out
        assert TOKEN not in printed
        return t.cast("dict[str, t.Any]", json.loads(printed))

    def ok(self, **options: t.Any) -> dict[str, t.Any]:
        result = self.run(**options)
        assert not result.get("failed"), result["msg"]
        assert set(result) >= KEYS
        return result

    def fails(self, text: str, **options: t.Any) -> dict[str, t.Any]:
        result = self.run(**options)
        assert result["failed"]
        assert text in result["msg"]
        assert "\n" not in result["msg"]
        assert "exception" not in result or "Traceback" not in str(result["exception"])
        return result


@pytest.fixture
def ssh(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[SshListener]:
    listener = SshListener()
    monkeypatch.setattr(droplet_pool, "SSH_PORT", listener.port)
    yield listener
    listener.close()


@pytest.fixture
def pool(api: FakeApi, ssh: SshListener, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Pool:
    return Pool(api, monkeypatch, capsys)


def member(n: int, **changes: t.Any) -> dict[str, t.Any]:
    here = networks("127.0.0.1", f"10.114.0.{n}")
    return droplet(n, **{"tags": ["service:shop", "pool:app"], "networks": here, **changes})


def without_times(droplets: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    return [{key: value for key, value in one.items() if key != "ready_after"} for one in droplets]


def names(droplets: list[dict[str, t.Any]]) -> list[str]:
    return [one["name"] for one in droplets]


class TestCreate:
    def test_and_again(self, api: FakeApi, pool: Pool) -> None:
        first = pool.ok(count=2, tags=["scaleout"])
        assert first["changed"]
        assert first["created"] == ["app-1", "app-2"]
        assert first["removed"] == []
        assert all(0 <= one["ready_after"] < 10 for one in first["droplets"])
        assert without_times(first["droplets"]) == [
            {
                "id": n + 100,
                "name": f"app-{n}",
                "status": "active",
                "public_ipv4": "127.0.0.1",
                "private_ipv4": f"10.114.0.{n + 100}",
                "tags": ["service:shop", "pool:app", "scaleout"],
                "region": "fra1",
                "size": "s-1vcpu-1gb",
                "image": "debian-13-x64",
            }
            for n in (1, 2)
        ]
        made = len(api.changes())
        again = pool.ok(count=2, tags=["scaleout"])
        assert not again["changed"]
        assert again["created"] == again["removed"] == []
        assert without_times(again["droplets"]) == without_times(first["droplets"])
        assert len(api.changes()) == made
        assert pool.warnings == []

    def test_what_is_asked_for(self, api: FakeApi, pool: Pool) -> None:
        api.keys.append({"id": 12, "name": "desktop", "fingerprint": "cc:dd"})
        pool.ok(count=1, image="123", vpc_uuid="v1", user_data="#cloud-config", monitoring=True, tags=["b", "a"])
        assert api.calls("POST", "/droplets")[0].body == {
            "names": ["app-1"],
            "size": "s-1vcpu-1gb",
            "region": "fra1",
            "image": 123,
            "ssh_keys": [11, 12],
            "tags": ["service:shop", "pool:app", "b", "a"],
            "monitoring": True,
            "vpc_uuid": "v1",
            "user_data": "#cloud-config",
        }

    def test_gaps_are_filled(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(2), member(4)]
        result = pool.ok(count=4)
        assert result["created"] == ["app-1", "app-3"]
        assert names(result["droplets"]) == ["app-1", "app-2", "app-3", "app-4"]

    def test_ten_in_a_call(self, api: FakeApi, pool: Pool) -> None:
        assert len(pool.ok(count=23)["created"]) == 23
        assert [len(one.body["names"]) for one in api.calls("POST", "/droplets")] == [10, 10, 3]

    def test_a_limit_halfway_says_what_was_made(self, api: FakeApi, pool: Pool) -> None:
        first = [
            droplet(n, f"app-{n}", tags=["service:shop", "pool:app"], status="new", networks={}) for n in range(1, 11)
        ]
        api.replies_to["POST /droplets"] = [
            Reply(202, {"droplets": first}),
            error(422, "creating this/these droplet(s) will exceed your droplet limit"),
        ]
        result = pool.fails("will exceed your droplet limit", count=12)
        assert result["changed"]
        assert result["created"] == [f"app-{n}" for n in range(1, 11)]
        assert names(result["droplets"]) == result["created"]
        assert "Not created: app-11, app-12. Created, and kept: app-1, app-2, " in result["msg"]
        assert "ask DigitalOcean for a higher limit. Then run this again" in result["msg"]

    def test_an_answer_without_tags(self, api: FakeApi, pool: Pool) -> None:
        api.replies_to["POST /droplets"] = [Reply(202, {"droplets": [droplet(1, status="new", tags=None)]})]
        result = pool.ok(count=1, wait=False)
        assert result["droplets"][0]["tags"] == ["service:shop", "pool:app"]

    def test_an_answer_without_a_droplet(self, api: FakeApi, pool: Pool) -> None:
        api.replies_to["POST /droplets"] = [Reply(202, {"droplets": [member(1)]})]
        result = pool.fails("did not create app-2", count=2)
        assert result["created"] == ["app-1"]

    def test_a_batch_that_is_made_in_part(self, api: FakeApi, pool: Pool) -> None:
        """Whether the limit refuses a whole batch is not stated."""

        def halfway() -> None:
            api.droplets += [member(1), member(2)]

        api.replies_to["POST /droplets"] = [error(422, "will exceed your droplet limit")]
        lists = iter(range(99))
        api.before_page = lambda page: halfway() if next(lists) == 1 else None
        result = pool.fails("Not created: app-3. Created, and kept: app-1, app-2.", count=3)
        assert result["created"] == ["app-1", "app-2"]
        assert names(result["droplets"]) == ["app-1", "app-2"]
        assert pool.ok(count=3)["created"] == ["app-3"]

    def test_another_refusal_is_not_looked_into(self, api: FakeApi, pool: Pool) -> None:
        api.replies_to["POST /droplets"] = [error(422, "You specified an invalid size for Droplet creation.")]
        result = pool.fails("invalid size for Droplet creation.). Not created: app-1", count=1)
        assert "higher limit" not in result["msg"]
        assert len(api.calls("GET", "/droplets")) == 1

    def test_a_lost_answer_is_no_failure_if_all_is_there(self, api: FakeApi, pool: Pool) -> None:
        def carried_out(page: int) -> None:
            if api.calls("POST", "/droplets") and not api.droplets:
                api.droplets += [member(1), member(2)]

        api.before_page = carried_out
        api.replies_to["POST /droplets"] = [error(504)]
        result = pool.ok(count=2)
        assert result["created"] == ["app-1", "app-2"]
        assert len(api.calls("POST", "/droplets")) == 1

    def test_a_rate_limit_in_between_is_waited_for(self, api: FakeApi, pool: Pool) -> None:
        api.replies_to["POST /droplets"] = [error(429, "Too many requests", retry_after="0")]
        assert len(pool.ok(count=2, retries=1)["created"]) == 2

    def test_an_hour_used_up_says_when_and_loses_nothing(self, api: FakeApi, pool: Pool) -> None:
        first = [
            droplet(n, f"app-{n}", tags=["service:shop", "pool:app"], status="new", networks={}) for n in range(1, 11)
        ]
        late = str(int(time.time()) + 1800)
        api.replies_to["POST /droplets"] = [
            Reply(202, {"droplets": first}),
            error(429, "Too many requests", ratelimit_reset=late),
        ]
        result = pool.fails("rate limit reached, try again in ", count=11, retries=4)
        assert "Not created: app-11. Created, and kept: app-1," in result["msg"]
        assert len(result["created"]) == 10

    def test_the_tag_in_the_capitals_of_its_first_use(self, api: FakeApi, pool: Pool) -> None:
        """A list by other capitals is empty, which must not make the droplets a second time."""
        api.droplets = [member(n, tags=["Service:Shop", "Pool:App"]) for n in (1, 2)]
        assert not pool.ok(count=2)["changed"]
        assert pool.ok(count=1)["removed"] == ["app-2"]

    @pytest.mark.parametrize("reply", [error(504), Reply(202, "<html>")], ids=["504", "no JSON"])
    def test_an_unclear_create_is_not_repeated(self, api: FakeApi, pool: Pool, reply: Reply) -> None:
        api.replies_to["POST /droplets"] = [reply]
        pool.fails("Droplets may have been created all the same", count=1, retries=3)
        assert len(api.calls("POST", "/droplets")) == 1

    @pytest.mark.parametrize(("option", "value"), [("size", None), ("region", None), ("size", "")])
    def test_what_it_needs(self, api: FakeApi, pool: Pool, option: str, value: t.Any) -> None:
        pool.fails(f"Pool app needs new droplets: set {option}.", count=1, **{option: value})
        assert api.changes() == []

    def test_size_and_region_are_not_needed_if_nothing_is_created(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1)]
        assert not pool.ok(count=1, size=None, region=None)["changed"]


class TestKeys:
    @pytest.mark.parametrize(
        ("wanted", "sent"),
        [(["laptop"], [11]), (["12"], [12]), (["cc:dd", "laptop"], [12, 11]), (["both"], [13, 14]), ([], [])],
    )
    def test_by_name_id_and_fingerprint(self, api: FakeApi, pool: Pool, wanted: list[str], sent: list[int]) -> None:
        api.keys += [
            {"id": 12, "name": "desktop", "fingerprint": "cc:dd"},
            {"id": 13, "name": "both", "fingerprint": "e"},
            {"id": 14, "name": "both", "fingerprint": "f"},
        ]
        pool.ok(count=1, ssh_keys=wanted)
        assert api.calls("POST", "/droplets")[0].body["ssh_keys"] == sent

    @pytest.mark.parametrize("check", [False, True])
    def test_an_unknown_one_lists_what_is_there(self, api: FakeApi, pool: Pool, check: bool) -> None:
        pool.fails("no SSH key tablet. It has: laptop (11).", count=1, ssh_keys=["laptop", "tablet"], check=check)
        assert api.changes() == []

    def test_none_in_the_account(self, api: FakeApi, pool: Pool) -> None:
        api.keys = []
        pool.fails("nobody could log in", count=1)
        assert api.changes() == []

    def test_are_not_read_if_nothing_is_created(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1)]
        pool.ok(count=1, ssh_keys=["tablet"])
        assert api.calls("GET", "/account/keys") == []


class TestServices:
    """Of several services in one account, whose pools have the same name."""

    @pytest.fixture
    def others(self, api: FakeApi) -> list[dict[str, t.Any]]:
        api.droplets = [
            droplet(1, "app-1", tags=["service:other", "pool:app", "app"]),
            droplet(2, "app-2", tags=["service:other", "pool:app", "app"]),
            droplet(3, "app-3", tags=["app"]),
            droplet(4, "snowflake", tags=["pool:app"]),
        ]
        return json.loads(json.dumps(api.droplets))

    @pytest.mark.parametrize("narrows", [True, False])
    def test_leave_each_other_alone(
        self, api: FakeApi, pool: Pool, others: list[dict[str, t.Any]], narrows: bool
    ) -> None:
        api.narrows = narrows
        assert pool.ok(count=2, tags=["web"])["created"] == ["app-1", "app-2"]
        assert not pool.ok(count=2, tags=["web"])["changed"]
        assert pool.ok(count=3)["created"] == ["app-3"]
        assert pool.ok(count=1, max_removals=2)["removed"] == ["app-3", "app-2"]
        assert pool.ok(state="adopted")["tagged"] == []
        assert pool.ok(state="absent")["removed"] == ["app-1"]
        assert api.droplets == others
        assert pool.warnings == []

    def test_one_that_another_made_meanwhile_is_not_ones_own(
        self, api: FakeApi, pool: Pool, others: list[dict[str, t.Any]]
    ) -> None:
        api.replies_to = {"POST /droplets": [error(504)]}
        result = pool.fails("Not created: app-1, app-2", count=2)
        assert (result["created"], result["droplets"]) == ([], [])

    def test_a_list_is_one_request(self, api: FakeApi, pool: Pool, others: list[dict[str, t.Any]]) -> None:
        pool.ok(count=0, wait=False)
        assert [(one.path, one.query["tag_name"]) for one in api.requests] == [("/droplets", "pool:app")]

    @pytest.mark.parametrize("options", [{"count": 2}, {"count": 0}, {"state": "absent"}], ids=str)
    @pytest.mark.parametrize("check", [True, False])
    def test_droplets_of_none_stop_the_run(
        self, api: FakeApi, pool: Pool, options: dict[str, t.Any], check: bool
    ) -> None:
        api.droplets = [droplet(1, tags=["scaleout", "pool:app"]), member(2)]
        pool.fails("made before there were services: app-1. Nothing was changed.", check=check, **options)
        assert api.changes() == []

    def test_adoption_and_again(self, api: FakeApi, pool: Pool) -> None:
        # It is off, has another size, and its number is above the count
        api.droplets = [droplet(7, tags=["scaleout", "pool:app"], status="off"), member(2)]
        before = json.loads(json.dumps(api.droplets))
        planned = pool.ok(check=True, diff=True, state="adopted", size="s-8vcpu-16gb", tags=["web"])
        assert (planned["changed"], planned["tagged"]) == (True, ["app-7"])
        assert planned["diff"]["before"]["app-7"]["tags"] == ["scaleout", "pool:app"]
        assert planned["diff"]["after"]["app-7"]["tags"] == ["scaleout", "pool:app", "service:shop"]
        assert planned["diff"]["after"]["app-2"] == planned["diff"]["before"]["app-2"]
        assert api.droplets == before

        done = pool.ok(state="adopted", size="s-8vcpu-16gb", tags=["web"])
        assert (done["changed"], done["tagged"], done["created"], done["removed"]) == (True, ["app-7"], [], [])
        assert [one["tags"] for one in api.droplets] == [
            ["scaleout", "pool:app", "service:shop"],
            ["service:shop", "pool:app"],
        ]
        assert not pool.ok(state="adopted")["changed"]
        assert pool.ok(count=2, wait=False)["droplets"] == done["droplets"]

    def test_one_that_is_in_two_is_nobodys(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1, tags=["service:shop", "service:other", "pool:app"])]
        for options in ({"count": 0}, {"state": "absent"}, {"state": "adopted"}):
            pool.fails("has the tags service:other, service:shop, but a droplet belongs to one service", **options)
        assert api.changes() == []


class TestRemove:
    def test_highest_first(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(n) for n in (1, 10, 2)]
        result = pool.ok(count=2)
        assert result["removed"] == ["app-10"]
        assert names(result["droplets"]) == ["app-1", "app-2"] == sorted(names(api.droplets))
        assert not pool.ok(count=2)["changed"]

    @pytest.mark.parametrize("check", [False, True])
    def test_no_more_than_allowed(self, api: FakeApi, pool: Pool, check: bool) -> None:
        api.droplets = [member(n) for n in (1, 2, 3)]
        result = pool.fails("removes 2 (app-3, app-2), but max_removals is 1", count=1, check=check)
        assert not result["changed"]
        assert len(result["droplets"]) == 3
        assert api.changes() == []

    def test_more_if_told(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(n) for n in (1, 2, 3)]
        assert pool.ok(count=0, max_removals=3)["removed"] == ["app-3", "app-2", "app-1"]

    def test_absent_takes_all_of_the_pool_and_no_other(self, api: FakeApi, pool: Pool) -> None:
        others = [
            droplet(11, "app-7", tags=["app"]),
            member(12, name="snowflake"),
            droplet(13, "application-1", tags=["service:shop", "pool:application"]),
        ]
        api.droplets = [member(n) for n in (1, 2, 3)] + others
        result = pool.ok(state="absent", count=None, size=None, region=None)
        assert result["removed"] == ["app-3", "app-2", "app-1"]
        assert result["droplets"] == []
        assert api.droplets == others
        assert "snowflake" in pool.warnings[0]
        assert not pool.ok(state="absent")["changed"]

    def test_one_that_went_by_itself(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1), member(2)]
        api.replies_to["DELETE /droplets/2"] = [error(404)]
        pool.fails("still lists app-2 after wait_timeout", count=1, wait_timeout=0)

    def test_a_failure_halfway_says_what_is_gone(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(n) for n in (1, 2, 3)]
        api.replies_to["DELETE /droplets/2"] = [error(422, "You can't do that.")]
        result = pool.fails("You can't do that.", count=1, max_removals=2)
        assert result["changed"]
        assert result["removed"] == ["app-3"]
        assert names(result["droplets"]) == ["app-1", "app-2"]


class TestScopes:
    @pytest.mark.parametrize("shape", [[], None])
    def test_a_token_that_sees_no_tags_makes_no_pool_grow(self, api: FakeApi, pool: Pool, shape: t.Any) -> None:
        shown = [{**member(n), "tags": shape} for n in (1, 2)]
        api.replies = [Reply(200, {"droplets": shown, "meta": {"total": 2}}) for _run in range(3)]
        for _run in range(3):
            result = pool.fails("The API lists app-1, app-2 by the tag pool:app, but does not show their tags", count=2)
            assert "Give the token the scope tag:read." in result["msg"]
        assert api.changes() == []

    @pytest.mark.parametrize(
        ("playbook", "options"),
        [
            ("adopt.yml", {"state": "adopted"}),
            ("provision.yml", {"count": 3, "tags": ["new"]}),
            ("destroy.yml", {"state": "absent"}),
        ],
    )
    def test_the_page_names_what_the_api_is_asked_for(
        self, api: FakeApi, pool: Pool, playbook: str, options: dict[str, t.Any]
    ) -> None:
        rows = [
            line.split("|")[1:3]
            for line in (REPO / "docs" / "droplets.md").read_text().splitlines()
            if re.match(r"\| .*`[a-z_]+:[a-z]+`", line)
        ]
        # All playbooks read; those that make droplets may remove some, too
        told = {
            scope for who, what in rows if "every" in who or f"`{playbook}`" in who for scope in SCOPE.findall(what)
        }
        api.droplets = [member(1), member(2, tags=["pool:app"])] if options.get("state") == "adopted" else [member(1)]
        pool.ok(**options)
        asked = {scope for one in api.requests for scope in scopes_of(one.method, one.path, one.query)}

        assert asked <= told
        # What these do not do here: a droplet with two addresses, and one too many
        assert told - asked <= {"reserved_ip:read", *(["droplet:delete"] if playbook == "provision.yml" else [])}

    def test_a_tag_that_is_there_need_not_be_made(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1)]
        api.replies_to["POST /tags"] = [error(403)]
        assert pool.ok(count=1, tags=["new"])["tagged"] == ["app-1"]

    def test_a_tag_that_may_not_be_made(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1)]
        api.replies_to["POST /tags"] = [error(403)]
        api.replies_to["POST /tags/new/resources"] = [error(404)]
        assert "give it the scope tag:create" in pool.fails("POST /tags:", count=1, tags=["new"])["msg"]


class TestDrift:
    def test_missing_tags_are_added(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [
            member(1, tags=["service:shop", "pool:app", "mine"]),
            member(2, tags=["service:shop", "pool:app", "mine", "new"]),
        ]
        result = pool.ok(count=2, tags=["new"])
        assert result["changed"]
        assert [one["tags"] for one in result["droplets"]] == [["service:shop", "pool:app", "mine", "new"]] * 2
        sent = api.calls("POST", "/tags/new/resources")[0].body
        assert sent == {"resources": [{"resource_id": "1", "resource_type": "droplet"}]}
        assert not pool.ok(count=2, tags=["new"])["changed"]

    def test_a_tag_is_called_as_the_api_knows_it(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1)]
        api.replies_to["POST /tags"] = [Reply(201, {"tag": {"name": "New"}})]
        pool.ok(count=1, tags=["new"])
        assert api.droplets[0]["tags"] == ["service:shop", "pool:app", "New"]
        assert not pool.ok(count=1, tags=["new"])["changed"]

    def test_a_tag_that_is_there_already(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1)]
        api.replies_to["POST /tags"] = [error(422, "already exists")]
        assert pool.ok(count=1, tags=["new"])["changed"]

    def test_tagging_is_sent_again_after_a_failure(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1)]
        api.replies_to["POST /tags"] = [error(500)]
        api.replies_to["POST /tags/new/resources"] = [error(500)]
        assert pool.ok(count=1, tags=["new"], retries=1)["changed"]
        assert api.droplets[0]["tags"] == ["service:shop", "pool:app", "new"]

    def test_size_is_a_warning(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1), member(2)]
        result = pool.ok(count=1, size="s-9", image="ubuntu-24-04-x64")
        assert result["removed"] == ["app-2"]
        assert result["drift"] == [
            {"name": "app-1", "id": 1, "option": "size", "wanted": "s-9", "actual": "s-1vcpu-1gb"},
            {"name": "app-1", "id": 1, "option": "image", "wanted": "ubuntu-24-04-x64", "actual": "debian-13-x64"},
        ]
        assert (
            "The size of pool app is s-9, but these droplets have another: app-1 (s-1vcpu-1gb). The option"
            in pool.warnings[0]
        )
        assert "The image of pool app is ubuntu-24-04-x64" in pool.warnings[1]

    @pytest.mark.parametrize("check", [False, True])
    def test_is_a_failure_if_told(self, api: FakeApi, pool: Pool, check: bool) -> None:
        api.droplets = [member(1), member(2)]
        text = (
            "but these droplets have another: app-1 (s-1vcpu-1gb), app-2 (s-1vcpu-1gb). "
            "Nothing was changed, because on_drift is fail."
        )
        result = pool.fails(text, count=3, tags=["new"], size="s-9", on_drift="fail", check=check)
        assert [one["name"] for one in result["drift"]] == ["app-1", "app-2"]
        assert api.changes() == []

    def test_missing_tags_are_no_failure(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1)]
        assert pool.ok(count=1, tags=["new"], on_drift="fail")["tagged"] == ["app-1"]


class TestAddresses:
    def test_a_reserved_one_is_not_its_own(self, api: FakeApi, pool: Pool) -> None:
        reserved = "203.0.113.99"
        api.droplets = [member(1, networks=networks(reserved, "10.114.0.1", None, "127.0.0.1"))]
        api.reserved_ips = [{"ip": reserved}]
        result = pool.ok(count=1)
        assert result["droplets"][0]["public_ipv4"] == "127.0.0.1"
        assert len(api.calls("GET", "/reserved_ips")) == 1

    def test_a_token_that_may_not_ask_for_reserved_ones_is_enough(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1, networks=networks("127.0.0.1", "10.114.0.1", None, "127.0.0.1"))]
        api.replies_to = {"GET /reserved_ips": [error(403)]}
        assert pool.ok(count=1)["droplets"][0]["public_ipv4"] == "127.0.0.1"
        [warning] = pool.warnings
        assert "give the token the scope reserved_ip:read" in warning

    def test_nobody_is_asked_for_reserved_ones_without_need(self, api: FakeApi, pool: Pool) -> None:
        pool.ok(count=1)
        assert api.calls("GET", "/reserved_ips") == []


class TestCheckAndDiff:
    def test_growing(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1, tags=["service:shop", "pool:app"])]
        planned = pool.ok(count=3, tags=["new"], check=True, diff=True)
        assert api.changes() == []
        assert planned["tagged"] == ["app-1"]
        assert names(planned["droplets"]) == ["app-1"]
        done = pool.ok(count=3, tags=["new"], diff=True)
        for key in ("changed", "created", "removed", "tagged", "diff"):
            assert planned[key] == done[key]
        new = {
            "size": "s-1vcpu-1gb",
            "region": "fra1",
            "image": "debian-13-x64",
            "tags": ["service:shop", "pool:app", "new"],
        }
        assert done["diff"] == {
            "before": {"app-1": {**new, "tags": ["service:shop", "pool:app"]}},
            "after": {"app-1": new, "app-2": new, "app-3": new},
        }

    def test_shrinking(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1), member(2)]
        planned = pool.ok(count=1, check=True, diff=True)
        assert api.changes() == []
        assert planned["changed"]
        assert planned["removed"] == ["app-2"]
        done = pool.ok(count=1, diff=True)
        for key in ("changed", "created", "removed", "tagged", "diff"):
            assert planned[key] == done[key]
        assert without_times(planned["droplets"]) == without_times(done["droplets"])
        assert list(done["diff"]["after"]) == ["app-1"]

    @pytest.mark.parametrize("check", [False, True])
    def test_nothing_to_do(self, api: FakeApi, pool: Pool, check: bool) -> None:
        api.droplets = [member(1)]
        result = pool.ok(count=1, check=check, diff=True)
        assert not result["changed"]
        assert result["diff"]["before"] == result["diff"]["after"]

    def test_droplets_of_one_name_are_told_apart(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1), member(2, name="app-1")]
        result = pool.ok(count=1, check=True, diff=True)
        assert list(result["diff"]["before"]) == ["app-1 (id 1)", "app-1 (id 2)"]
        assert list(result["diff"]["after"]) == ["app-1 (id 1)"]

    def test_a_failure_shows_no_diff(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1), member(2)]
        api.replies_to["DELETE /droplets/2"] = [error(422)]
        assert "diff" not in pool.fails("app-2 was not removed", count=1, diff=True)

    def test_no_diff_unless_asked_for(self, pool: Pool) -> None:
        assert "diff" not in pool.ok(count=1)

    def test_check_mode_does_not_wait(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1, status="new", networks={})]
        api.polls_until_active = 99
        assert not pool.ok(count=1, check=True)["changed"]


class TestWait:
    def test_until_listed_active_and_with_an_address(self, api: FakeApi, pool: Pool) -> None:
        pool.patch.setattr(droplet_pool, "LIST_SECONDS", 30.0)
        api.polls_until_listed, api.polls_until_active = 3, 6
        result = pool.ok(count=2)
        assert [one["public_ipv4"] for one in result["droplets"]] == ["127.0.0.1"] * 2
        assert api.calls("GET", "/droplets/101") == []
        assert not pool.ok(count=2)["changed"]

    def test_for_one_that_the_api_does_not_know_for_a_while(self, api: FakeApi, pool: Pool) -> None:
        pool.patch.setattr(droplet_pool, "UNKNOWN_SECONDS", 30.0)
        api.polls_until_listed = 8
        api.replies_to["GET /droplets/101"] = [error(404)] * 3
        pool.patch.setattr(droplet_pool, "LIST_SECONDS", 0.0)
        assert pool.ok(count=1)["created"] == ["app-1"]
        assert len(api.calls("GET", "/droplets/101")) > 3

    def test_for_the_public_address_of_a_new_one(self, api: FakeApi, pool: Pool) -> None:
        api.new_address = None
        looks = itertools.count()

        def give_it(_page: int) -> None:
            if next(looks) == 4:
                api.droplets[0]["networks"] = networks("127.0.0.1", "10.114.0.1")

        api.before_page = give_it
        # At the private one it would answer at once
        pool.patch.setattr(droplet_pool, "ssh_lack", lambda address, timeout: None)
        assert pool.ok(count=1)["droplets"][0]["public_ipv4"] == "127.0.0.1"

    def test_one_without_a_public_address_is_not_asked_over_ssh(self, api: FakeApi, pool: Pool) -> None:
        def private(_page: int) -> None:
            for one in api.droplets:
                one.update(status="active", networks=networks(None, "192.0.2.1"))

        api.before_page = private
        result = pool.ok(count=1, public_networking=False, ipv6=True, backups=True)
        body = api.calls("POST", "/droplets")[0].body
        assert [body.get(name) for name in ("public_networking", "ipv6", "backups")] == [False, True, True]
        assert result["droplets"][0]["private_ipv4"] == "192.0.2.1"

    def test_not_if_not_wanted(self, api: FakeApi, pool: Pool) -> None:
        api.polls_until_active = 99
        result = pool.ok(count=1, wait=False)
        assert result["droplets"][0]["status"] == "new"
        assert result["droplets"][0]["public_ipv4"] is None

    def test_for_ssh_to_come_up(
        self, api: FakeApi, pool: Pool, monkeypatch: pytest.MonkeyPatch, ssh: SshListener
    ) -> None:
        # The port is open before the server speaks, as with a socket that systemd holds
        ssh.banner = b""
        threading.Timer(0.3, lambda: setattr(ssh, "banner", b"hello\r\nSSH-2.0-x\r\n")).start()
        assert pool.ok(count=1)["created"] == ["app-1"]

    def test_for_those_that_were_there_before(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1, status="new", networks={})]
        api.polls_until_active = 4
        result = pool.ok(count=1)
        assert not result["changed"]
        assert result["droplets"][0]["status"] == "active"

    def test_at_the_private_address_if_there_is_no_other(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1, networks=networks(None, "127.0.0.1"))]
        assert not pool.ok(count=1)["changed"]

    def test_says_who_lacks_what(
        self, api: FakeApi, pool: Pool, monkeypatch: pytest.MonkeyPatch, ssh: SshListener
    ) -> None:
        ssh.banner = b"220 mail.example\r\n"
        api.polls_until_listed = 1
        api.polls_until_active = 999
        api.droplets = [
            member(1),
            member(2, status="new"),
            member(3, networks={"v4": []}),
            member(4, status="off", locked=True),
            member(5, networks=networks("127.0.0.9")),
        ]
        monkeypatch.setattr(
            droplet_pool.socket, "create_connection", _refuse_one(droplet_pool.socket.create_connection, "127.0.0.9")
        )
        result = pool.fails("Not ready within wait_timeout", count=6, wait_timeout=0)
        for text in (
            f"app-1 sends no SSH banner at 127.0.0.1 port {ssh.port}",
            "app-2 is new, not active",
            "app-3 has no address",
            "app-4 is off, not active",
            f"app-5 does not answer over SSH at 127.0.0.9 port {ssh.port} (Connection refused)",
            "app-6 is not in the API's list yet",
        ):
            assert text in result["msg"]
        assert result["created"] == ["app-6"]
        assert result["changed"]
        assert len(result["droplets"]) == 6

    def test_one_that_never_shows(self, api: FakeApi, pool: Pool) -> None:
        api.replies_to["POST /droplets"] = [Reply(202, {"droplets": [droplet(7, "app-1", status="new", networks={})]})]
        result = pool.fails("app-1 (id 7) no longer exists: somebody removed it, or its creation failed.", count=1)
        assert result["created"] == ["app-1"]
        assert "does not list app-1 yet. Wait a minute before you run this again" in pool.warnings[0]

    def test_one_that_goes_meanwhile(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1), member(2, status="new", networks={})]
        api.polls_until_active = 99
        lists = iter(range(99))
        api.before_page = lambda page: api.droplets.__delitem__(1) if next(lists) == 3 else None
        pool.fails("app-2 (id 2) no longer exists", count=2)

    def test_not_ready_before_the_list_shows_it(self, api: FakeApi, pool: Pool) -> None:
        """An inventory that is read next would lack it, and another run would make it again."""
        api.polls_until_listed, api.polls_until_active = 10, 0
        pool.ok(count=1)
        assert names(api.droplets) == ["app-1"]
        assert len(api.calls("GET", "/droplets")) > 10

    @pytest.mark.parametrize("wait", [True, False])
    def test_no_run_ends_before_the_list_shows_what_it_made(self, api: FakeApi, pool: Pool, wait: bool) -> None:
        api.polls_until_listed = 5
        pool.patch.setattr(droplet_pool, "LIST_SECONDS", 30.0)
        if wait:
            pool.fails("Not ready within wait_timeout: app-1 is not in the API's list", count=1, wait_timeout=0)
        else:
            pool.ok(count=1, wait=False)
        assert pool.run(count=1, wait=False)["created"] == []
        assert names(api.droplets) == ["app-1"]
        assert pool.warnings == []


class TestDown:
    """A droplet that is off doesn't come up by waiting."""

    @pytest.mark.parametrize("status", ["off", "archive"])
    @pytest.mark.parametrize("check", [False, True])
    def test_is_said_at_once(self, api: FakeApi, pool: Pool, status: str, check: bool) -> None:
        api.droplets = [member(1), member(2, status=status)]
        text = f"app-2 (id 2) is {status}, so waiting would not help: power it on, or delete it"
        result = pool.fails(text, count=3, check=check, wait_timeout=300)
        assert "Nothing was changed." in result["msg"]
        assert names(result["droplets"]) == ["app-1", "app-2"]
        assert api.changes() == []
        assert len(api.requests) == 1

    def test_is_a_warning_without_wait(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1, status="off")]
        assert pool.ok(count=2, wait=False)["created"] == ["app-2"]
        assert "app-1 (id 1) is off" in pool.warnings[0]

    def test_may_be_removed(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1), member(2, status="off")]
        assert pool.ok(count=1)["removed"] == ["app-2"]
        assert pool.ok(state="absent")["removed"] == ["app-1"]

    def test_is_waited_for_while_something_is_done_to_it(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1, status="off", locked=True)]
        lists = iter(range(99))

        def power_on(page: int) -> None:
            if next(lists) == 4:
                api.droplets[0].update(status="active", locked=False)

        api.before_page = power_on
        assert pool.ok(count=1)["droplets"][0]["status"] == "active"

    def test_is_said_at_once_when_it_comes_meanwhile(self, api: FakeApi, pool: Pool) -> None:
        api.polls_until_active = 99
        lists = iter(range(99))
        api.before_page = lambda page: api.droplets[0].update(status="off") if next(lists) == 4 else None
        result = pool.fails("app-1 (id 101) is off", count=1, wait_timeout=300)
        assert result["created"] == ["app-1"]
        assert "Nothing was changed" not in result["msg"]


class TestCreationThatFails:
    def test_is_named_and_the_good_ones_are_kept(self, api: FakeApi, pool: Pool) -> None:
        api.droplets = [member(1), member(2, status="new", networks={})]
        api.polls_until_active = 10_000
        api.actions[2] = [{"id": 78, "type": "reboot", "status": "errored"}]
        api.actions[2] += [{"id": 77, "type": "create", "status": "errored"}]
        result = pool.fails("app-2 (id 2) was not created: the API says action 77 (create) errored.", count=2)
        assert "Delete it and run this again to create a new one. Kept: app-1." in result["msg"]
        assert names(result["droplets"]) == ["app-1", "app-2"]
        assert api.changes() == []

    @pytest.mark.parametrize("status", ["in-progress", "completed"])
    def test_is_not_one_that_lasts(self, api: FakeApi, pool: Pool, status: str) -> None:
        api.actions[101] = [{"id": 77, "type": "create", "status": status}]
        api.polls_until_active = 20
        assert pool.ok(count=1)["created"] == ["app-1"]
        assert api.calls("GET", "/droplets/101/actions")


class TestLocked:
    """A droplet that something else is being done to can't be removed yet."""

    def refuse(self, api: FakeApi, times: int) -> None:
        api.replies_to["DELETE /droplets/2"] = [error(422, "Droplet already has a pending event.")] * times
        api.droplets = [member(1), member(2, locked=True)]

    def test_is_waited_for(self, api: FakeApi, pool: Pool) -> None:
        self.refuse(api, 3)
        assert pool.ok(count=1)["removed"] == ["app-2"]

    @pytest.mark.parametrize("options", [{}, {"wait": False}])
    def test_is_tried_again_if_that_has_just_ended(self, api: FakeApi, pool: Pool, options: dict[str, t.Any]) -> None:
        self.refuse(api, 1)
        api.droplets[1]["locked"] = False
        assert pool.ok(count=1, **options)["removed"] == ["app-2"]

    @pytest.mark.parametrize("options", [{"wait_timeout": 0}, {"wait": False}])
    def test_not_for_ever(self, api: FakeApi, pool: Pool, options: dict[str, t.Any]) -> None:
        self.refuse(api, 1)
        result = pool.fails("app-2 was not removed: it is locked", count=1, **options)
        assert "Droplet already has a pending event." in result["msg"]
        assert not result["changed"]
        assert names(result["droplets"]) == ["app-1", "app-2"]


def _refuse_one(connect: t.Callable[..., t.Any], refused: str) -> t.Callable[..., t.Any]:
    def create_connection(address: tuple[str, int], *args: t.Any, **kwargs: t.Any) -> t.Any:
        if address[0] == refused:
            raise ConnectionRefusedError(111, "Connection refused")
        return connect(address, *args, **kwargs)

    return create_connection


class TestErrors:
    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"count": None}, "count"),
            ({"count": -1}, "count is -1"),
            ({"count": 1, "name": "a.b"}, "letters, digits and hyphens"),
            ({"count": 1, "tags": ["a=b"]}, "a=b"),
            ({"count": 1, "max_removals": -1}, "max_removals is -1"),
            ({"count": 1, "wait_timeout": -1}, "wait_timeout is -1"),
            ({"count": 1, "on_drift": "mend"}, "on_drift"),
            ({"count": 1, "user_data": "ä" * 33_000}, "64 KiB"),
            ({"count": 1, "api_token": None}, "No DigitalOcean API token"),
            ({"count": 1, "api_url": "http://203.0.113.9/v2"}, "plain HTTP"),
        ],
    )
    def test_before_anything_is_asked(self, api: FakeApi, pool: Pool, options: dict[str, t.Any], text: str) -> None:
        result = pool.run(**options)
        assert result["failed"]
        assert text in result["msg"]
        assert api.requests == []

    def test_a_refused_token(self, pool: Pool) -> None:
        text = "status 401 (Unable to authenticate you.): the token was refused"
        result = pool.fails(text, count=1, api_token="another")
        assert set(result) >= KEYS

    @pytest.mark.parametrize("variable", ["DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN", "DO_API_TOKEN"])
    def test_token_and_url_from_the_environment(
        self, api: FakeApi, pool: Pool, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        monkeypatch.setenv(variable, TOKEN)
        monkeypatch.setenv("DIGITALOCEAN_API_URL", api.url)
        assert pool.ok(count=0, api_token=None, api_url=None)["droplets"] == []


def play(api: FakeApi, folder: Path, *arguments: str, **keywords: t.Any) -> str:
    """Runs the module as a user does, and returns all that was printed."""
    size = {"size": "s-1vcpu-1gb", "region": "fra1"}
    task = {"service": "shop", "name": "app", "count": 1, **size, "wait": False, "user_data": "hush-hush"}
    content = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable},
        "module_defaults": {"group/alphacoder.scaleout.all": {"api_token": TOKEN, "api_url": api.url}},
        "tasks": [{"alphacoder.scaleout.droplet_pool": task, **keywords}],
    }
    (folder / "play.yml").write_text(yaml.safe_dump([content]))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        # Ansible would look for these in the account's home, which isn't HOME here and which not every account has
        "ANSIBLE_ASYNC_DIR": str(folder / "async"),
        "ANSIBLE_REMOTE_TMP": str(folder / "tmp"),
    }
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local", "play.yml", *arguments]
    done = subprocess.run(command, env=environment, cwd=folder, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert names(api.droplets) == ["app-1"]
    assert api.calls("POST", "/droplets")[0].body["user_data"] == "hush-hush"
    printed = done.stdout + done.stderr
    assert "hush-hush" not in printed
    assert TOKEN not in printed
    return printed


def test_in_a_play(api: FakeApi, tmp_path: Path) -> None:
    """The action group sets the token, and neither it nor user_data is shown, however much is asked for."""
    printed = play(api, tmp_path, "-vvvv", "--diff")
    assert "changed=1" in printed
    assert re.search(r"^<localhost> \d+\.\d s: creating app-1$", printed, re.MULTILINE)


def test_progress_is_for_those_who_ask_for_it(api: FakeApi, tmp_path: Path) -> None:
    assert "creating app-1" not in play(api, tmp_path)


def test_in_the_background(api: FakeApi, tmp_path: Path) -> None:
    printed = play(api, tmp_path, "-v", **{"async": 30, "poll": 1})
    assert "changed=1" in printed
    assert "creating app-1" not in printed
