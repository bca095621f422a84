# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventory plugin and pool module as users run them, on droplets of a lab whose API has its traps on.

scripts/integration starts the lab. The droplets are those of a pool of the tests' own; most tests share two of them.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.waiting import wait_until

REPO = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
OWN = ["trap-1", "trap-2"]
# The service of inventory/digitalocean.yml, which the playbooks run with
SERVICE = "hits"


@dataclass
class Run:
    """What a command printed, on both channels, and how long after its start each line came."""

    status: int
    lines: list[tuple[float, str]]
    seconds: float
    result: dict[str, Any]

    @property
    def text(self) -> str:
        return "\n".join(line for _, line in self.lines)

    def at(self, part: str) -> float:
        """When the first line with that part came."""
        return next(seconds for seconds, line in self.lines if part in line)


class Account:
    """The account at the lab's API, and the commands that a user would run on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = os.environ["DIGITALOCEAN_API_URL"]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(self.url.removesuffix("/v2") + path, method=method)
        request.add_header("Authorization", f"Bearer {os.environ['DIGITALOCEAN_TOKEN']}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read() or b"{}")

    def traps(self, **changes: Any) -> None:
        self.call("PUT", "/lab/traps", changes)

    def droplets(self, tag: str = "pool:trap") -> dict[str, dict[str, Any]]:
        found = self.call("GET", f"/v2/droplets?per_page=200&tag_name={tag}")["droplets"]
        return {droplet["name"]: droplet for droplet in found}

    def clean(self) -> None:
        self.call("DELETE", "/lab/traps")
        for tag in ("pool:trap", "POOL:case"):
            self.call("DELETE", f"/v2/droplets?tag_name={tag}")

    def run(self, *command: str, at_line: Callable[[str], None] = lambda line: None) -> Run:
        start = time.monotonic()
        process = subprocess.Popen(
            [str(BIN / command[0]), *command[1:]],
            cwd=REPO,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append((time.monotonic() - start, line.rstrip()))
            at_line(line)
        status = process.wait()
        text = "".join(line for _, line in lines)
        assert "Traceback" not in text
        assert os.environ["DIGITALOCEAN_TOKEN"] not in text
        return Run(status, lines, time.monotonic() - start, {})

    def pool(self, *arguments: str, at_line: Callable[[str], None] = lambda line: None, **options: Any) -> Run:
        """The module in a play; what it returned is the run's result."""
        asked = {
            "service": SERVICE, "name": "trap", "size": "s-1vcpu-1gb", "region": "fra1", "tags": ["trap-test"],
            "wait_timeout": 60, "max_removals": 20, **options,
        }  # fmt: skip
        tasks = [
            {"alphacoder.scaleout.droplet_pool": asked, "register": "pool", "ignore_errors": True},
            # As one word, which no line is broken in
            {"ansible.builtin.debug": {"msg": "returned={{ pool | to_json | b64encode }}"}},
        ]
        play = self.folder / "play.yml"
        python = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        here = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": python}
        play.write_text(yaml.safe_dump([{**here, "tasks": tasks}]))
        # An inventory of droplets would be read first, and meet the traps that are meant for the module
        run = self.run("ansible-playbook", "-i", "localhost,", str(play), *arguments, at_line=at_line)
        returned = re.search(r"returned=([\w+/=]+)", run.text)
        assert returned, run.text
        run.result = json.loads(base64.b64decode(returned[1]))
        return run

    def ok(self, *arguments: str, **options: Any) -> dict[str, Any]:
        run = self.pool(*arguments, **options)
        assert not run.result.get("failed"), run.text
        return run.result

    def fails(self, text: str, **options: Any) -> Run:
        run = self.pool(**options)
        assert run.result.get("failed"), run.text
        assert text in run.result["msg"]
        assert text in run.text
        return run

    def inventory(self, *, status: int = 0, **options: Any) -> tuple[dict[str, dict[str, Any]], str]:
        """Hostvars by host, and all that was printed."""
        source = self.folder / "droplets.yml"
        config = {"plugin": "alphacoder.scaleout.droplets", "tag": "pool:trap", "timeout": 10, **options}
        source.write_text(yaml.safe_dump({name: value for name, value in config.items() if value is not None}))
        output = self.folder / "inventory.json"
        run = self.run("ansible-inventory", "-i", str(source), "--list", "--output", str(output))
        assert run.status == status, run.text
        if status:
            return {}, run.text
        # ansible-core marks text that came from an API like this
        read = json.loads(output.read_text(), object_hook=lambda value: value.get("__ansible_unsafe", value))
        return read["_meta"]["hostvars"], run.text


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    account = Account(tmp_path_factory.mktemp("account"))
    account.clean()
    yield account
    account.clean()


@pytest.fixture
def account(standing: Account) -> Iterator[Account]:
    """No trap is set, and the pool is what the last test left of it."""
    standing.call("DELETE", "/lab/traps")
    yield standing
    standing.call("DELETE", "/lab/traps")


@pytest.fixture
def pair(account: Account) -> Account:
    """Two droplets of the pool stand."""
    for name, droplet in account.droplets().items():
        if droplet["status"] != "active" or name not in OWN:
            account.call("DELETE", f"/v2/droplets/{droplet['id']}")
    if list(account.droplets()) != OWN:
        account.ok(count=2)
    assert list(account.droplets()) == OWN
    return account


def own_addresses(account: Account) -> dict[str, str]:
    return {
        name: next(entry["ip_address"] for entry in droplet["networks"]["v4"] if entry["type"] == "public")
        for name, droplet in account.droplets().items()
    }


def test_slow_creation_by_the_playbooks(account: Account) -> None:
    """Traps 1, 2, 8 and 14: shown meanwhile. Then the inventory has what was made, and a run changes nothing."""
    account.clean()
    account.traps(list_lag=6, address_lag=9)
    pools = {"scaleout_pools": [{"name": "trap", "count": 2, "tags": ["trap-test"]}]}
    arguments = ("ansible-playbook", "playbooks/provision.yml", "-v", "-e", json.dumps(pools))

    def make_trouble(line: str) -> None:
        if "creating" in line:
            account.traps(server_errors=1, burst=1)

    run = account.run(*arguments, at_line=make_trouble)
    assert run.status == 0, run.text
    for said in (
        "s: creating trap-1, trap-2",
        "waiting: trap-1 is not in the API's list yet; trap-2 is not in the API's list yet",
        "trap-1 has no address",
        "next attempt in 1 s",
    ):
        assert said in run.text
    assert run.at("is not in the API's list yet") < run.at("changed: [pool trap]") - 3
    times = [float(text) for text in re.findall(r"ready_after: ([\d.]+)", run.text)]
    assert len(times) == 2
    assert all(seconds > 9 for seconds in times)

    hosts, printed = account.inventory()
    assert {name: values["ansible_host"] for name, values in hosts.items()} == own_addresses(account)
    assert list(hosts) == OWN
    assert "WARNING" not in printed
    again = account.run(*arguments)
    assert re.search(r"pool trap +: ok=\d+ +changed=0 ", again.text), again.text


def test_check_and_diff_tell_what_a_run_does(pair: Account) -> None:
    before = pair.droplets()
    planned = pair.pool("--check", "--diff", count=3, tags=["trap-test", "trap-more"])
    assert pair.droplets() == before
    assert (planned.result["created"], planned.result["tagged"]) == (["trap-3"], OWN)
    assert "+    trap-3:\n" in planned.text
    assert planned.text.count("+        - trap-more\n") == 3
    planned = pair.pool("--check", "--diff", count=1)
    assert planned.result["removed"] == ["trap-2"]
    assert "-    trap-2:\n" in planned.text
    assert pair.droplets() == before


def test_private_or_public_entry_first(pair: Account) -> None:
    """Trap 3."""
    own = own_addresses(pair)
    for first in ("public", "private"):
        pair.traps(first_address=first)
        hosts, _ = pair.inventory()
        assert {name: values["ansible_host"] for name, values in hosts.items()} == own
        assert {one["name"]: one["public_ipv4"] for one in pair.ok(count=2)["droplets"]} == own


def test_a_reserved_address_is_not_the_droplets_own(pair: Account) -> None:
    """Trap 4."""
    own = own_addresses(pair)
    pair.traps(reserved_ip=["trap-1"])
    (reserved,) = pair.call("GET", "/v2/reserved_ips")["reserved_ips"]
    hosts, printed = pair.inventory()
    assert {name: values["ansible_host"] for name, values in hosts.items()} == own
    assert hosts["trap-1"]["do_reserved_ipv4"] == reserved["ip"] != own["trap-1"]
    assert {one["name"]: one["public_ipv4"] for one in pair.ok(count=2)["droplets"]} == own
    assert "WARNING" not in printed


def test_no_public_address(pair: Account) -> None:
    """Trap 5."""
    pair.traps(no_public_ipv4=["trap-1"])
    hosts, printed = pair.inventory()
    assert "ansible_host" not in hosts["trap-1"]
    assert "ansible_host" in hosts["trap-2"]
    assert "These hosts get no ansible_host, because they have no public_ipv4: trap-1." in printed
    # It answers over SSH at its private one
    assert pair.ok(count=2)["droplets"][0]["public_ipv4"] is None


def test_two_droplets_of_one_name(pair: Account) -> None:
    """Trap 6."""
    pair.traps(twins=["trap-3"])
    assert pair.ok(count=3)["created"] == ["trap-3"]
    hosts, printed = pair.inventory()
    (twin,) = set(hosts) - {*OWN, "trap-3"}
    assert twin == f"trap-3-{hosts[twin]['do_id']}"
    assert "2 droplets are called trap-3" in printed
    run = pair.pool(count=4)
    assert run.result["created"] == []
    assert "More than one droplet of pool trap is called trap-3" in run.text
    # The second of a name goes first
    assert pair.ok(count=3, max_removals=1)["removed"] == ["trap-3"]
    assert list(pair.inventory()[0]) == [*OWN, "trap-3"]


@pytest.mark.parametrize("shape", ["none", "empty", "pages"])
def test_links_of_one_page(pair: Account, shape: str) -> None:
    """Trap 7."""
    pair.traps(links=shape)
    assert list(pair.inventory()[0]) == OWN
    assert not pair.ok(count=2)["changed"]


def test_rate_limits(pair: Account) -> None:
    """Trap 8: a burst is waited for, an hour is not, and both say so."""
    pair.traps(burst=2)
    assert list(pair.inventory()[0]) == OWN
    pair.traps(burst=2)
    run = pair.pool("-v", count=2)
    assert run.result["droplets"]
    assert "s: the API is busy or failing: next attempt in 1 s" in run.text
    pair.traps(hourly=1)
    assert "rate limit reached, try again in 3" in pair.inventory(status=1)[1]
    pair.traps(hourly=1)
    run = pair.fails("status 429 (Too many requests): rate limit reached, try again in 3", count=3)
    assert run.seconds < 100
    assert not run.result["changed"]


def test_the_droplet_limit_halfway(pair: Account) -> None:
    """Trap 9: nothing that was made is lost, and the next run goes on from there."""
    pair.traps(limit_halfway=1)
    run = pair.fails("will exceed your droplet limit", count=4)
    assert "Not created: trap-4. Created, and kept: trap-3. The account may not have more droplets" in run.result["msg"]
    assert run.result["created"] == ["trap-3"]
    assert pair.ok(count=4)["created"] == ["trap-4"]
    assert pair.ok(count=2)["removed"] == ["trap-4", "trap-3"]


def test_more_than_ten_names(pair: Account) -> None:
    """Trap 10. The droplets are records only, as their creation ends as errored."""
    more = [f"trap-{n}" for n in range(3, 14)]
    pair.traps(errored=more)
    assert pair.ok(count=13, wait=False)["created"] == more
    assert not pair.ok(count=13, wait=False)["changed"]
    assert pair.ok(count=2)["removed"] == more[::-1]


def test_one_that_goes_between_list_and_removal(pair: Account) -> None:
    """Trap 11."""
    pair.traps(gone=["trap-2"])
    assert pair.ok(count=1)["removed"] == ["trap-2"]
    assert list(pair.droplets()) == ["trap-1"]


def test_a_locked_droplet_is_waited_for(pair: Account) -> None:
    """Trap 12."""
    pair.traps(locked=["trap-2"])
    run = pair.fails("trap-2 was not removed: it is locked", count=1, wait_timeout=0)
    assert not run.result["changed"]

    def unlock(line: str) -> None:
        if "waiting to remove trap-2, which is locked" in line:
            pair.traps(locked=[])

    run = pair.pool("-v", count=1, at_line=unlock)
    assert run.result["removed"] == ["trap-2"]
    assert "waiting to remove trap-2, which is locked" in run.text


def test_a_creation_that_ends_errored(pair: Account) -> None:
    """Trap 13: the bad one is named, the good ones are kept, and the next run makes it anew once it is deleted."""
    pair.traps(errored=["trap-3"])
    run = pair.fails("was not created: the API says action", count=4)
    assert run.result["msg"].startswith("trap-3 (id ")
    assert "Kept: trap-1, trap-2, trap-4." in run.result["msg"]
    assert list(pair.inventory()[0]) == [*OWN, "trap-4"]
    pair.call("DELETE", f"/v2/droplets/{pair.droplets()['trap-3']['id']}")
    pair.traps(errored=[])
    assert pair.ok(count=4)["created"] == ["trap-3"]


def test_failures_of_the_server(pair: Account) -> None:
    """Trap 14: some are nothing, and many are one line."""
    pair.traps(server_errors=2)
    assert list(pair.inventory()[0]) == OWN
    pair.traps(server_errors=2)
    assert not pair.ok(count=2)["changed"]
    pair.traps(server_errors=9)
    assert "status 500 (Unexpected server-side error)" in pair.inventory(status=1, retries=1)[1]
    pair.traps(server_errors=9)
    pair.fails("status 500 (Unexpected server-side error)", count=2, retries=1)


def test_a_tag_in_other_capitals(account: Account) -> None:
    """Trap 15: a list by the pool's own capitals is empty, and nothing is made twice all the same."""
    account.call("POST", "/v2/tags", {"name": "POOL:case"})
    account.traps(errored=["case-1", "case-2"])
    assert account.ok(name="case", count=2, wait=False)["created"] == ["case-1", "case-2"]
    assert account.droplets("pool:case") == {}
    assert not account.ok(name="case", count=2, wait=False)["changed"]
    assert account.ok(name="case", state="absent")["removed"] == ["case-2", "case-1"]


def test_off_and_archived_ones(pair: Account) -> None:
    """Trap 16: they stay in the list, out of the inventory, and out of what is waited for."""
    number = pair.droplets()["trap-2"]["id"]
    pair.call("POST", f"/v2/droplets/{number}/actions", {"type": "power_off"})
    while pair.droplets()["trap-2"]["status"] != "off":
        time.sleep(0.1)
    assert list(pair.inventory()[0]) == ["trap-1"]
    assert list(pair.inventory(statuses=["off"])[0]) == ["trap-2"]
    run = pair.fails(f"trap-2 (id {number}) is off, so waiting would not help", count=3, wait_timeout=300)
    assert run.seconds < 100
    assert list(pair.droplets()) == OWN
    pair.call("POST", f"/v2/droplets/{number}/actions", {"type": "power_on"})
    assert not pair.ok(count=2)["changed"]
    pair.traps(archive=["trap-1"])
    assert list(pair.inventory()[0]) == ["trap-2"]
    pair.fails("is archive, so waiting would not help", count=2)


def test_drift(pair: Account) -> None:
    run = pair.pool(count=2, size="s-1vcpu-2gb")
    assert not run.result["changed"]
    assert "The size of pool trap is s-1vcpu-2gb, but these droplets have another: trap-1 (s-1vcpu-1gb)" in run.text
    pair.fails("Nothing was changed, because on_drift is fail.", count=3, size="s-1vcpu-2gb", on_drift="fail")
    assert list(pair.droplets()) == OWN


def test_only_so_many_are_removed(pair: Account) -> None:
    pair.fails("removes 2 (trap-2, trap-1), but max_removals is 1", count=0, max_removals=1)
    assert list(pair.droplets()) == OWN


def test_another_service_with_a_pool_of_that_name_is_left_alone(pair: Account) -> None:
    """The droplets of the other one are records only, as their creation ends as errored."""
    pair.traps(errored=["trap-7", "trap-8"])
    order = {"size": "s-1vcpu-1gb", "region": "fra1", "image": "debian-13-x64"}
    tags = ["service:other", "pool:trap"]
    pair.call("POST", "/v2/droplets", {**order, "names": ["trap-7", "trap-8"], "tags": tags})
    own, others = "service:hits", "service:other"
    wait_until("both are listed", lambda: len(pair.droplets(others)) == 2)
    before = pair.droplets(others)

    assert not pair.ok(count=2)["changed"]
    assert pair.ok(count=3)["created"] == ["trap-3"]
    assert list(pair.inventory(tag=None, service=SERVICE, statuses=[])[0]) == [*OWN, "trap-3"]
    assert list(pair.inventory(tag=None, service="other", statuses=[])[0]) == ["trap-7", "trap-8"]
    assert not pair.ok(state="adopted", count=None)["changed"]
    assert pair.ok(count=2)["removed"] == ["trap-3"]
    assert pair.droplets(others) == before
    # And the other way round
    before = pair.droplets(own)
    assert pair.ok(service="other", state="absent", count=None)["removed"] == ["trap-8", "trap-7"]
    assert pair.droplets(own) == before


def test_droplets_of_before_are_adopted_by_the_playbook(pair: Account) -> None:
    ids = [droplet["id"] for droplet in pair.droplets().values()]
    resources = [{"resource_id": str(one), "resource_type": "droplet"} for one in ids]
    pair.call("DELETE", f"/v2/tags/service:{SERVICE}/resources", {"resources": resources})
    pair.call("POST", "/v2/tags", {"name": "scaleout"})
    pair.call("POST", "/v2/tags/scaleout/resources", {"resources": resources})
    pair.fails("These droplets have the tag pool:trap, but are of no service", count=3)
    hosts, printed = pair.inventory(tag=None, service=SERVICE)
    assert hosts == {}
    assert "made before there were services: trap-1, trap-2" in " ".join(printed.split())

    pools = json.dumps({"scaleout_pools": [{"name": "trap", "count": 2}]})
    adopt = ("ansible-playbook", "playbooks/adopt.yml", "-e", pools)
    assert pair.run(*adopt).status != 0
    assert pair.droplets(f"service:{SERVICE}") == {}
    run = pair.run(*adopt, "-e", f"scaleout_adopt={SERVICE}")
    assert run.status == 0, run.text
    assert list(pair.droplets(f"service:{SERVICE}")) == OWN
    assert not pair.ok(count=2)["changed"]
    assert "changed=0 " in pair.run(*adopt).text


def test_all_are_removed_by_the_playbook(pair: Account) -> None:
    pools = json.dumps({"scaleout_pools": [{"name": "trap", "count": 2}], "scaleout_destroy": SERVICE})
    run = pair.run("ansible-playbook", "playbooks/destroy.yml", "-e", pools)
    assert run.status == 0, run.text
    assert pair.droplets() == {}
    hosts, printed = pair.inventory()
    assert hosts == {}
    assert "There is no active droplet with tag 'pool:trap'" in printed
