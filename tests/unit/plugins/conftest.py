# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import typing as t

import pytest
from haproxy_servers import App, FakeSocket, RealHaproxy
from support.fake_api import TOKEN, FakeApi

VARIABLES = ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN", "DO_API_TOKEN", "DIGITALOCEAN_API_URL")


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


@pytest.fixture
def haproxy(haproxy_program: str, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[RealHaproxy]:
    with contextlib.ExitStack() as stack:
        apps = (App(), App())
        for app in apps:
            stack.callback(app.close)
        # A UNIX socket's path may have 107 characters
        running = RealHaproxy(haproxy_program, tmp_path_factory.mktemp("h"), apps)
        stack.callback(running.close)
        yield running


@pytest.fixture
def fake_socket(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[FakeSocket]:
    fake = FakeSocket(tmp_path_factory.mktemp("h") / "fake")
    yield fake
    fake.close()
