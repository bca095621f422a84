# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For the tests of the whole service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.service import Service


@pytest.fixture
def haproxy_as_it_was(service: Service) -> Iterator[None]:
    """For tests that change the load balancer: brings its configuration back."""
    yield
    done = service.play("site.yml", "--tags", "haproxy")
    assert done.returncode == 0, done.stdout
