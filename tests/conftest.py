# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let the tests import this checkout by its collection's name, `lab` from its root, and the hits app from its role."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ansible.plugins.loader import init_plugin_loader
from haproxy_program import find_haproxy

REPO = Path(__file__).resolve().parent.parent

sys.path[:0] = [str(REPO), str(REPO / ".build" / "collections"), str(REPO / "roles" / "hits" / "files")]
# Before the first import from the collection, so that it is found as Ansible finds it
init_plugin_loader([])


@pytest.fixture(scope="session")
def haproxy_program() -> str:
    """The path of a HAProxy program, to start on a private socket or to check a configuration with."""
    return find_haproxy()
