# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the lab asks of the machine, and what it leaves on it."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from ipaddress import IPv4Network
from itertools import combinations
from pathlib import Path

import pytest

from lab import checks, cli, daemons, engine, images, state
from lab.errors import EngineError, LabError

# Says when it is there: for a moment, a process that begins has no words yet
PROGRAM = "import time; print(flush=True); time.sleep(60)"


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own, with a space in its path."""
    folder = tmp_path / "a checkout" / ".lab"
    for module in (state, cli, images):
        monkeypatch.setattr(module, "SHARED", folder, raising=False)
    for name in ("LAB_PORT", "LAB_PUBLIC", "LAB_PRIVATE"):
        monkeypatch.delenv(name, raising=False)
    return folder


def test_the_env_file_is_private_and_a_shell_reads_it(shared: Path) -> None:
    lab = state.lab("demo")
    state.write_env(lab, "base:1", shared / "base.tar")
    for path in (lab.env_file, lab.token_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    script = '. "$1"; printf "%s\\n" "$DIGITALOCEAN_TOKEN" "$DIGITALOCEAN_API_URL" "$ANSIBLE_PRIVATE_KEY_FILE"'
    done = subprocess.run(["sh", "-c", script, "sh", str(lab.env_file)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [state.token(lab), "http://127.0.0.1:8481/v2", str(lab.key_file)]
    assert all(line.startswith("export ") for line in lab.env_file.read_text().splitlines())


def test_the_token_is_made_once(shared: Path) -> None:
    assert state.token(state.lab("demo")) == state.token(state.lab("demo")) != state.token(state.lab("test"))


def test_labs_share_nothing(shared: Path) -> None:
    for first, second in combinations([state.lab(name) for name in state.NAMES], 2):
        assert first.port != second.port
        assert first.folder != second.folder
        assert not first.public.overlaps(second.public)
        assert not first.private.overlaps(second.private)


def test_networks_stay_as_they_were_made(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_PUBLIC", "192.168.77.0/24")
    state.keep_networks(state.lab("demo"))
    monkeypatch.delenv("LAB_PUBLIC")
    assert str(state.lab("demo").public) == "192.168.77.0/24"


@pytest.mark.parametrize(("name", "value"), [("LAB_PORT", "x"), ("LAB_PORT", "70000"), ("LAB_PRIVATE", "10.0.0.1/8")])
def test_a_bad_setting_is_named(shared: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(LabError, match=name):
        state.lab("demo")


def test_a_network_in_use_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = [("eth0", IPv4Network("0.0.0.0/0")), ("tun0", IPv4Network("10.0.0.0/8"))]
    monkeypatch.setattr(checks, "_routes", lambda: routes)
    checks.subnet_is_free(IPv4Network("198.18.1.0/24"), "LAB_PUBLIC")
    with pytest.raises(LabError, match=r"10\.110\.0\.0/20 is in use .* tun0.*LAB_PRIVATE"):
        checks.subnet_is_free(IPv4Network("10.110.0.0/20"), "LAB_PRIVATE")


def test_what_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(checks, "is_root", lambda: None)
    monkeypatch.setenv("PATH", "/nowhere")
    assert cli.main(["up"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "apt-get install docker.io iptables mmdebstrap openssh-client" in said


@pytest.mark.parametrize(
    ("whole", "version", "expected", "unexpected"),
    [
        (True, "2", ["--privileged", "--cgroupns private"], ["--cap-drop", "/sys/fs/cgroup", "SYSTEMD_PROC_CMDLINE"]),
        (True, "1", ["--privileged", "/sys/fs/cgroup:rw", "SYSTEMD_PROC_CMDLINE"], ["--cap-drop", "--cgroupns"]),
        (False, "2", ["--cap-drop ALL", "systempaths=unconfined", "--cgroupns host"], ["--privileged", "SYS_RESOURCE"]),
        (False, "1", ["--cap-drop ALL", "/sys/fs/cgroup:rw", "SYSTEMD_PROC_CMDLINE"], ["--privileged", "SYS_RESOURCE"]),
    ],
)
def test_droplets_get_what_the_machine_can_give(
    monkeypatch: pytest.MonkeyPatch, whole: bool, version: str, expected: list[str], unexpected: list[str]
) -> None:
    monkeypatch.setattr(engine, "_bounding_set", lambda: 0x1FFFFFFFFFF if whole else 0x1FFFEFFFFFF)
    monkeypatch.setattr(engine.Engine, "info", lambda self, field: version)
    options = " ".join(engine.Engine()._isolation())
    assert all(word in options for word in expected)
    assert not any(word in options for word in unexpected)


def test_a_time_of_the_engine_is_seconds() -> None:
    assert engine._seconds("1970-01-01T00:00:01.123456789Z") == pytest.approx(1.123456789)
    assert engine._seconds("1970-01-01T00:00:01Z") == 1


def test_a_service_ends_with_all_that_it_started(tmp_path: Path) -> None:
    """Its master may be dead already, and what it left behind not."""
    script = (
        "import subprocess, sys\n"
        f"runs = subprocess.Popen([sys.executable, '-c', {PROGRAM!r}, 'mine'], stdout=subprocess.PIPE)\n"
        "runs.stdout.readline()"
    )
    leader = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    leader.wait()
    pid_file = tmp_path / "pid"
    pid_file.write_text(f"{leader.pid}\n")
    assert daemons._runs(leader.pid, "mine", group=True)
    assert daemons._stop(pid_file, "mine", 5, group=True)
    assert not daemons._runs(leader.pid, "mine", group=True)
    assert not pid_file.exists()


def test_a_taken_port_is_refused(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv("LAB_PORT", str(port))
        with pytest.raises(LabError, match=f"port {port} is taken by another program: set LAB_PORT"):
            daemons.port_is_free(state.lab("demo"))
    daemons.port_is_free(state.lab("demo"))


def test_an_engine_that_was_killed_is_forgotten(tmp_path: Path) -> None:
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    with subprocess.Popen([sys.executable, "-c", PROGRAM, "dockerd"], stdout=subprocess.PIPE) as runs:
        try:
            assert runs.stdout is not None
            runs.stdout.readline()
            for process in (zombie, runs):
                pid_file = tmp_path / f"{process.pid}.pid"
                pid_file.write_text(f"{process.pid}\n")
                daemons.forget_dead(pid_file, "dockerd")
            daemons.forget_dead(tmp_path / "none", "dockerd")
            assert [path.name for path in tmp_path.iterdir()] == [f"{runs.pid}.pid"]
        finally:
            runs.kill()
            zombie.wait()


def test_a_pid_that_is_another_program_now_is_left_alone(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        pid_file = tmp_path / "pid"
        pid_file.write_text(f"{other.pid}\n")
        assert not daemons._stop(pid_file, "dockerd", 1)
        assert not daemons._stop(tmp_path / "none", "dockerd", 1)
        time.sleep(0.05)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


class Shelf(engine.Engine):
    """An engine with images, each of which may have been built on another one; a named one can't be removed at all."""

    def __init__(self, parents: dict[str, str], stuck: str = "") -> None:
        self.parents, self.stuck = parents, stuck

    def run(self, *args: str, stdin: bytes | None = None) -> str:
        name = args[-1]
        if name not in self.parents:
            raise EngineError(f"No such image: {name}")
        if name in self.parents.values() or name == self.stuck:
            raise EngineError("unable to delete it (cannot be forced) - image has dependent child images")
        del self.parents[name]
        return ""


def test_images_are_removed_whichever_was_built_on_which() -> None:
    shelf = Shelf({"base": "", "app": "base", "release": "app"})
    shelf.remove_images(["app", "base", "gone", "release"])
    assert shelf.parents == {}


def test_image_that_cannot_be_removed_is_named() -> None:
    shelf = Shelf({"base": "", "app": "base"}, stuck="app")
    with pytest.raises(EngineError, match="base, app cannot be removed: other images were built on them"):
        shelf.remove_images(["base", "app"])
