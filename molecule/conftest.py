# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of every scenario have."""

from __future__ import annotations

import pytest
from support.service import Service


@pytest.fixture(scope="session")
def service() -> Service:
    return Service()
