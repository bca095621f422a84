# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A droplet that is still being made is waited for, and an engine that it came with is kept."""

from __future__ import annotations

import base64
import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from data_tier import CONVERGE, DataTier
from package_archive import make_archive, make_key
from support.waiting import wait_until
from testinfra.host import Host

ORDER = "/root/order"
# Ends some time after it was waited for, with an error
CLOUD_INIT = f"""#!/bin/sh
sleep 3
echo 'status: error'
echo 'detail: a part failed'
echo cloud-init >>{ORDER}
exit 1
"""
# A provider's agent at its installation: has dpkg's lock until some time after the end of cloud-init
AGENT = f"""
import fcntl, pathlib, time
lock = open("/var/lib/dpkg/lock-frontend", "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
order = pathlib.Path("{ORDER}")
order.touch()
while "cloud-init" not in order.read_text():
    time.sleep(0.2)
time.sleep(2)
order.open("a").write("agent")
"""
SOURCE = "/etc/apt/sources.list.d/scaleout-docker.sources"
KEY = "/etc/apt/keyrings/scaleout-docker.asc"
ENGINES = ("docker.io", "docker-ce", "containerd", "containerd.io", "runc", "docker-cli", "docker-ce-cli")


class Fresh:
    """The droplet that has no engine yet."""

    def __init__(self, data: DataTier, folder: Path) -> None:
        self.data = data
        self.name = data.fresh_name
        self.host: Host = data.service.host(self.name)
        self.inventory = data.inventory(folder / "inventory", {"app": self.name})

    def run(self, *arguments: str, **settings: object) -> tuple[int, str]:
        """Run role docker there; return its exit code and what was said."""
        # There is no data tier in this inventory
        extra = ("--extra-vars", json.dumps({"app_env": {}, **settings}))
        done = self.data.service.play(*self.inventory, CONVERGE, "--tags", "docker", *extra, *arguments)
        return done.returncode, done.stdout

    def engines(self) -> list[str]:
        shown = self.host.run("dpkg-query -W -f '${Package} ${db:Status-Status}\n' " + " ".join(ENGINES))
        return sorted(line.split()[0] for line in str(shown.stdout).splitlines() if line.endswith(" installed"))


@pytest.fixture(scope="module")
def fresh(data: DataTier, tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    return Fresh(data, tmp_path_factory.mktemp("fresh"))


@pytest.fixture(scope="module")
def archive(fresh: Fresh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Docker's archive on the droplet itself; give the role's settings for it."""
    folder = tmp_path_factory.mktemp("archive")
    fingerprint = make_key(folder / "gnupg")
    release = fresh.host.check_output(". /etc/os-release && echo $ID $VERSION_CODENAME").split()
    make_archive(folder, folder / "gnupg", *release)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(folder / "linux", "linux")
    fresh.host.check_output(
        "mkdir -p /srv/archive && echo %s | base64 -d | tar -xzC /srv/archive && "
        "systemd-run --unit=archive --working-directory=/srv/archive python3 -m http.server 8900 --bind 127.0.0.1",
        base64.b64encode(packed.getvalue()).decode(),
    )
    wait_until("the archive", lambda: fresh.host.run("curl -fsS http://127.0.0.1:8900/linux/").rc == 0)
    yield {
        "docker_packages_from": "docker",
        "docker_repository": "http://127.0.0.1:8900/linux",
        "docker_repository_fingerprint": fingerprint,
    }
    # As it was
    fresh.host.check_output("systemctl stop archive && rm -rf /srv/archive %s %s", SOURCE, KEY)
    fresh.host.check_output("rm -f /etc/apt/sources.list.d/docker.sources")
    fresh.host.check_output("dpkg --purge docker-ce docker-ce-cli containerd.io")


# --- The first boot ---


@pytest.fixture
def agent(fresh: Fresh) -> Iterator[None]:
    fresh.host.check_output("rm -f %s && systemd-run --collect --unit=agent python3 -c %s", ORDER, AGENT)
    wait_until("the lock", lambda: fresh.host.file(ORDER).exists)
    yield
    fresh.host.run("systemctl stop agent")


@pytest.mark.usefixtures("agent")
def test_installation_waits_for_the_end_of_cloud_init_and_for_the_lock(fresh: Fresh) -> None:
    fresh.host.check_output("mkdir -p /run/cloud-init && echo '{}' >/run/cloud-init/status.json")
    fresh.host.check_output("printf %s >/usr/local/bin/cloud-init && chmod +x /usr/local/bin/cloud-init", CLOUD_INIT)
    try:
        code, said = fresh.run()
        assert code == 0, said
    finally:
        fresh.host.check_output("rm -r /run/cloud-init /usr/local/bin/cloud-init")
    assert "cloud-init ended with errors on this host: status: error detail: a part failed" in " ".join(said.split())
    assert fresh.host.check_output("cat %s", ORDER).split() == ["cloud-init", "agent"]
    assert "docker.io" in fresh.engines()


@pytest.mark.usefixtures("agent")
def test_who_holds_the_lock_is_said(fresh: Fresh, tmp_path: Path) -> None:
    play = {"hosts": "app", "gather_facts": False, "tasks": [{"alphacoder.scaleout.first_boot": {"timeout": 1}}]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    done = fresh.data.service.play(*fresh.inventory, str(tmp_path / "play.yml"))
    said = " ".join(done.stdout.split())
    assert done.returncode != 0
    assert "Not ready after 1 s: the package manager is in use: /usr/bin/python3 -c import fcntl" in said
    assert "holds /var/lib/dpkg/lock-frontend." in said


# --- Engines ---


def test_distributions_engine_is_not_replaced(fresh: Fresh, archive: dict[str, str]) -> None:
    before = fresh.engines()
    code, said = fresh.run(**archive)
    assert code != 0
    assert "docker_packages_from is docker, but this host has" in said
    assert fresh.engines() == before
    assert not fresh.host.file(SOURCE).exists


@pytest.fixture(scope="module")
def without_engine(fresh: Fresh) -> None:
    fresh.host.check_output("DEBIAN_FRONTEND=noninteractive apt-get -qy remove docker.io docker-cli containerd runc")
    assert fresh.engines() == []


@pytest.mark.usefixtures("without_engine")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"docker_repository_fingerprint": "9DC858229FC7DD38854AE2D88D81803C0EBFCD88"}, "Nothing was changed."),
        ({"docker_repository": "http://127.0.0.1:8900/nowhere"}, "HTTP Error 404"),
    ],
)
def test_archive_that_is_not_the_one_leaves_nothing(
    fresh: Fresh, archive: dict[str, str], change: dict[str, str], says: str
) -> None:
    code, said = fresh.run(**(archive | change))
    assert code != 0
    assert says in said
    assert [path for path in (SOURCE, KEY) if fresh.host.file(path).exists] == []


@pytest.mark.usefixtures("without_engine")
def test_dockers_own_packages_are_installed_and_kept(fresh: Fresh, archive: dict[str, str]) -> None:
    code, said = fresh.run("--check", "--diff", **archive)
    assert code == 0, said
    assert not fresh.host.file(SOURCE).exists

    fresh.host.check_output("id deploy >/dev/null 2>&1 || useradd deploy")
    code, said = fresh.run(**archive, docker_users=["deploy"])
    assert code == 0, said
    assert fresh.engines() == ["containerd.io", "docker-ce", "docker-ce-cli"]
    assert "docker" in fresh.host.check_output("id -nG deploy").split()
    assert fresh.host.service("docker").is_running
    assert re.findall("changed=0 ", fresh.run(**archive, docker_users=["deploy"])[1])

    code, said = fresh.run(**archive, docker_users=["deploy", "nobody-here"])
    assert code != 0
    assert f"docker_users has nobody-here, whom {fresh.name} does not know." in said

    # Back to the distribution's would mean to remove it
    code, said = fresh.run(docker_repository=archive["docker_repository"])
    assert code != 0
    assert "but this host has Docker's packages, which this role installed." in said


@pytest.mark.usefixtures("without_engine")
def test_engine_that_an_image_came_with_is_kept(fresh: Fresh, archive: dict[str, str]) -> None:
    # As if the image had brought them
    fresh.host.check_output("mv %s /etc/apt/sources.list.d/docker.sources", SOURCE)
    settings = {"docker_repository": archive["docker_repository"]}
    code, said = fresh.run(**settings)
    assert code == 0, said
    assert re.findall("changed=0 ", said)
    fresh.host.check_output("DEBIAN_FRONTEND=noninteractive apt-get -qy remove python3-requests")
    code, said = fresh.run(**settings)
    assert code == 0, said
    assert fresh.engines() == ["containerd.io", "docker-ce", "docker-ce-cli"]

    code, said = fresh.run(**archive)
    assert code != 0
    assert "/etc/apt/sources.list.d/docker.sources has Docker's repository already" in said
