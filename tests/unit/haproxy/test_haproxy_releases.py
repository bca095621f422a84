# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests run with the HAProxy of each release that is supported."""

from __future__ import annotations

import os

import pytest
from support.programs import UNPACKED, haproxy_programs, lacks


@pytest.mark.slow
def test_haproxy_of_each_supported_release_of_debian_is_there() -> None:
    if os.environ.get("HAPROXY"):
        pytest.skip("HAPROXY names the only one")
    if not (UNPACKED / "releases").exists():
        lacks("HAProxy's releases are not unpacked: `make setup` does it")
    told = dict(line.split() for line in (UNPACKED / "releases").read_text().splitlines())
    if not {"bookworm", "trixie"} & set(told):
        pytest.skip(f"this machine's package sources name no archive of Debian: {told}")

    # Of backports and what comes, there may be none, or the same version in two of them
    assert {"bookworm", "trixie"} <= set(haproxy_programs()), told
    assert {name for name, version in told.items() if version[0].isdigit()} == set(haproxy_programs())
