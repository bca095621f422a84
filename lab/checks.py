# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of what the machine must have before anything is changed on it."""

from __future__ import annotations

import os
import shutil
from ipaddress import IPv4Network
from pathlib import Path

from lab.engine import Engine
from lab.errors import LabError

# command: Debian's package
_COMMANDS = {"docker": "docker.io", "mmdebstrap": "mmdebstrap", "ssh-keygen": "openssh-client", "iptables": "iptables"}
_FREE_GB = 6


def is_root() -> None:
    if os.geteuid() != 0:
        raise LabError("the lab makes containers and networks: run it as root")


def commands_exist(engine: Engine) -> None:
    missing = {name: package for name, package in _COMMANDS.items() if not shutil.which(name)}
    if "docker" not in missing and not shutil.which("dockerd") and not engine.answers():
        missing["dockerd"] = "docker.io"
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        raise LabError(f"missing on this machine: {', '.join(missing)}; apt-get install {packages}")


def disk_is_free(engine: Engine) -> None:
    folder = engine.info("DockerRootDir")
    free = shutil.disk_usage(folder).free / 1e9
    if free < _FREE_GB:
        raise LabError(
            f"{folder}, where Docker keeps its data, has {free:.1f} GB free and needs {_FREE_GB} GB: make room there, "
            "then run this again"
        )


def subnet_is_free(network: IPv4Network, setting: str) -> None:
    """Looks through this machine's routes, which include the networks of its interfaces."""
    for interface, route in _routes():
        if route.prefixlen and route.overlaps(network):
            raise LabError(f"{network} is in use already ({route} on {interface}): set {setting} to a free network")


def mtu() -> int:
    """The MTU of the default route: with a larger one, a droplet's large packets would get lost on the way out."""
    for interface, route in _routes():
        if not route.prefixlen:
            return int(Path(f"/sys/class/net/{interface}/mtu").read_text())
    return 1500


def _routes() -> list[tuple[str, IPv4Network]]:
    found = []
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        fields = line.split()
        # Words in the machine's own byte order, as the kernel keeps them: little-endian wherever Debian's Docker runs
        address, mask = (int.from_bytes(bytes.fromhex(fields[i]), "little") for i in (1, 7))
        found.append((fields[0], IPv4Network((address, mask.bit_count()))))
    return found
