# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of role haproxy's configuration share."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.programs import find_program


@pytest.fixture(scope="session")
def etc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the role puts into /etc/haproxy."""
    folder = tmp_path_factory.mktemp("etc-haproxy")
    (folder / "pages").mkdir()
    for page in (418, 429, 503, "maintenance"):
        (folder / "pages" / f"{page}.html").write_text("<p>Sorry</p>")
    (folder / "stats.authorization").write_text("Basic c3RhdHM6YS1zZWNyZXQtb2YtMTY=\n")
    (folder / "certs").mkdir()
    pem = folder / "certs" / "site.pem"
    command = (
        find_program("openssl")
        + " req -x509 -newkey rsa:2048 -nodes -subj /CN=example.org -days 1 -keyout {0} -out {0}.crt"
    )
    subprocess.run(command.format(pem).split(), check=True, capture_output=True)
    pem.write_text(pem.read_text() + Path(f"{pem}.crt").read_text())
    Path(f"{pem}.crt").unlink()
    return folder
