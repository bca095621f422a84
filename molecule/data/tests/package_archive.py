# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A package archive as Docker's is laid out, with packages of the same names that hold scripts instead of an engine."""

from __future__ import annotations

import subprocess
from hashlib import sha256
from pathlib import Path

DAEMON = """#!/bin/sh
case "$1" in
--help) echo "  --validate" ;;
--validate) ;;
*) exec sleep infinity ;;
esac
"""
UNIT = """[Unit]
Description=Stands for Docker Engine
[Service]
ExecStart=/usr/bin/dockerd
[Install]
WantedBy=multi-user.target
"""
POSTINST = """#!/bin/sh
set -e
getent group docker >/dev/null || groupadd --system docker
deb-systemd-helper unmask docker.service
systemctl daemon-reload
systemctl enable --now docker
"""
# Relations as those of Docker's own packages
PACKAGES: dict[str, tuple[str, dict[str, str]]] = {
    "docker-ce": (
        "Depends: containerd.io, docker-ce-cli\nConflicts: docker.io",
        {"usr/bin/dockerd": DAEMON, "usr/lib/systemd/system/docker.service": UNIT, "DEBIAN/postinst": POSTINST},
    ),
    "docker-ce-cli": ("Conflicts: docker-cli, docker.io", {"usr/bin/docker": "#!/bin/sh\n"}),
    "containerd.io": ("Conflicts: containerd, runc", {}),
}


def gpg(home: Path, *arguments: str) -> bytes:
    command = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", "", *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout


def make_key(home: Path) -> str:
    """Make a key; return its fingerprint."""
    home.mkdir(mode=0o700)
    gpg(home, "--quick-gen-key", "An archive of the lab", "rsa3072", "sign", "never")
    listed = gpg(home, "--list-keys", "--with-colons").decode().splitlines()
    return next(line.split(":")[9] for line in listed if line.startswith("fpr"))


def make_package(folder: Path, name: str) -> bytes:
    relations, files = PACKAGES[name]
    control = (
        f"Package: {name}\nVersion: 99.0\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\n"
        f"{relations}\nDescription: stands for Docker's\n"
    )
    for path, content in {**files, "DEBIAN/control": control}.items():
        file = folder / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(0o644 if path.endswith((".service", "control")) else 0o755)
    deb = folder / f"{name}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", str(folder / name), str(deb)], check=True)
    return deb.read_bytes()


def make_archive(folder: Path, home: Path, distribution: str, release: str) -> None:
    """Write the archive: FOLDER/linux/DISTRIBUTION with the key, a list of packages, and its signature."""
    root = folder / "linux" / distribution
    (pool := root / "pool").mkdir(parents=True)
    (drafts := folder / "drafts").mkdir()
    entries = []
    for name in PACKAGES:
        deb = make_package(drafts, name)
        (pool / f"{name}.deb").write_bytes(deb)
        control = (drafts / name / "DEBIAN" / "control").read_text()
        entries.append(f"{control}Filename: pool/{name}.deb\nSize: {len(deb)}\nSHA256: {sha256(deb).hexdigest()}\n")
    dist = root / "dists" / release
    packages = "\n".join(entries).encode()
    lists = ""
    for architecture in ("amd64", "arm64"):
        path = f"stable/binary-{architecture}/Packages"
        (dist / path).parent.mkdir(parents=True)
        (dist / path).write_bytes(packages)
        lists += f" {sha256(packages).hexdigest()} {len(packages)} {path}\n"
    (dist / "Release").write_text(
        f"Origin: Lab\nSuite: {release}\nCodename: {release}\nComponents: stable\nArchitectures: amd64 arm64\n"
        f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n{lists}"
    )
    gpg(home, "--clearsign", "--output", str(dist / "InRelease"), str(dist / "Release"))
    (root / "gpg").write_bytes(gpg(home, "--armor", "--export"))
