# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lab's name, addresses and files."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from lab.errors import LabError

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT / ".lab"

# Benchmark networks (RFC 2544) stand for the internet's side. Not the documentation networks (RFC 5737), behind which
# some sandboxes put the package archives that droplets need.
_LABS = {
    "demo": (8481, "198.18.1.0/24", "10.110.0.0/20"),
    "test": (8482, "198.18.2.0/24", "10.111.0.0/20"),
    "test2": (8483, "198.18.3.0/24", "10.112.0.0/20"),
}
NAMES = tuple(_LABS)


@dataclass(frozen=True)
class Lab:
    """One lab. Several stand side by side when no name, port or network of theirs is the same."""

    name: str
    port: int
    public: IPv4Network
    private: IPv4Network

    @property
    def folder(self) -> Path:
        return SHARED / self.name

    @property
    def env_file(self) -> Path:
        return self.folder / "env"

    @property
    def token_file(self) -> Path:
        return self.folder / "token"

    @property
    def key_file(self) -> Path:
        return self.folder / "id_ed25519"

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/v2"

    def network(self, kind: str) -> str:
        """The engine's name of the `public` or the `private` network."""
        return f"scaleout-lab-{self.name}-{kind}"


def lab(name: str) -> Lab:
    """The lab of that name. LAB_PORT overrides the port of its API; LAB_PUBLIC and LAB_PRIVATE its networks, until
    those are made: from then on they are what keep_networks() wrote."""
    default_port, public, private = _LABS[name]
    port = os.environ.get("LAB_PORT", str(default_port))
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise LabError(f"LAB_PORT is '{port}': it must be a port, 1 to 65535")
    kept = SHARED / name / "networks"
    if kept.exists():
        public, private = kept.read_text().split()
    else:
        public, private = os.environ.get("LAB_PUBLIC", public), os.environ.get("LAB_PRIVATE", private)
    try:
        return Lab(name, int(port), IPv4Network(public), IPv4Network(private))
    except ValueError as error:
        raise LabError(f"LAB_PUBLIC or LAB_PRIVATE is not a network: {error}") from None


def keep_networks(lab: Lab) -> None:
    write_private(lab.folder / "networks", f"{lab.public} {lab.private}\n")


def token(lab: Lab) -> str:
    """The lab's API token, made at the first call."""
    if not lab.token_file.exists():
        write_private(lab.token_file, secrets.token_hex(32) + "\n")
    return lab.token_file.read_text().strip()


def write_env(lab: Lab, base_image: str, base_image_archive: Path) -> None:
    """The file that a shell sources to make Ansible and other clients use the lab. The base image is what an app's
    image is built on.
    """
    values = {
        "DIGITALOCEAN_TOKEN": token(lab),
        "DIGITALOCEAN_API_URL": lab.url,
        "ANSIBLE_PRIVATE_KEY_FILE": str(lab.key_file),
        # Addresses are used again by other droplets, with other host keys
        "ANSIBLE_SSH_EXTRA_ARGS": "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR",
        "HITS_BASE_IMAGE": base_image,
        "HITS_BASE_IMAGE_ARCHIVE": str(base_image_archive),
    }
    write_private(lab.env_file, "".join(f"export {k}={shlex.quote(v)}\n" for k, v in values.items()))


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner reads, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
    draft.replace(path)


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds a lock that all processes of this checkout share; waits for it."""
    SHARED.mkdir(mode=0o700, exist_ok=True)
    with (SHARED / f"{name}.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
