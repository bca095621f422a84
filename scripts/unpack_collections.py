# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the collections that this one depends on into .build/collections.

They are taken out of the Python package `ansible`, which holds all of them at versions that fit together: unpacking
three takes a moment where installing the whole package takes minutes, and no Galaxy server is needed.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
COLLECTIONS = REPO / ".build" / "collections"
# library_inventory_filtering_v1 is what community.docker itself depends on
NEEDED = ("community/docker", "community/postgresql", "community/library_inventory_filtering_v1")


def main() -> None:
    """Download the package and unpack what is needed; exits with pip's own message if it can't be had."""
    downloads = REPO / ".build" / "downloads"
    pip = [sys.executable, "-m", "pip", "download", "--no-input", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run([*pip, "--dest", str(downloads), "-r", str(REPO / "requirements-collections.txt")])
    if done.returncode:
        sys.exit(
            "error: pip could not download the collections: check the network and pip's configuration, "
            "then run this again"
        )

    wheel = max(downloads.glob("ansible-*.whl"), key=lambda path: path.stat().st_mtime)
    prefixes = tuple(f"ansible_collections/{name}/" for name in NEEDED)
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name.startswith(prefixes)]
        archive.extractall(COLLECTIONS, members)
    wheel.unlink()


if __name__ == "__main__":
    main()
