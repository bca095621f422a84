# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For the tests of the data tier."""

from __future__ import annotations

import pytest
from data_tier import DataTier
from support.service import Service


@pytest.fixture(scope="session")
def data(service: Service) -> DataTier:
    return DataTier(service)
