# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role and HAProxy accept the examples of the pages on the load balancer, and make of them what the pages show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.alphacoder.scaleout.plugins.filter.app_servers import app_servers
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_haproxy import haproxy_problems
from haproxy_role import ROLE, defaults, refusal, render
from support.ansible_templates import trusted
from support.programs import haproxy_version

REPO = ROLE.parent.parent
PAGES = [REPO / "docs" / name for name in ("load-balancer.md", "load-balancer-settings.md")]
OPTIONS = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
# What the inventory and a vault say where an example asks them
HOSTVARS = {
    name: {"private_address": f"10.110.0.{number}"}
    for number, name in enumerate(("app-1", "app-2", "images-1", "images-2"), 3)
}
PEM = "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n"
INVENTORY: dict[str, Any] = {
    "groups": {"app": ["app-1", "app-2"], "images": ["images-1", "images-2"]},
    "hostvars": HOSTVARS,
    "private_address": "10.110.0.2",
    "inventory_dir": "/inventory",
    "vault_shop_certificate": PEM,
    "vault_stats_password": "a-secret-of-16",
    "vault_redis_password": "a-secret",
    # mkpasswd -m sha-256 -R 1000, of the passwords lovelace and turing
    "vault_ada_hash": "$5$rounds=1000$recipe$4Sfck51AT2oC0QaW9Lb1nlCjv7NDHsr22HLbQPaM8H2",
    "vault_alan_hash": "$5$rounds=1000$recipe$SmwbZHv4ajaKgGqDqw8cCLumn7gCvV7g3ix0RiH4Wj3",
    "inventory_hostname": "lb-1",
}
# Words of the pages that begin like a variable
NO_VARIABLES = {"haproxy_server", "haproxy_info", "haproxy_stats_password"}
# Blocks that are another program's, or another file's
OTHERS = {"scrape_configs"}


def blocks(page: Path, language: str) -> Iterator[tuple[int, str]]:
    """The fenced blocks of a language, with the line where each begins."""
    for found in re.finditer(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        yield page.read_text()[: found.start()].count("\n") + 1, found[1]


def examples() -> Iterator[Any]:
    """The settings of each fenced yaml block, and of each line that has some in its text or table."""
    for page in PAGES:
        for line, text in blocks(page, "yaml"):
            settings = yaml.safe_load(text)
            if set(settings) - OTHERS:
                yield pytest.param(settings, id=f"{page.name}:{line}")
        for line, text in enumerate(page.read_text().splitlines(), 1):
            spans = re.findall(r"`((?:scaleout_)?haproxy_\w+: [^`…]*)`", text)
            if spans:
                settings = {name: value for span in spans for name, value in yaml.safe_load(span).items()}
                yield pytest.param(settings, id=f"{page.name}:{line}")


def resolved(settings: dict[str, Any], server: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The settings with the inventory's answers and those of `more`; the hosts of group app as haproxy_servers."""
    hosts = {
        name: {**variables, "inventory_hostname": name, "scaleout_haproxy_server": server}
        for name, variables in HOSTVARS.items()
    }
    servers = app_servers([hosts[name] for name in INVENTORY["groups"]["app"]], 8000)
    templar = Templar(
        loader=DataLoader(),
        variables=trusted({**INVENTORY, "hostvars": hosts, "haproxy_servers": servers, **settings, **more}),
    )
    return {name: templar.template(value) for name, value in trusted({"haproxy_servers": servers, **settings}).items()}


def argument_spec(options: dict[str, Any]) -> dict[str, Any]:
    """A role's options as those of a module."""
    known = ("type", "elements", "choices", "required", "default")
    return {
        name: {key: option[key] for key in known if key in option}
        | ({"options": argument_spec(option["options"])} if "options" in option else {})
        for name, option in options.items()
    }


@pytest.mark.parametrize("settings", list(examples()))
def test_example_is_taken(haproxy_program: str, etc: Path, settings: dict[str, Any]) -> None:
    server = settings.pop("scaleout_haproxy_server", {})
    # A line of a table may name a backend that it does not show
    values = resolved({"haproxy_backends": [{"name": "api"}], **settings}, server)
    if "hash " in str(values.get("haproxy_balance")) and haproxy_version(haproxy_program) < (2, 6):
        pytest.skip("HAProxy before 2.6 has no balance hash, as the page says")

    for file in values.get("haproxy_files", []):
        path = etc / "files" / file["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        # What the controller has is not in the page
        of_controller = (etc / "certs" / "site.pem").read_text() if path.suffix == ".pem" else ""
        path.write_text(file.get("content", of_controller))

    assert ArgumentSpecValidator(argument_spec(OPTIONS)).validate(values).error_messages == []
    assert haproxy_problems({**defaults(), **values}) == []
    assert refusal(haproxy_program, render(**values), etc) == ""


@pytest.mark.parametrize(("source", "right"), [("distribution", True), ("backports", True), ("vendor", False)])
def test_package_is_the_distributions_or_the_backports(source: str, right: bool) -> None:
    found = ArgumentSpecValidator(argument_spec(OPTIONS)).validate({"haproxy_install_from": source}).error_messages

    assert (found == []) == right


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_variables_of_the_page_exist(page: Path) -> None:
    names = set(re.findall(r"\bhaproxy_[a-z_0-9]*[a-z0-9]\b", page.read_text()))

    assert names - set(OPTIONS) - NO_VARIABLES == set()


def test_page_shows_the_file_that_its_first_example_makes() -> None:
    page = PAGES[0]
    _, settings = next(blocks(page, "yaml"))
    _, shown = next(blocks(page, "haproxy"))
    made = render(**resolved(yaml.safe_load(settings), {}))

    assert shown == "\n\n".join(made.rstrip().split("\n\n")[-2:]) + "\n"


def test_page_shows_what_is_said_of_a_wrong_setting() -> None:
    wrong = haproxy_problems({**defaults(), **resolved({"haproxy_timeout_client": 30}, {})})

    assert len(wrong) == 1
    assert wrong[0] in " ".join(PAGES[0].read_text().split())


def test_log_format_is_explained_in_full() -> None:
    text = PAGES[0].read_text()
    explained = set(re.findall(r"%[a-zA-Z]+", text[text.index("## Access log") : text.index("## Limits")]))

    assert set(re.findall(r"%(?:\{\+Q\})?([a-zA-Z]+)", defaults()["haproxy_log_format"])) <= {
        word.removeprefix("%") for word in explained
    }


@pytest.mark.parametrize("page", [*PAGES, REPO / "docs" / "recipes.md"], ids=lambda page: page.name)
def test_links_of_the_page_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text()):
        path = (page.parent / target).resolve() if target else page
        assert path.is_file(), target
        headings = [heading.lower() for heading in re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)]
        assert not anchor or anchor in [re.sub(r"[^a-z0-9 -]", "", heading).replace(" ", "-") for heading in headings]
