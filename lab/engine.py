# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every call of the `docker` command-line client.

It uses the client, not the engine's API, because a droplet's nested engine needs `systempaths=unconfined`, which is an
option of the client: the API rejects it. State is read back from labels; nothing is kept here.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lab.errors import EngineError
from lab.state import Lab

LABEL = "scaleout-lab"
CAP_SYS_RESOURCE = 24

# Everything that --privileged grants except SYS_RESOURCE, which some virtual machines can't grant
_CAPABILITIES = [
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "SYS_CHROOT", "SYS_PTRACE", "SYS_ADMIN",
    "SYS_NICE", "SYS_TTY_CONFIG", "MKNOD", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "SYSLOG", "LINUX_IMMUTABLE",
]  # fmt: skip

# Debian 13's systemd refuses a cgroup v1 host unless both of these are set
_CGROUP_V1_ENV = "SYSTEMD_PROC_CMDLINE=systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"


@dataclass(frozen=True)
class Container:
    """A droplet's container. Times are seconds since the epoch; `state` is Docker's word."""

    name: str
    state: str
    started_at: float
    created_at: float
    data: dict[str, Any]


@dataclass(frozen=True)
class Record:
    """A fact that isn't a container, kept as a labelled, empty volume."""

    name: str
    kind: str
    data: dict[str, Any]


class Engine:
    """The Docker engine of this machine. Methods raise EngineError when the client reports a failure."""

    def run(self, *args: str, stdin: bytes | None = None) -> str:
        """Runs the client, which never waits for a prompt; returns its output."""
        try:
            done = subprocess.run(["docker", *args], input=stdin or b"", capture_output=True, check=False)
        except FileNotFoundError:
            raise EngineError("missing on this machine: docker; apt-get install docker.io") from None
        if done.returncode:
            raise EngineError(_last_line(done.stderr.decode()) or f"docker {args[0]} failed")
        return done.stdout.decode()

    def answers(self) -> bool:
        try:
            return bool(self.run("version", "--format", "{{.Server.Version}}").strip())
        except EngineError:
            return False

    def info(self, field: str) -> str:
        return self.run("info", "--format", "{{." + field + "}}").strip()

    # Records

    def records(self, lab: str) -> list[Record]:
        found = self.run(
            "volume", "ls", "--filter", f"label={LABEL}={lab}",
            "--format", f'{{{{.Name}}}}\t{{{{.Label "{LABEL}.kind"}}}}\t{{{{.Label "{LABEL}.data"}}}}',
        )  # fmt: skip
        rows = (line.split("\t", 2) for line in found.splitlines())
        return [Record(name, kind, json.loads(data)) for name, kind, data in rows]

    def create_record(self, lab: str, record: Record) -> None:
        """Creates the record, or leaves an existing one as it is."""
        self.run("volume", "create", *_labels(lab, record.kind, record.data), record.name)

    def remove_records(self, names: list[str]) -> None:
        """Removes the records, if they still exist."""
        if names:
            self.run("volume", "rm", "--force", *names)

    # Containers

    def containers(self, lab: str) -> list[Container]:
        names = self.run("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={LABEL}={lab}").split()
        if not names:
            return []
        # Not run(): to the client, a container that was removed meanwhile is an error, but the other answers are good
        done = subprocess.run(["docker", "container", "inspect", *names], capture_output=True, check=False)
        return [
            Container(
                name=item["Name"].lstrip("/"),
                state=item["State"]["Status"],
                started_at=_seconds(item["State"]["StartedAt"]),
                created_at=_seconds(item["Created"]),
                data=json.loads(item["Config"]["Labels"][f"{LABEL}.data"]),
            )
            for item in json.loads(done.stdout or b"[]")
        ]

    def create_droplet(
        self, lab: Lab, name: str, *, hostname: str, image: str, public: str, private: str, data: dict[str, Any]
    ) -> None:
        self.run(
            "create", "--name", name, "--hostname", hostname, *_labels(lab.name, "droplet", data),
            "--network", lab.network("public"), "--ip", public,
            # Like a machine after a power cut: it starts again, unless it was off before
            "--restart", "unless-stopped",
            *self._isolation(), "--env", "container=docker",
            "--stop-signal", "SIGRTMIN+3", "--tmpfs", "/run:exec", "--tmpfs", "/run/lock",
            "--tmpfs", "/tmp:exec",
            # Overlay on overlay doesn't work: a nested engine needs these on the machine's own file system
            "--volume", "/var/lib/docker", "--volume", "/var/lib/containerd",
            image,
        )  # fmt: skip
        self.run("network", "connect", "--ip", private, lab.network("private"), name)

    def _isolation(self) -> list[str]:
        """What systemd and a nested engine need, as far as this machine can grant it."""
        whole = _bounding_set() >> CAP_SYS_RESOURCE & 1
        if whole:
            options = ["--privileged"]
        else:
            options = ["--cap-drop", "ALL", *(f"--cap-add={name}" for name in _CAPABILITIES)]
            options += ["--device-cgroup-rule", "a *:* rwm"]
            for item in ("seccomp", "apparmor", "systempaths"):
                options += ["--security-opt", f"{item}=unconfined"]
        mount = ["--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"]
        if self.info("CgroupVersion") == "1":
            return [*options, *mount, "--env", _CGROUP_V1_ENV]
        return [*options, "--cgroupns", "private"] if whole else [*options, "--cgroupns", "host", *mount]

    def copy_in(self, name: str, archive: bytes) -> None:
        """Unpacks a tar archive at the container's root, with the archive's owners and modes."""
        self.run("cp", "--archive", "-", f"{name}:/", stdin=archive)

    def start(self, name: str) -> None:
        self.run("start", name)

    def stop(self, name: str) -> None:
        """Asks systemd to halt, and kills what is left after 20 s."""
        self.run("stop", "--time", "20", name)

    def kill(self, name: str) -> None:
        self.run("kill", name)

    def remove(self, *names: str) -> None:
        """Removes containers and their anonymous volumes, if they still exist."""
        if names:
            try:
                self.run("rm", "--force", "--volumes", *names)
            except EngineError as error:
                if "already in progress" not in str(error):
                    raise

    # Networks

    def networks(self, lab: str) -> list[str]:
        return self.run("network", "ls", "--filter", f"label={LABEL}={lab}", "--format", "{{.Name}}").split()

    def create_network(self, lab: Lab, kind: str, mtu: int) -> None:
        subnet = lab.public if kind == "public" else lab.private
        self.run(
            "network", "create", *_labels(lab.name, "network", {}), "--subnet", str(subnet),
            "--gateway", str(subnet[1]), "--opt", f"com.docker.network.driver.mtu={mtu}",
            *(["--internal"] if kind == "private" else []), lab.network(kind),
        )  # fmt: skip

    def remove_networks(self, names: list[str]) -> None:
        if names:
            self.run("network", "rm", *names)

    # Images

    def recipe_of(self, image: str) -> str | None:
        """The recipe that an image was built from, or None if there is no such image."""
        try:
            label = f'{{{{index .Config.Labels "{LABEL}.recipe"}}}}'
            return self.run("image", "inspect", "--format", label, image).strip()
        except EngineError:
            return None

    def import_image(self, source: Any, recipe: str, command: list[str]) -> str:
        """Makes an image from a tar stream; returns its id."""
        changes = [f"CMD {json.dumps(command)}", f"LABEL {LABEL}.recipe={recipe}"]
        done = subprocess.run(
            ["docker", "import", *(f"--change={change}" for change in changes), "-"],
            stdin=source, capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise EngineError(_last_line(done.stderr.decode()) or "docker import failed")
        return done.stdout.decode().strip()

    def tag(self, image_id: str, image: str) -> None:
        self.run("tag", image_id, image)

    def save(self, image: str, path: Path) -> None:
        self.run("save", "--output", str(path), image)

    def images(self) -> list[str]:
        """The ids of all images that labs have built, including those that lost their name."""
        found = self.run("images", "--all", "--quiet", "--no-trunc", "--filter", f"label={LABEL}.recipe")
        return sorted(set(found.split()))

    def remove_images(self, names: list[str]) -> None:
        """Removes images, even if one disappears together with another, or is what a later one was built on."""
        while names:
            left = []
            for name in names:
                try:
                    self.run("rmi", "--force", name)
                except EngineError as error:
                    if "dependent child images" in str(error):
                        left.append(name)
                    elif "No such image" not in str(error):
                        raise
            if left == names:
                raise EngineError(f"{', '.join(names)} cannot be removed: other images were built on them")
            names = left


def _labels(lab: str, kind: str, data: dict[str, Any]) -> list[str]:
    values = {LABEL: lab, f"{LABEL}.kind": kind, f"{LABEL}.data": json.dumps(data)}
    return [f"--label={key}={value}" for key, value in values.items()]


def _bounding_set() -> int:
    """The capabilities that this process could ever pass on, as a bit set (capabilities(7))."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            return int(line.split()[1], 16)
    return 0


def _seconds(time: str) -> float:
    """Docker gives nine digits of a second, and datetime takes six."""
    whole, _, fraction = time.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
