# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two processes behind a lab: the container engine, if none is running, and the API service."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from lab.engine import Engine
from lab.errors import LabError
from lab.state import ROOT, SHARED, Lab, token, write_private

_ENGINE_PID = SHARED / "engine.pid"
_ENGINE_LOG = SHARED / "engine.log"
# What gunicorn runs, and so a word of its command line
_SERVICE = "lab.api:serve()"
# The engine's own, of itself and of the containerd that it starts
_ENGINE_PID_FILES = {
    Path("/var/run/docker.pid"): "dockerd",
    Path("/var/run/docker/containerd/containerd.pid"): "containerd",
}


def start_engine(engine: Engine) -> None:
    """Starts the machine's engine. Without systemd it starts `dockerd` itself, whose init script would raise limits."""
    if Path("/run/systemd/system").is_dir():
        done = subprocess.run(["systemctl", "start", "docker"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(f"systemctl start docker failed, see journalctl -u docker: {done.stderr.strip()[-200:]}")
        _wait(engine.answers, 30)
    else:
        for path, word in _ENGINE_PID_FILES.items():
            forget_dead(path, word)
        process = _spawn(["dockerd"], _ENGINE_LOG, dict(os.environ))
        write_private(_ENGINE_PID, f"{process.pid}\n")
        _wait(lambda: engine.answers() or process.poll() is not None, 60)
    if not engine.answers():
        raise LabError(f"the container engine does not start, see {_ENGINE_LOG}: {_last_line(_ENGINE_LOG)}")


def stop_engine() -> bool:
    """Stops the engine if a lab started it; says whether it did."""
    return _stop(_ENGINE_PID, "dockerd", 30)


def forget_dead(pid_file: Path, word: str) -> None:
    """Removes a pid file whose process is gone. A killed engine leaves one behind, and the next engine refuses to start
    if that number belongs to a zombie or any other process."""
    pid = _pid(pid_file)
    if pid and not _runs(pid, word, group=False):
        pid_file.unlink()


def answers(lab: Lab) -> bool:
    """Whether the lab's API answers, and accepts the lab's token."""
    try:
        return call(lab, "GET", "/account")[0] in (200, 429)
    except OSError:
        return False


def service_version(lab: Lab) -> str:
    """A hash of the service's code and settings: a service of another version must be restarted."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    settings = {name: value for name, value in os.environ.items() if name.startswith("LAB_")}
    digest.update(json.dumps([lab.url, str(lab.public), str(lab.private), settings], sort_keys=True).encode())
    return digest.hexdigest()


def service_runs(lab: Lab) -> bool:
    """Whether the service that answers is the one that `up` would start."""
    version = lab.folder / "api.version"
    return version.exists() and version.read_text() == service_version(lab) and answers(lab)


def start_service(lab: Lab) -> None:
    stop_service(lab)
    port_is_free(lab)
    log = lab.folder / "api.log"
    command = [
        sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{lab.port}", "--workers", "1", "--threads", "8",
        "--timeout", "0", "--pid", str(_service_pid(lab)), "--no-control-socket", _SERVICE,
    ]  # fmt: skip
    process = _spawn(command, log, {**os.environ, "LAB_NAME": lab.name})
    _wait(lambda: answers(lab) or process.poll() is not None, 20)
    if not answers(lab):
        raise LabError(f"the API does not answer at {lab.url}, see {log}: {_last_line(log)}")
    write_private(lab.folder / "api.version", service_version(lab))


def stop_service(lab: Lab) -> None:
    (lab.folder / "api.version").unlink(missing_ok=True)
    _stop(_service_pid(lab), _SERVICE, 10, group=True)


def port_is_free(lab: Lab) -> None:
    """Refuses a port that another program listens on. The lab's own service is stopped before the new one starts."""
    pid = _pid(_service_pid(lab))
    if pid and _runs(pid, _SERVICE, group=True):
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", lab.port))
        except OSError:
            raise LabError(f"port {lab.port} is taken by another program: set LAB_PORT to a free one") from None


def _service_pid(lab: Lab) -> Path:
    return lab.folder / "api.pid"


def call(lab: Lab, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    """One request to the API: the status and the body. Raises OSError when nothing listens."""
    request = urllib.request.Request(
        lab.url + path,
        method=method,
        data=json.dumps(body).encode() if body else None,
        headers={"Authorization": f"Bearer {token(lab)}", "Content-Type": "application/json"},
    )
    # A proxy that the environment names is for the world outside
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as response:
            return response.status, json.loads(response.read() or b"{}")
    except urllib.error.HTTPError as error:
        with contextlib.suppress(ValueError):
            return error.code, json.loads(error.read())
        return error.code, {}


def _spawn(command: list[str], log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Starts a process that outlives this one and that Ctrl-C doesn't reach."""
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with log.open("ab") as stream:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment, cwd=ROOT,
            start_new_session=True,
        )  # fmt: skip


def _stop(pid_file: Path, word: str, seconds: float, *, group: bool = False) -> bool:
    """Ends the process that the file names and says whether it ran. With `group`, what it started ends with it, even
    if it is dead itself: a service's worker outlives its master, and two of them would give out one address twice.
    """
    pid = _pid(pid_file)
    if not pid:
        return False
    ran = _runs(pid, word, group)
    if ran:
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(pid, signal.SIGTERM)
            _wait(lambda: not _runs(pid, word, group), seconds)
            if group and _runs(pid, word, group):
                os.killpg(pid, signal.SIGKILL)
    pid_file.unlink(missing_ok=True)
    return ran


def _pid(pid_file: Path) -> int | None:
    text = pid_file.read_text().strip() if pid_file.exists() else ""
    return int(text) if text.isdigit() else None


def _runs(pid: int, word: str, group: bool) -> bool:
    """Whether that process, or with `group` one of its group, runs with `word` in its command line: pids are used
    again. A zombie has no command line."""
    for folder in Path("/proc").glob("[0-9]*" if group else str(pid)):
        try:
            in_group = int((folder / "stat").read_text().rpartition(")")[2].split()[2]) == pid
            if (in_group or not group) and word.encode() in (folder / "cmdline").read_bytes():
                return True
        except OSError:
            continue
    return False


def _wait(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
    return lines[-1][-300:] if lines else "it wrote nothing"
