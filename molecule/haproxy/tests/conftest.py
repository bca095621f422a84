# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For the tests of the load balancer."""

from __future__ import annotations

import pytest
from balancer import Balancer
from support.service import Service
from support.waiting import wait_until


@pytest.fixture(scope="session")
def balancer(service: Service) -> Balancer:
    found = Balancer(service)
    wait_until("every server UP", lambda: found.all_up("app"))
    return found
