# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What role app makes of an image that knows nothing of it, seen from another host.

Each test goes on where the former one ended.
"""

from __future__ import annotations

import json
import re
import socket

import pytest
from greeting import NAME, PORT, Greeting
from support.waiting import wait_until
from testinfra.host import Host

ASK = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode(), end='')"
SETTINGS = {
    "app_instance_id": "one",
    "app_stop_timeout": 7,
    "app_read_only": False,
    "app_tmpfs": ["/run", "/tmp"],
    "app_entrypoint": ["/usr/bin/env", "PYTHONUNBUFFERED=1"],
    "app_command": ["python3", "/app.py"],
    "app_user": "10002:10003",
    "app_capabilities": ["NET_BIND_SERVICE"],
    "app_memory": "256m",
    "app_cpus": 0.5,
    "app_volumes": [
        "data:/data",
        {"source": "/srv/uploads", "target": "/app/uploads", "owner": "10002:10003", "mode": "0750"},
    ],
    "app_files": [{"dest": "/run/secrets/key", "content": "secret-value-1", "owner": "10002", "mode": "0400"}],
    "app_container_options": {"shm_size": "128m", "labels": {"team": "greeters"}},
}
# Where it keeps the files of its containers
FILES = f"/var/lib/alphacoder-app/{NAME}"
# An image that begins as root, as a second app of the host
ROOT = {
    "app_name": "root",
    "app_image": "greeting:root",
    "app_port": 80,
    "app_publish_port": 8090,
    "app_health_timeout": 3,
}


@pytest.fixture
def app(service: Greeting) -> Host:
    return service.host("app-1")


def ask(service: Greeting, path: str = "/") -> str:
    """What another host of the private network gets from the first server; nothing if that is not a 200."""
    return (
        service.host("app-2")
        .run("python3 -c %s %s", ASK, f"http://{service.private_address('app-1')}:{PORT}{path}")
        .stdout
    )


def test_other_host_is_answered_with_what_the_environment_says(service: Greeting) -> None:
    assert ask(service) == "Hello from app-1\n"
    assert ask(service, "/up") == "ok\n"


def test_nobody_outside_is_answered(service: Greeting) -> None:
    with socket.socket() as probe:
        probe.settimeout(3)
        assert probe.connect_ex((service.public_address("app-1"), PORT)) != 0


def test_container_has_no_privileges_and_a_read_only_file_system(service: Greeting, app: Host) -> None:
    form = "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}"
    assert service.inspect("app-1", form) == "10001:10001 true [ALL] [no-new-privileges]"
    # What the settings mean, not only what they say
    assert app.run(f"docker exec {NAME} python3 -c \"open('/written', 'w')\"").failed
    assert app.run(f"docker exec {NAME} python3 -c \"open('/tmp/written', 'w')\"").succeeded


def test_app_that_dies_comes_back(service: Greeting, app: Host) -> None:
    app.check_output("kill -9 %s", service.inspect("app-1", "{{.State.Pid}}"))

    wait_until("app answers", lambda: ask(service))
    assert service.inspect("app-1", "{{.RestartCount}}") == "1"


def test_wrong_settings_change_nothing_and_are_all_named(service: Greeting) -> None:
    before = service.containers()
    wrong = {"app_health_path": "up", "app_env": {"NOT-A-NAME": "secret-value"}, "haproxy_maxconn": "many"}
    done = service.playbook("site", **wrong)

    assert done.returncode != 0
    said = ("must be empty, or begin with /", "NOT-A-NAME", "haproxy_maxconn")
    assert all(text in done.stdout for text in said), done.stdout
    assert "secret-value" not in done.stdout
    assert "Traceback" not in done.stdout
    assert not re.search("changed=[1-9]", done.stdout), done.stdout
    assert service.containers() == before


def test_former_release_returns_and_is_the_newest_on_record(service: Greeting, app: Host) -> None:
    done = service.role(app_image="greeting:2")
    assert done.returncode == 0, done.stdout
    assert service.inspect("app-1", "{{.Config.Image}}") == "greeting:2"

    done = service.role(app_state="rolled_back")
    assert done.returncode == 0, done.stdout
    assert service.inspect("app-1", "{{.Config.Image}}") == "greeting:1"
    record = json.loads(app.file(f"/var/lib/alphacoder-app/{NAME}.json").content_string)
    assert [one["release"] for one in record] == ["greeting:1", "greeting:2"]


def test_settings_wait_where_the_app_may_not_be_replaced(service: Greeting) -> None:
    before = service.containers()
    done = service.role(app_replace=False, **SETTINGS)

    assert done.returncode == 0, done.stdout
    assert service.containers() == before


def test_every_setting_reaches_the_container(service: Greeting, app: Host) -> None:
    done = service.role(app_min_ready_seconds=0, app_releases_kept=1, **SETTINGS)

    assert done.returncode == 0, done.stdout
    form = "{{.Config.StopTimeout}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.Tmpfs}}"
    assert service.inspect("app-1", form) == "7 false map[/run: /tmp:]"
    assert "INSTANCE_ID=one" in service.inspect("app-1", "{{.Config.Env}}")
    form = "{{.Config.Entrypoint}} {{.Config.Cmd}} {{.Config.User}} {{.HostConfig.CapAdd}} {{.HostConfig.Memory}}"
    assert service.inspect("app-1", form).startswith(
        "[/usr/bin/env PYTHONUNBUFFERED=1] [python3 /app.py] 10002:10003 [NET_BIND_SERVICE] 268435456"
    )
    form = "{{.HostConfig.NanoCpus}} {{.HostConfig.ShmSize}} {{.Config.Labels.team}}"
    assert service.inspect("app-1", form) == "500000000 134217728 greeters"
    assert len(json.loads(app.file(f"/var/lib/alphacoder-app/{NAME}.json").content_string)) == 1


def test_second_run_leaves_it_as_it_is(service: Greeting) -> None:
    done = service.role(**SETTINGS)

    assert done.returncode == 0, done.stdout
    assert "changed=0" in done.stdout, done.stdout


def secret(app: Host) -> str:
    return app.check_output(f"docker exec {NAME} cat /run/secrets/key")


def test_app_keeps_its_data_and_reads_its_files(app: Host) -> None:
    app.check_output(f"docker exec {NAME} sh -c 'echo kept >/app/uploads/one'")
    assert app.file("/srv/uploads").mode == 0o750
    assert app.check_output("stat --format '%u %g' /srv/uploads/one") == "10002 10003"
    assert secret(app) == "secret-value-1"
    assert app.run(f"docker exec --user 0 {NAME} sh -c 'echo x >/run/secrets/key'").failed
    # Nobody else on the host gets there, and the engine does not tell
    assert app.file(FILES).mode == 0o700
    assert "secret-value" not in app.check_output(f"docker inspect {NAME}")


def test_changed_file_is_a_new_container(service: Greeting, app: Host) -> None:
    before = service.containers()["app-1"]
    SETTINGS["app_files"][0]["content"] = "secret-value-2"
    done = service.role(**SETTINGS)

    assert done.returncode == 0, done.stdout
    assert service.containers()["app-1"] != before
    assert secret(app) == "secret-value-2"
    assert app.check_output(f"docker exec {NAME} cat /app/uploads/one") == "kept"
    # Those of the former container went with it
    assert len(app.file(FILES).listdir()) == 1


def test_hand_on_a_container_is_undone(service: Greeting, app: Host) -> None:
    app.check_output(f"docker update --restart no {NAME} && docker stop {NAME}")
    done = service.role(**SETTINGS)

    assert done.returncode == 0, done.stdout
    assert service.inspect("app-1", "{{.State.Status}} {{.HostConfig.RestartPolicy.Name}}") == "running unless-stopped"


def test_login_that_cannot_be_tried_is_a_warning_where_the_image_is(service: Greeting, app: Host) -> None:
    image = "localhost:1/me/greeting:1"
    login = {"server": "localhost:1", "username": "me", "password": "secret-value"}
    settings = {"app_state": "image", "app_image": image, "app_image_archive": "", "app_registry": login}
    done = service.role(**settings)
    assert done.returncode != 0
    assert "Nothing was changed. Check the name of the registry" in " ".join(done.stdout.split())

    app.check_output(f"docker tag greeting:1 {image}")
    done = service.role(**settings)
    assert done.returncode == 0, done.stdout
    assert "Warning: localhost:1 could not be asked about the login of me" in done.stdout
    assert "changed=0" in done.stdout, done.stdout


def test_settings_that_the_engine_refuses_stop_nothing(service: Greeting) -> None:
    started = service.inspect("app-1", "{{.State.StartedAt}}")
    done = service.role(**SETTINGS | {"app_user": "nobody-knows"})

    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert "unable to find user nobody-knows: no matching entries in passwd file. Look at app_user. Nothing" in said
    assert service.inspect("app-1", "{{.State.StartedAt}}") == started
    assert service.host("app-1").run("docker inspect greeting-trial").failed


def test_app_that_ends_at_its_start_gives_way_to_the_former_one(service: Greeting) -> None:
    before = service.containers()
    files = [{"dest": "/run/secrets/key", "content": "secret-value-3"}]
    # Nobody waits for that long
    done = service.role(**SETTINGS | {"app_env": {"GREETING": ""}, "app_health_timeout": 3600, "app_files": files})

    assert done.returncode != 0
    assert "ends again and again" in done.stdout
    assert "GREETING is not set" in done.stdout
    assert "The former container runs again." in done.stdout
    assert "Traceback" not in done.stdout
    assert service.containers() == before
    assert ask(service) == "Hello from one\n"
    assert secret(service.host("app-1")) == "secret-value-2"


def test_settings_that_are_gone_are_gone_from_the_container(service: Greeting, app: Host) -> None:
    done = service.role()

    assert done.returncode == 0, done.stdout
    form = "{{.Config.User}} {{.HostConfig.CapAdd}} {{.HostConfig.Memory}} {{.Config.Labels.team}} {{.Mounts}}"
    assert service.inspect("app-1", form) == "10001:10001 [] 0 <no value> []"
    assert app.file(FILES).listdir() == []
    # Data are nobody's to remove
    assert app.file("/srv/uploads/one").content_string == "kept\n"
    assert app.run("docker volume inspect data").succeeded


def test_image_that_begins_as_root_says_what_it_lacks(service: Greeting) -> None:
    said = " ".join(service.role(**ROOT, app_tmpfs=["/var/cache"]).stdout.split())
    assert "seems to need CHOWN, SETGID, SETUID" in said


def test_image_that_begins_as_root_runs_with_what_it_needs(service: Greeting, app: Host) -> None:
    needs = ["CHOWN", "NET_BIND_SERVICE", "SETGID", "SETUID"]
    done = service.role(**ROOT, app_tmpfs=["/var/cache"], app_capabilities=needs)

    assert done.returncode == 0, done.stdout
    assert app.check_output("docker exec root stat --format %u /var/cache/greeting/pid") == "10001"
    assert "The image declares /srv/kept as a volume." in " ".join(done.stdout.split())
    done = service.role(**ROOT, app_state="absent")
    assert done.returncode == 0, done.stdout
    assert app.run("docker inspect root").failed
    assert [name for name in app.file("/var/lib/alphacoder-app").listdir() if name.startswith("root")] == []
