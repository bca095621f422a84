# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API as a client meets it: every shape and trap that the real one has been seen with."""

from __future__ import annotations

import io
import re
import tarfile
from dataclasses import replace
from typing import Any

import pytest
from lab_service import KEY, ORDER, UNLIMITED, Service, refused

from lab import catalog
from lab.droplets import Settings
from lab.errors import LabError

KEY_FINGERPRINT = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){15}")


@pytest.fixture
def service() -> Service:
    return Service()


# Every reply


def test_a_wrong_token_is_refused(service: Service) -> None:
    for token in ("", "wrong"):
        reply = service.call("GET", "/account", token=token)
        assert reply.status_code == 401
        assert reply.json["id"] == "unauthorized"
        assert reply.json["message"] == "Unable to authenticate you."


def test_every_reply_names_its_request_and_the_limits(service: Service) -> None:
    replies = [service.call("GET", "/account"), service.call("GET", "/nothing"), service.call("DELETE", "/droplets/1")]
    for reply in replies:
        assert {"x-request-id", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"} <= {
            name.lower() for name, _ in reply.headers
        }
    assert len({reply.headers["x-request-id"] for reply in replies}) == 3


def test_what_is_not_there_is_a_404_in_json(service: Service) -> None:
    for path in ("/nothing", "/droplets/1", "/tags/x", "/account/keys/1", "/actions/1", "/vpcs/1"):
        reply = service.call("GET", path)
        refused(reply, 404, "The resource you requested could not be found.")
        assert reply.json["id"] == "not_found"
        assert reply.json["request_id"] == reply.headers["x-request-id"]


def test_a_body_that_is_no_json_object_is_a_400(service: Service) -> None:
    for data in (b"", b"{", b"[]", b"\xff"):
        reply = service.client.post("/v2/droplets", data=data, headers={"Authorization": "Bearer secret"})
        refused(reply, 400, "error parsing request body")


def test_a_204_has_a_content_type_and_no_body(service: Service) -> None:
    (number,) = service.created("a")
    reply = service.call("DELETE", f"/droplets/{number}")
    assert reply.status_code == 204
    assert reply.headers["content-type"].startswith("application/json")
    assert reply.data == b""


def test_a_crash_is_a_500_in_json(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(lab: str) -> list[Any]:
        raise LabError("no engine")

    monkeypatch.setattr(service.engine, "containers", broken)
    refused(service.call("GET", "/droplets"), 500, "Unexpected server-side error")


# Rate limits


def test_a_burst_is_refused_with_the_time_to_wait() -> None:
    service = Service(replace(UNLIMITED, rate_per_minute=3))
    for _ in range(3):
        service.get("/account")
        service.clock.now += 10
    reply = service.call("GET", "/account")
    assert reply.status_code == 429
    assert reply.json == {"id": "Too Many Requests", "message": "Too many requests"}
    assert reply.headers["retry-after"] == "30"
    assert reply.headers["ratelimit-remaining"] == "0"
    service.clock.now += 30
    service.get("/account")


def test_an_hour_used_up_has_no_time_to_wait() -> None:
    service = Service(replace(UNLIMITED, rate_per_hour=2))
    start = service.clock.now
    service.get("/account")
    service.clock.now += 60
    service.get("/account")
    reply = service.call("GET", "/account")
    assert reply.status_code == 429
    assert "retry-after" not in reply.headers
    assert reply.headers["ratelimit-remaining"] == "0"
    assert int(reply.headers["ratelimit-reset"]) == start + 3600
    service.clock.now = start + 3600
    service.get("/account")


def test_the_list_of_keys_has_a_limit_of_its_own() -> None:
    service = Service(replace(UNLIMITED, key_lists_per_minute=2))
    for _ in range(2):
        service.get("/account/keys")
    assert service.call("GET", "/account/keys").status_code == 429
    service.get("/account")


# Creating


def test_one_droplet_by_name(service: Service) -> None:
    reply = service.call("POST", "/droplets", {**ORDER, "name": "web-1", "tags": None})
    assert reply.status_code == 202
    droplet = reply.json["droplet"]
    assert droplet["status"] == "new"
    assert droplet["networks"] == {"v4": [], "v6": []}
    assert droplet["tags"] == []
    assert set(droplet) >= {
        "id", "name", "memory", "vcpus", "disk", "locked", "status", "created_at", "features", "backup_ids", "image",
        "next_backup_window", "snapshot_ids", "volume_ids", "size", "size_slug", "networks", "region", "tags",
    }  # fmt: skip
    (link,) = reply.json["links"]["actions"]
    assert link["rel"] == "create"
    assert link["href"].endswith(f"/v2/actions/{link['id']}")


def test_several_droplets_by_names(service: Service) -> None:
    reply = service.call("POST", "/droplets", {**ORDER, "names": ["a", "b"]})
    assert [droplet["name"] for droplet in reply.json["droplets"]] == ["a", "b"]
    assert len(reply.json["links"]["actions"]) == 2


def test_new_then_active_then_with_addresses(service: Service) -> None:
    (number,) = service.create("a")
    path = f"/droplets/{number}"
    assert service.get(path)["droplet"]["status"] == "new"
    service.work.run()
    droplet = service.get(path)["droplet"]
    assert (droplet["status"], droplet["networks"]) == ("active", {"v4": [], "v6": []})
    service.clock.now += 1
    droplet = service.get(path)["droplet"]
    assert [entry["type"] for entry in droplet["networks"]["v4"]] == ["private", "public"]
    assert set(droplet["networks"]["v4"][0]) == {"ip_address", "netmask", "gateway", "type"}


def test_addresses_stay_through_a_reboot(service: Service) -> None:
    (number,) = service.created("a")
    service.clock.now += 60
    before = service.get(f"/droplets/{number}")["droplet"]["networks"]
    service.call("POST", f"/droplets/{number}/actions", {"type": "reboot"})
    service.work.run()
    assert service.get(f"/droplets/{number}")["droplet"]["networks"] == before
    assert before["v4"]


def test_a_new_droplet_is_missing_from_lists_for_a_moment(service: Service) -> None:
    (number,) = service.create("a", tags=["t"])
    service.work.run()
    for query in ("", "?tag_name=t", "?name=a"):
        reply = service.get("/droplets" + query)
        assert (reply["droplets"], reply["meta"]) == ([], {"total": 0})
    assert service.get(f"/droplets/{number}")["droplet"]["name"] == "a"
    service.clock.now += 1
    assert service.names("?tag_name=t") == ["a"]


def test_names_need_not_be_unique(service: Service) -> None:
    first, second = service.created("a", "a")
    assert first != second
    assert service.names() == ["a", "a"]


def test_ids_are_never_used_again(service: Service) -> None:
    (first,) = service.created("a")
    service.call("DELETE", f"/droplets/{first}")
    service.restart()
    (second,) = service.created("a")
    assert isinstance(second, int)
    assert second > first


def test_each_droplet_has_addresses_of_its_own(service: Service) -> None:
    first, _, _ = service.created("a", "b", "c")

    def addresses() -> list[str]:
        droplets = service.get("/droplets")["droplets"]
        return [entry["ip_address"] for droplet in droplets for entry in droplet["networks"]["v4"]]

    before = addresses()
    assert len(set(before)) == 6
    assert not {"10.111.0.1", "198.18.2.1"} & set(before)
    service.call("DELETE", f"/droplets/{first}")
    service.work.run()
    service.created("d")
    assert set(addresses()) == set(before)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"name": "bad_name"}, "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)"),
        ({"name": "ends-"}, "Only valid hostname characters"),
        ({"name": "a\n"}, "Only valid hostname characters"),
        ({"name": "a" * 256}, "Only valid hostname characters"),
        ({"names": ["a", "b c"]}, "Only valid hostname characters"),
        ({"names": [f"a-{n}" for n in range(11)]}, "names"),
        ({"names": []}, "name is required"),
        ({"name": None}, "name is required"),
        ({"name": "a", "image": "debian-1-x64"}, "You specified an invalid image for Droplet creation."),
        ({"name": "a", "image": None}, "image is required"),
        ({"name": "a", "size": "huge"}, "You specified an invalid size for Droplet creation."),
        ({"name": "a", "size": None}, "size is required"),
        ({"name": "a", "region": "mars1"}, "You specified an invalid region for Droplet creation."),
        ({"name": "a", "ssh_keys": [1, "aa:bb"]}, "1, aa:bb are invalid key identifiers for Droplet creation."),
        ({"name": "a", "vpc_uuid": "other"}, "VPC"),
        ({"name": "a", "tags": ["a=b"]}, "Tag names"),
        ({"name": "a", "user_data": "x" * 65537}, "user_data"),
    ],
)
def test_what_cannot_be_had_is_a_422(service: Service, fields: dict[str, Any], text: str) -> None:
    reply = service.call("POST", "/droplets", {**ORDER, **fields})
    refused(reply, 422, text)
    assert reply.json["id"] == "unprocessable_entity"
    assert "request_id" not in reply.json
    assert not service.engine.kept


def test_the_droplet_limit_refuses_the_whole_batch() -> None:
    service = Service(replace(UNLIMITED, droplet_limit=2))
    service.create("a")
    reply = service.call("POST", "/droplets", {**ORDER, "names": ["b", "c"]})
    refused(reply, 422, "creating this/these droplet(s) will exceed your droplet limit")
    service.create("b")
    assert service.get("/account")["account"]["droplet_limit"] == 2


def test_region_image_and_vpc_by_their_other_names(service: Service) -> None:
    number, _ = catalog.IMAGES["debian-12-x64"]
    fields = {"image": number, "region": "nyc", "vpc_uuid": catalog.vpc_id("nyc1"), "name": "a"}
    droplet = service.call("POST", "/droplets", {**ORDER, **fields}).json["droplet"]
    assert droplet["image"]["slug"] == "debian-12-x64"
    assert droplet["region"]["slug"] == "nyc1"
    assert droplet["vpc_uuid"] == catalog.vpc_id("nyc1")
    without = {key: value for key, value in ORDER.items() if key != "region"}
    assert service.call("POST", "/droplets", {**without, "name": "b"}).status_code == 202


def test_the_keys_ordered_may_log_in(service: Service) -> None:
    key = service.call("POST", "/account/keys", {"name": "me", "public_key": KEY}).json["ssh_key"]
    service.created("by-id", ssh_keys=[key["id"]])
    service.created("by-fingerprint", ssh_keys=[key["fingerprint"]])
    for archive in service.engine.copied.values():
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            entry = tar.getmember("root/.ssh/authorized_keys")
            stream = tar.extractfile(entry)
            assert stream
            assert stream.read().decode() == KEY + "\n"
            assert entry.mode == 0o600
    assert len(service.engine.copied) == 2


# Lists


def test_pages_link_to_each_other_and_keep_the_filters(service: Service) -> None:
    service.created(*(f"a-{n}" for n in range(5)), tags=["t"])
    service.created("other")
    seen: list[str] = []
    path = "/droplets?per_page=2&tag_name=t"
    rels = []
    while path:
        reply = service.get(path)
        assert reply["meta"] == {"total": 5}
        seen += [droplet["name"] for droplet in reply["droplets"]]
        links = reply["links"]["pages"]
        rels.append(set(links))
        assert all("tag_name=t" in link and "per_page=2" in link for link in links.values())
        assert all(link.startswith("http://localhost/v2/droplets?") for link in links.values())
        path = links.get("next", "").removeprefix("http://localhost/v2")
    assert seen == [f"a-{n}" for n in range(5)]
    assert rels == [{"next", "last"}, {"first", "prev", "next", "last"}, {"first", "prev"}]


def test_a_single_page_has_links_in_three_shapes(service: Service) -> None:
    shapes = [service.get(f"/droplets?per_page={size}").get("links", "none") for size in (20, 21, 22)]
    assert sorted(map(str, shapes)) == sorted(["none", "{}", "{'pages': {}}"])


def test_per_page_is_20_unless_told_and_200_at_most(service: Service) -> None:
    for first in range(0, 25, 5):
        service.created(*(f"a-{n}" for n in range(first, first + 5)))
    assert len(service.names()) == 20
    assert len(service.names("?per_page=200")) == 25
    assert service.names("?page=3") == []
    for query in ("per_page=201", "per_page=0", "page=0", "page=x"):
        refused(service.call("GET", f"/droplets?{query}"), 422)


def test_filters(service: Service) -> None:
    service.created("a", "b", tags=["x"])
    service.created("c", tags=["y"])
    assert service.names("?tag_name=x") == ["a", "b"]
    assert service.names("?name=B") == ["b"]
    assert service.names("?tag_name=nobody") == []
    refused(service.call("GET", "/droplets?tag_name=x&name=a"), 422)


# Deleting


def test_delete_by_id(service: Service) -> None:
    first, second = service.created("a", "b")
    assert service.call("DELETE", f"/droplets/{first}").status_code == 204
    refused(service.call("GET", f"/droplets/{first}"), 404)
    refused(service.call("DELETE", f"/droplets/{first}"), 404)
    service.work.run()
    assert [container.data["id"] for container in service.engine.made.values()] == [second]


def test_delete_by_tag_takes_new_ones_and_their_taggings_too(service: Service) -> None:
    service.created("a", tags=["x"])
    service.created("b")
    service.create("c", tags=["x"])
    assert service.call("DELETE", "/droplets?tag_name=x").status_code == 204
    service.work.run()
    service.clock.now += 5
    assert service.names() == ["b"]
    assert len(service.engine.made) == 1
    assert service.get("/tags/x")["tag"]["resources"]["count"] == 0
    refused(service.call("DELETE", "/droplets"), 422)


def test_a_droplet_deleted_while_it_is_made_leaves_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    (number,) = service.create("a")
    start = service.engine.start

    def start_late(name: str) -> None:
        service.call("DELETE", f"/droplets/{number}")
        start(name)

    monkeypatch.setattr(service.engine, "start", start_late)
    service.work.run()
    assert not service.engine.made


# Actions


def test_power(service: Service) -> None:
    (number,) = service.created("a")
    path = f"/droplets/{number}"
    for kind, status in (("power_off", "off"), ("power_on", "active"), ("shutdown", "off"), ("power_on", "active"),
                         ("reboot", "active"), ("power_cycle", "active")):  # fmt: skip
        reply = service.call("POST", path + "/actions", {"type": kind})
        assert reply.status_code == 201
        action = reply.json["action"]
        assert (action["status"], action["completed_at"], action["resource_id"]) == ("in-progress", None, number)
        service.work.run()
        assert service.get(f"/actions/{action['id']}")["action"]["status"] == "completed"
        assert service.get(path)["droplet"]["status"] == status


def test_actions_that_make_no_sense_are_422s(service: Service) -> None:
    (number,) = service.create("a")
    path = f"/droplets/{number}/actions"
    refused(service.call("POST", path, {"type": "power_off"}), 422, "pending event")
    service.work.run()
    refused(service.call("POST", path, {"type": "power_on"}), 422)
    refused(service.call("POST", path, {"type": "fly"}), 422)


def test_the_create_action_completes(service: Service) -> None:
    reply = service.call("POST", "/droplets", {**ORDER, "name": "a"})
    path = f"/actions/{reply.json['links']['actions'][0]['id']}"
    assert service.get(path)["action"]["status"] == "in-progress"
    service.work.run()
    assert service.get(path)["action"]["status"] == "completed"


def test_droplets_that_are_off_are_listed(service: Service) -> None:
    (number,) = service.created("a", tags=["x"])
    service.call("POST", f"/droplets/{number}/actions", {"type": "power_off"})
    service.work.run()
    assert service.names("?tag_name=x") == ["a"]


# Tags


def test_a_tag_keeps_the_case_of_its_first_use(service: Service) -> None:
    reply = service.call("POST", "/tags", {"name": "Prod"})
    assert reply.status_code == 201
    assert reply.json["tag"]["name"] == "Prod"
    assert service.call("POST", "/tags", {"name": "prod"}).json["tag"]["name"] == "Prod"
    refused(service.call("GET", "/tags/prod"), 404)
    (number,) = service.created("a", tags=["PROD"])
    assert service.get(f"/droplets/{number}")["droplet"]["tags"] == ["Prod"]
    assert service.names("?tag_name=Prod") == ["a"]
    assert service.get("/tags")["meta"] == {"total": 1}


def test_tag_and_untag(service: Service) -> None:
    number, _ = service.created("a", "b")
    service.call("POST", "/tags", {"name": "x"})
    body = {"resources": [{"resource_id": str(number), "resource_type": "droplet"}]}
    for _ in range(2):
        assert service.call("POST", "/tags/x/resources", body).status_code == 204
    assert service.names("?tag_name=x") == ["a"]
    assert service.get("/tags/x")["tag"]["resources"]["droplets"]["count"] == 1
    assert service.call("DELETE", "/tags/x/resources", body).status_code == 204
    assert service.names("?tag_name=x") == []


def test_ids_of_tagged_resources_are_text(service: Service) -> None:
    (number,) = service.created("a", tags=["x"])
    body = {"resources": [{"resource_id": number, "resource_type": "droplet"}]}
    refused(service.call("POST", "/tags/x/resources", body), 422)
    refused(service.call("POST", "/tags/x/resources", {}), 422)
    body["resources"][0]["resource_id"] = "1"
    refused(service.call("POST", "/tags/x/resources", body), 404)
    refused(service.call("POST", "/tags/none/resources", body), 404)


def test_deleting_a_tag_untags_all(service: Service) -> None:
    (number,) = service.created("a", tags=["x", "y"])
    assert service.call("DELETE", "/tags/x").status_code == 204
    assert service.get(f"/droplets/{number}")["droplet"]["tags"] == ["y"]
    service.call("POST", "/tags", {"name": "x"})
    assert service.names("?tag_name=x") == []


def test_a_tag_has_a_pattern(service: Service) -> None:
    for name in ("a=b", "", "a b", "x" * 256, None, "a\n"):
        refused(service.call("POST", "/tags", {"name": name}), 422)
    assert service.call("POST", "/tags", {"name": "env:prod_1-a"}).status_code == 201


# Keys and VPCs


def test_keys(service: Service) -> None:
    reply = service.call("POST", "/account/keys", {"name": "me", "public_key": KEY})
    assert reply.status_code == 201
    key = reply.json["ssh_key"]
    assert KEY_FINGERPRINT.fullmatch(key["fingerprint"])
    assert service.get("/account/keys")["ssh_keys"] == [key]
    assert service.get(f"/account/keys/{key['id']}") == service.get(f"/account/keys/{key['fingerprint']}")
    again = service.call("POST", "/account/keys", {"name": "me", "public_key": KEY})
    refused(again, 422, "SSH Key is already in use on your account")
    assert service.call("DELETE", f"/account/keys/{key['fingerprint']}").status_code == 204
    refused(service.call("DELETE", f"/account/keys/{key['id']}"), 404)
    for text in ("", "ssh-rsa", "ssh-rsa !!!", "ssh-rsa " + KEY.split()[1]):
        refused(service.call("POST", "/account/keys", {"name": "me", "public_key": text}), 422)


def test_each_region_has_a_vpc(service: Service) -> None:
    vpcs = service.get("/vpcs?per_page=200")["vpcs"]
    assert {vpc["region"] for vpc in vpcs} == set(catalog.REGIONS)
    assert service.get(f"/vpcs/{vpcs[0]['id']}")["vpc"] == vpcs[0]


# The engine is the memory


def test_a_restart_loses_nothing(service: Service) -> None:
    service.call("POST", "/account/keys", {"name": "me", "public_key": KEY})
    service.created("a", tags=["x"])
    before = [service.get(path) for path in ("/droplets", "/tags", "/account/keys")]
    service.restart()
    assert [service.get(path) for path in ("/droplets", "/tags", "/account/keys")] == before


def test_a_restart_carries_on_with_what_was_half_done(service: Service) -> None:
    (deleted,) = service.created("deleted")
    (ordered,) = service.create("ordered")
    service.call("DELETE", f"/droplets/{deleted}")
    (half,) = service.create("half")
    lab = service.droplets.lab
    service.engine.create_droplet(
        lab, f"test-half-{half}", hostname="half", image="i", public="198.18.2.9", private="10.111.0.9",
        data={"id": half, "public": "198.18.2.9", "private": "10.111.0.9"},
    )  # fmt: skip
    service.restart()
    service.work.run()
    assert {container.data["id"] for container in service.engine.made.values()} == {ordered, half}
    assert {container.state for container in service.engine.made.values()} == {"running"}


def test_the_image_is_the_ordered_one(service: Service) -> None:
    service.created("a", image="debian-12-x64")
    assert list(service.engine.image_of.values()) == ["scaleout-lab/debian-12-x64:latest"]


def test_settings_come_from_the_environment() -> None:
    settings = Settings.read({"LAB_LIST_LAG": "0", "LAB_RATE_PER_MINUTE": "7", "LAB_NAME": "x"})
    assert (settings.list_lag, settings.rate_per_minute) == (0.0, 7)
    with pytest.raises(LabError, match="LAB_DROPLET_LIMIT"):
        Settings.read({"LAB_DROPLET_LIMIT": "many"})
