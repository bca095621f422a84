# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible.plugins.loader import init_plugin_loader
from fake_api import TOKEN, FakeApi

VARIABLES = ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN", "DO_API_TOKEN", "DIGITALOCEAN_API_URL")

# Before the first import from the collection, so that it is found as Ansible finds it
init_plugin_loader([])


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never the account of whoever runs the tests."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def api() -> t.Iterator[FakeApi]:
    api = FakeApi()
    yield api
    # A token in a path would be in every log on the way
    assert not [one for one in api.requests if TOKEN in one.path or TOKEN in one.query.values()]
    api.close()
