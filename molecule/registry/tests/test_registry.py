# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry with a password, tags that move, and what operators see of releases.

Each test goes on where the former one ended.
"""

from __future__ import annotations

import json
import re
import signal
import time

from support.service import LOG
from support.waiting import wait_until
from talk import LOGIN, NAME, Done, Talk

PASSWORD = "a-secret-of-the-registry"
API_KEY = "a-secret-of-the-app"


def succeeded(done: Done, *texts: str) -> None:
    """The run succeeded, and said this."""
    said = " ".join(done.stdout.split())
    assert done.returncode == 0, done.stdout
    assert all(text in said for text in texts), done.stdout


def failed(done: Done, *texts: str) -> None:
    """The run failed, said this, and changed nothing."""
    said = " ".join(done.stdout.split())
    assert done.returncode != 0, done.stdout
    assert all(text in said for text in texts), done.stdout
    assert "Traceback" not in done.stdout
    assert not re.search("changed=[1-9]", done.stdout), done.stdout


def test_all_hosts_have_the_digest_that_the_tag_is(service: Talk) -> None:
    assert set(service.releases().values()) == {service.release("latest")}
    assert [service.images(name) for name in service.group("app")] == [{service.digest("latest")}] * 2


def test_login_is_the_role_s_own_and_root_s_alone(service: Talk) -> None:
    for name in service.group("app"):
        host = service.host(name)
        assert (
            host.check_output("stat --format %s %s %s", "%a %U", LOGIN, f"{LOGIN}/config.json") == "700 root\n600 root"
        )
        assert not host.file("/root/.docker/config.json").exists


def test_nothing_newer_is_said(service: Talk) -> None:
    before = service.containers()
    done = service.playbook("deploy")

    succeeded(done, f"The registry has nothing newer than {service.release('latest')}, which every app server runs.")
    assert "changed=1" not in done.stdout
    assert service.containers() == before


def test_tag_that_moved_is_left_by_site_and_told_by_a_dry_run(service: Talk) -> None:
    before = service.containers()
    service.move("latest", to="2")
    site = service.playbook("site")
    dry_run = service.playbook("deploy", "--check")

    succeeded(site)
    assert not re.search("changed=[1-9]", site.stdout), site.stdout
    succeeded(dry_run, f"To be replaced on app-1, app-2: {service.release('latest')}")
    assert service.containers() == before


def test_log_is_followed_over_a_deploy(service: Talk) -> None:
    follow = service.start(
        "playbooks/logs.yml", "-e", json.dumps({"follow": True, "lines": 1, "grep": "says [0-9]*[05],"})
    )
    try:
        time_of_deploy = time.time()
        succeeded(service.playbook("deploy"), f"Replaced on app-1, app-2: {service.release('latest')}")
    finally:
        follow.send_signal(signal.SIGINT)
        said, _ = follow.communicate(timeout=30)

    assert set(service.releases().values()) == {service.release("latest", "2")}
    lines = [line for line in said.splitlines() if " | release " in line]
    for name in service.group("app"):
        for release in ("1", "2"):
            assert [line for line in lines if line.startswith(f"{name} | release {release} says ")], (
                time_of_deploy,
                said,
            )
    assert all(line.endswith(", its key ***") for line in lines)
    assert "User interrupted execution" in said
    assert "Traceback" not in said


def test_log_of_all_hosts_is_shown(service: Talk) -> None:
    done = service.playbook("logs", lines=20, since="10m", grep="says [0-9]*[02468],")

    succeeded(done)
    lines = re.findall(r"release 2 says (\d+), its key (\S+)", done.stdout)
    assert len(lines) > 4, done.stdout
    assert {(int(number) % 2, key) for number, key in lines} == {(0, "***")}, done.stdout
    assert API_KEY not in done.stdout
    assert "changed=0" in done.stdout
    failed(service.playbook("logs", grep="("), "grep is '(', which is no regular expression")


def test_former_digest_returns_though_the_tag_moved(service: Talk) -> None:
    succeeded(service.playbook("rollback"))
    assert set(service.releases().values()) == {service.release("latest", "1")}
    # By the name that it has on record, although the registry has another one under it
    succeeded(service.playbook("rollback", release=f"{service.repository}:latest"))
    assert set(service.releases().values()) == {service.release("latest", "1")}


def test_registry_that_is_away_stops_what_needs_it_alone(service: Talk) -> None:
    succeeded(service.playbook("deploy", release=f"{service.repository}:3"))
    succeeded(service.playbook("rollback"))
    three, before = service.release("3"), service.containers()
    registry = service.host("lb-1")
    registry.check_output("systemctl stop docker-registry")
    try:
        refused = service.playbook("deploy")
        fixed = service.playbook("deploy", "--check", release=f"{service.repository}:3")
        site = service.playbook("site")
    finally:
        registry.check_output("systemctl start docker-registry")
    wait_until("registry", lambda: service.digest("3"))

    failed(refused, "talk:latest is now could not be found out", "connection refused", "name another tag or a digest")
    succeeded(fixed, f"going on with {three}", f"To be replaced on app-1, app-2: {three}")
    succeeded(site)
    assert service.containers() == before


def test_login_that_is_wrong_is_said(service: Talk) -> None:
    """It ends no run of servers that have the image."""
    before = service.containers()
    login = {"server": service.repository.partition("/")[0], "username": "me", "password": "another-secret"}
    done = service.playbook("site", app_registry=login)

    succeeded(done, "Warning: ", "does not take the login of me", "Check app_registry")
    assert "another-secret" not in done.stdout
    failed(
        service.playbook("deploy", app_registry=login | {"server": "https://registry.example.com"}), "it must be a name"
    )
    failed(service.playbook("site", app_registry={"username": "me"}), "app_registry has no password")
    assert service.containers() == before


def test_images_of_old_releases_go(service: Talk) -> None:
    succeeded(service.playbook("deploy", release=f"{service.repository}:2", app_releases_kept=1))
    assert [service.images(name) for name in service.group("app")] == [{service.digest("2")}] * 2


def test_new_host_logs_in_and_gets_the_digest_of_the_others(service: Talk) -> None:
    service.move("2", to="3")
    succeeded(service.playbook("scale", app_count=3))
    service.refresh()
    assert set(service.releases()) == {"app-1", "app-2", "app-3"}
    assert set(service.releases().values()) == {service.release("2", "latest")}
    succeeded(service.playbook("scale", app_count=2))
    service.refresh()


def test_command_runs_in_the_container(service: Talk) -> None:
    command = "sh -c 'echo $GREETING from $INSTANCE_ID, $API_KEY; exit 3'"
    done = service.playbook("exec", command=command, host="app-2")
    said = " ".join(done.stdout.split())
    assert (done.returncode, "Hello from app-2, ***" in said, "Exit code 3: sh -c" in said) == (2, True, True), (
        done.stdout
    )

    succeeded(service.playbook("exec", "--check", command=command), "Would run in talk on app-1: sh -c")
    failed(
        service.playbook("exec", command="ls", host="app-9"),
        "host is 'app-9'; it must be one of group app: app-1, app-2.",
    )
    failed(service.play("playbooks/exec.yml", "-e", "command=ls -l /"), "-l / is no part of a variable")


def test_command_runs_in_a_new_container(service: Talk) -> None:
    before = service.containers()
    done = service.playbook("exec", command="sh -c 'echo I am $$, release $RELEASE, $API_KEY'", new=True)

    # In the container that serves it would be another number; that of the init process is 1
    succeeded(done, "release 2, ***", "Exit code 0")
    assert service.containers() == before
    assert service.host("app-1").check_output("docker ps --all --quiet | wc -l") == "1"


def test_releases_say_who_brought_what_when(service: Talk) -> None:
    done = service.playbook("releases")

    succeeded(done)
    lines = [line.strip() for line in done.stdout.splitlines() if "  tests  " in line]
    short = service.release("2", "latest")[: -(64 - 12)]
    assert re.fullmatch(rf"\d+-\d\d-\d\d \d\d:\d\d:\d\d UTC  tests  {re.escape(short)}  on app-1, app-2", lines[-1]), (
        done.stdout
    )
    # First, moved, returned, the third, returned, the second
    assert len(lines) == 6, done.stdout


def test_logout_when_no_login_is_set(service: Talk) -> None:
    succeeded(service.playbook("site", "--check", app_registry={}))
    assert service.host("app-1").file(LOGIN).exists
    before = service.containers()
    succeeded(service.playbook("site", app_registry={}))
    assert not [name for name in service.group("app") if service.host(name).file(LOGIN).exists]
    again = service.playbook("site", app_registry={})
    assert not re.search("changed=[1-9]", again.stdout), again.stdout
    assert service.containers() == before


def test_log_has_no_secret(service: Talk) -> None:
    text = LOG.read_text()
    assert NAME in text
    assert [secret for secret in (PASSWORD, API_KEY, "another-secret") if secret in text] == []
