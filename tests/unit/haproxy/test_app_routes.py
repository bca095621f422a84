# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The haproxy.cfg of docs/examples/several-apps, as a run of each app writes it, and what HAProxy makes of it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.alphacoder.scaleout.plugins.filter.app_backends import app_backends
from balancer import App, Balancer, Net
from haproxy_role import ROLE, refusal, render, section

REPO = ROLE.parent.parent
EXAMPLE = REPO / "docs" / "examples" / "several-apps"
HOSTS = """\
all:
  vars: {private_address: 10.110.0.2, scaleout_service: example, haproxy_maxconn: 1000}
  children:
    lb: {hosts: {lb-1: {}}}
    app: {hosts: {app-1: {private_address: 10.110.0.3}, app-2: {private_address: 10.110.0.4}}}
"""
# What a run of the role does with the template, without a host
PLAYBOOK = f"""\
- hosts: lb
  connection: local
  gather_facts: false
  roles:
    - tiers
    - {{role: alphacoder.scaleout.haproxy, when: false}}
  tasks:
    - ansible.builtin.template: {{src: {ROLE}/templates/haproxy.cfg.j2, dest: "{{{{ inventory_dir }}}}/haproxy.cfg"}}
      vars: {{ansible_python_interpreter: {sys.executable}}}
"""


def written(folder: Path, group_vars: Path, *arguments: str) -> str:
    """The file that a run with these group_vars writes."""
    if not folder.exists():
        shutil.copytree(group_vars, folder / "group_vars")
        (folder / "hosts.yml").write_text(HOSTS)
        (folder / "playbook.yml").write_text(PLAYBOOK)
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            "-i",
            folder / "hosts.yml",
            "-e",
            "haproxy_stats_bind=",
            *arguments,
            "playbook.yml",
        ],
        cwd=folder,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(REPO / ".build" / "collections"),
            "ANSIBLE_ROLES_PATH": str(REPO / "playbooks" / "roles"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return (folder / "haproxy.cfg").read_text()


def of_example(folder: Path, app: str, *arguments: str) -> str:
    return written(folder, EXAMPLE / "inventory" / "group_vars", "-e", f"@{EXAMPLE}/apps/{app}.yml", *arguments)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return of_example(tmp_path_factory.mktemp("several") / "inventory", "shop")


def test_file_is_the_same_whichever_app_s_run_writes_it(text: str, tmp_path: Path) -> None:
    assert of_example(tmp_path / "inventory", "blog", "-e", "app_health_path=/other") == text


def test_lines_of_the_inventory_change_nothing_for_a_single_app(tmp_path: Path) -> None:
    shipped = REPO / "inventory" / "group_vars"
    own = tmp_path / "own"
    shutil.copytree(shipped, own)
    without = re.sub(
        r"^haproxy_(backends|use_backend|default_backend): .*\n", "", (own / "lb.yml").read_text(), flags=re.M
    )
    (own / "lb.yml").write_text(without)

    assert without.count("\n") == (shipped / "lb.yml").read_text().count("\n") - 3
    with_lines = written(tmp_path / "a", shipped)
    assert with_lines == written(tmp_path / "b", own)
    assert " default_backend         app\n" in with_lines
    assert "httpchk GET /readyz" in with_lines


def test_each_app_has_its_own_backend(text: str) -> None:
    assert "server app-1 10.110.0.3:8000" in section(text, "backend shop")
    blog = section(text, "backend blog")
    assert "server app-2 10.110.0.4:8010" in blog
    assert {"balance leastconn", "option httpchk GET /readyz HTTP/1.1", "timeout server 120s"} <= set(blog)


@pytest.mark.parametrize(
    "apps", [{"shop": {"port": 8000}}, {"shop": {"port": 8000, "hosts": ["*.a.b"], "paths": ["/a.b"]}}]
)
def test_haproxy_takes_it_without_a_warning(haproxy_program: str, etc: Path, apps: dict[str, object]) -> None:
    found = app_backends([{"inventory_hostname": "app-1", "private_address": "10.110.0.3"}], apps)  # type: ignore[arg-type]
    settings = {f"haproxy_{name}": value for name, value in found.items()}
    assert refusal(haproxy_program, render(haproxy_servers=[], **settings), etc) == ""


@pytest.fixture(scope="module")
def shops(
    one_haproxy_program: str, etc: Path, text: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Balancer]:
    """HAProxy with the example's file, whose apps run."""
    net = Net()
    with contextlib.ExitStack() as stack:
        stack.callback(net.close)
        for host in ("10.110.0.3", "10.110.0.4"):
            for port in (8000, 8010):
                stack.callback(App(net.place(f"{host}:{port}"), "shop" if port == 8000 else "blog").close)
        balancer = Balancer(one_haproxy_program, net, text, tmp_path_factory.mktemp("lb"), etc)
        stack.callback(balancer.close)
        balancer.wait_for()
        yield balancer


@pytest.mark.parametrize(
    ("url", "app"),
    [
        ("http://shop.example.org/", "shop"),
        ("http://SHOP.example.ORG/x", "shop"),
        ("http://www.shop.example.org/", "shop"),
        ("http://shop.example.org:80/blog", "blog"),
        ("http://shop.example.org/blog", "blog"),
        ("http://Shop.example.org/blog?page=2", "blog"),
        ("http://shop.example.org/blog/", "blog"),
        ("http://shop.example.org/blog/news/1", "blog"),
        ("http://shop.example.org/blogger", "shop"),
        ("http://shop.example.org/Blog", "shop"),
        ("http://shop.example.org/x/blog/", "shop"),
        ("http://www.shop.example.org/blog", "shop"),
        ("http://example.org/blog", ""),
        ("http://other.shop.example.org/", ""),
        ("http://10.110.0.2/", ""),
    ],
)
def test_request_goes_to_the_app_that_takes_it(shops: Balancer, url: str, app: str) -> None:
    answer = shops.ask(url)
    assert (answer.server if answer.status == 200 else answer.status) == (app or 404)


def test_example_is_yaml_that_names_its_apps() -> None:
    apps = yaml.safe_load((EXAMPLE / "inventory" / "group_vars" / "all.yml").read_text())["scaleout_apps"]
    assert {file.stem for file in (EXAMPLE / "apps").glob("*.yml")} == set(apps)
