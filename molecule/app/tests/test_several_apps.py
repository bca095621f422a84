# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second app comes to the same droplets, is deployed, and goes, while visitors ask both."""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from greeting import ARCHIVES, NAME, PORT, RATE, SCENARIO, Done, Greeting
from support.measure import load
from support.waiting import wait_until

SHOP = "shop.example.org"
HEALTH = {"path": "/up", "headers": {"Host": SHOP, "X-Forwarded-Proto": "https"}, "status": "200-299"}
APPS = {
    NAME: {"port": PORT, "hosts": [SHOP], "health": HEALTH},
    # A path that release 2 alone answers
    "blog": {"port": PORT + 10, "hosts": [SHOP], "paths": ["/let-go"], "health": HEALTH},
}
# The release of the run holds over the image of this file
BLOG = {"app_name": "blog", "app_image": "greeting:1", "app_env": {"GREETING": "News"}}


class Apps:
    """The scenario's service with an inventory that has two apps."""

    def __init__(self, service: Greeting, folder: Path) -> None:
        self.service, self.inventory = service, folder / "inventory"
        shutil.copytree(SCENARIO / "inventory", self.inventory)
        self.change("all", scaleout_app_port=None, scaleout_backend=None, scaleout_apps=APPS)
        archive = f"{ARCHIVES}/{{{{ (app_release | default('') or app_image) | replace(':', '-') }}}}.tar.gz"
        self.change("app", app_health="{{ scaleout_app_health }}", app_image_archive=archive)
        web = {
            "name": "web",
            "bind": "*:80",
            "use_backend": "{{ scaleout_use_backend }}",
            "default_backend": "{{ scaleout_default_backend }}",
        }
        self.change("lb", haproxy_frontends=[web], haproxy_backends="{{ scaleout_backends }}")
        (folder / "blog.yml").write_text(yaml.safe_dump(BLOG))
        self.blog = ("--extra-vars", f"@{folder}/blog.yml")

    def change(self, group: str, **changes: object) -> None:
        file = self.inventory / "group_vars" / f"{group}.yml"
        variables = yaml.safe_load(file.read_text()) | changes
        file.write_text(yaml.safe_dump({name: value for name, value in variables.items() if value is not None}))

    def playbook(self, name: str, *arguments: str, **variables: object) -> Done:
        done = self.service.play(
            f"playbooks/{name}.yml", "-i", str(self.inventory), *arguments, "--extra-vars", json.dumps(variables)
        )
        assert done.returncode == 0, done.stdout
        return done

    def ask(self, host: str, path: str) -> tuple[int, str]:
        client = http.client.HTTPConnection(self.service.address, timeout=10)
        client.request("GET", path, headers={"Host": host})
        answer = client.getresponse()
        return answer.status, answer.read().decode()

    def containers(self, name: str) -> list[str]:
        form = "{{.Id}} {{.Config.Image}}"
        hosts = [self.service.host(host) for host in self.service.group("app")]
        return [host.check_output("docker inspect --format %s %s", form, name) for host in hosts]


@pytest.fixture(scope="module")
def apps(service: Greeting, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apps]:
    yield Apps(service, tmp_path_factory.mktemp("apps"))
    for host in map(service.host, service.group("app")):
        host.run("docker rm --force blog; rm -f /var/lib/alphacoder-app/blog.*")
    done = service.play("site.yml")
    assert done.returncode == 0, done.stdout


def test_second_app_comes_while_the_first_one_serves(apps: Apps) -> None:
    before = apps.containers(NAME)
    with load(f"http://{apps.service.address}/", RATE, SHOP) as requests:
        apps.playbook("site")
        apps.playbook("deploy", *apps.blog, release="greeting:2")

    assert [one for one in requests if one.status != 200] == []
    assert apps.containers(NAME) == before
    assert {one.split()[1] for one in apps.containers("blog")} == {"greeting:2"}
    assert [apps.ask(SHOP, path)[1][:5] for path in ("/", "/let-go", "/let-go/x")] == ["Hello", "News ", "There"]
    assert apps.ask("other.example.org", "/")[0] == 404


def test_one_app_is_deployed_while_both_serve(apps: Apps) -> None:
    before, url = apps.containers(NAME), f"http://{apps.service.address}"
    variables = {"release": "greeting:2", "app_env": {"GREETING": "More"}}
    with (
        load(f"{url}/", RATE, SHOP) as of_first,
        load(f"{url}/let-go", RATE, SHOP) as of_second,
        ThreadPoolExecutor(1) as pool,
    ):
        deploy = pool.submit(apps.playbook, "deploy", *apps.blog, **variables)
        wait_until("the lock names the app", lambda: "deploy of blog" in apps.service.lock() or deploy.done(), 300)
        assert not deploy.done(), deploy.result().stdout
        done = deploy.result()

    assert [one for one in of_first + of_second if one.status != 200] == []
    assert "Replaced on app-1, app-2: greeting:2" in " ".join(done.stdout.split())
    assert apps.ask(SHOP, "/let-go")[1].startswith("More from app-")
    assert apps.containers(NAME) == before
