# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What role app makes of an image that knows nothing of it, seen from another host, and of releases that fail."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator

import pytest
from support.service import Service
from support.waiting import wait_until
from testinfra.host import Host

NAME = "greeting"
ASK = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode(), end='')"


@pytest.fixture
def app(service: Service) -> Host:
    return service.host(service.group("app")[0])


def ask(service: Service, path: str = "/") -> str:
    """What another host of the private network is told; nothing if it is not answered with 200."""
    one, other = service.group("app")[:2]
    address = service.hostvars[one]["private_address"]
    return service.host(other).run("python3 -c %s %s", ASK, f"http://{address}:8000{path}").stdout


def converge(service: Service, **variables: object) -> subprocess.CompletedProcess[str]:
    return service.play("molecule/app/converge.yml", "--extra-vars", json.dumps(variables))


@pytest.fixture
def as_it_was(service: Service) -> Iterator[None]:
    """For tests that change the release: brings the scenario's back."""
    yield
    done = converge(service)
    assert done.returncode == 0, done.stdout


def inspect(app: Host, form: str) -> str:
    return app.check_output("docker inspect --format %s %s", form, NAME)


def test_other_host_is_answered_with_what_the_environment_says(service: Service) -> None:
    assert ask(service) == f"Hello from {service.group('app')[0]}\n"
    assert ask(service, "/up") == "ok\n"


def test_nobody_outside_is_answered(service: Service) -> None:
    with socket.socket() as probe:
        probe.settimeout(3)
        assert probe.connect_ex((service.public_address(service.group("app")[0]), 8000)) != 0


def test_container_has_no_privileges_and_a_read_only_file_system(app: Host) -> None:
    form = "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}"
    assert inspect(app, form) == "10001:10001 true [ALL] [no-new-privileges]"
    # What the settings mean, not only what they say
    assert app.run(f"docker exec {NAME} python3 -c \"open('/written', 'w')\"").failed
    assert app.run(f"docker exec {NAME} python3 -c \"open('/tmp/written', 'w')\"").succeeded


def test_app_that_dies_comes_back(service: Service, app: Host) -> None:
    app.check_output("kill -9 %s", inspect(app, "{{.State.Pid}}"))

    wait_until("app answers", lambda: ask(service))
    assert inspect(app, "{{.RestartCount}}") == "1"


@pytest.mark.usefixtures("as_it_was")
def test_new_release_serves_and_the_former_returns(service: Service, app: Host) -> None:
    done = converge(service, app_image="greeting:2")
    assert done.returncode == 0, done.stdout
    assert inspect(app, "{{.Config.Image}}") == "greeting:2"
    assert ask(service, "/up") == "ok\n"

    done = converge(service, app_state="rolled_back")
    assert done.returncode == 0, done.stdout
    assert inspect(app, "{{.Config.Image}}") == "greeting:1"
    assert ask(service, "/up") == "ok\n"


@pytest.mark.usefixtures("as_it_was")
@pytest.mark.parametrize(
    ("setting", "says"),
    [
        # It ends at its start; what it said is shown
        ({"app_env": {"GREETING": ""}, "app_health_timeout": 3}, "GREETING is not set"),
        # It serves, but never says so
        ({"app_health_path": "/healthy", "app_env": {"GREETING": "Hi"}, "app_health_timeout": 3}, "did not answer 200"),
        ({"app_image": "greeting:none"}, "greeting:none"),
    ],
)
def test_release_that_fails_says_why_and_the_former_serves(
    service: Service, setting: dict[str, object], says: str
) -> None:
    done = converge(service, **setting)

    assert done.returncode != 0
    assert says in done.stdout
    assert "Traceback" not in done.stdout
    assert ask(service) == f"Hello from {service.group('app')[0]}\n"


@pytest.mark.usefixtures("as_it_was")
def test_every_setting_reaches_the_container(service: Service, app: Host) -> None:
    before = inspect(app, "{{.Id}}")
    changes = {"app_instance_id": "one", "app_stop_timeout": 7, "app_read_only": False, "app_tmpfs": ["/run", "/tmp"]}
    done = converge(service, app_replace=False, **changes)
    assert (done.returncode, inspect(app, "{{.Id}}")) == (0, before), done.stdout

    done = converge(service, app_min_ready_seconds=0, app_releases_kept=1, **changes)
    assert done.returncode == 0, done.stdout
    assert (
        inspect(app, "{{.Config.StopTimeout}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.Tmpfs}}")
        == "7 false map[/run: /tmp:]"
    )
    assert "INSTANCE_ID=one" in inspect(app, "{{.Config.Env}}")
    assert len(json.loads(app.file(f"/var/lib/alphacoder-app/{NAME}.json").content_string)) == 1


@pytest.mark.usefixtures("as_it_was")
def test_hand_on_a_container_is_undone(service: Service, app: Host) -> None:
    app.check_output(f"docker update --restart no {NAME} && docker stop {NAME}")
    done = converge(service)

    assert done.returncode == 0, done.stdout
    assert inspect(app, "{{.State.Status}} {{.HostConfig.RestartPolicy.Name}}") == "running unless-stopped"


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"app_health_path": "up"}, "must begin with /"),
        ({"app_env": {"NOT-A-NAME": "secret-value"}}, "NOT-A-NAME"),
    ],
)
def test_wrong_setting_changes_nothing(service: Service, app: Host, setting: dict[str, object], says: str) -> None:
    before = inspect(app, "{{.Id}}")
    done = converge(service, **setting)

    assert done.returncode != 0
    assert says in done.stdout
    assert "secret-value" not in done.stdout
    assert inspect(app, "{{.Id}}") == before


def test_dry_run_says_that_a_release_would_change(service: Service, app: Host) -> None:
    before = inspect(app, "{{.Id}}")
    done = service.play("molecule/app/converge.yml", "--check", "--extra-vars", "app_image=greeting:2")

    assert done.returncode == 0, done.stdout
    assert "changed=1" in done.stdout
    assert inspect(app, "{{.Id}}") == before
