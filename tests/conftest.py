# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests have in common."""

from __future__ import annotations

import pytest
from ansible.plugins.loader import init_plugin_loader
from support.programs import find_haproxy

# Before the first import from the collection, so that it is found as Ansible finds it
init_plugin_loader([])


@pytest.fixture(scope="session")
def haproxy_program() -> str:
    """The path of a HAProxy program, to start on a private socket or to check a configuration with."""
    return find_haproxy()
