# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page shows the files that tests run, and the example app does what the page asks of an app."""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_app import app_problems
from support.waiting import wait_until

DOCS = Path(__file__).resolve().parents[2] / "docs"
GREETING = DOCS / "examples" / "greeting"
ADDRESS = ("127.0.0.1", 8080)


@pytest.mark.parametrize("name", ["Dockerfile", "app.yml"])
def test_page_shows_the_file(name: str) -> None:
    assert f"\n{(GREETING / name).read_text()}```\n" in (DOCS / "your-own-app.md").read_text()


def test_settings_of_the_page_are_good() -> None:
    blocks = re.findall(r"\n```yaml\n(.*?)```", (DOCS / "your-own-app.md").read_text(), re.DOTALL)
    # Of the user's machine
    texts = [re.sub(r"src: \"[^\"]*\"", f"src: {__file__}", block) for block in blocks]
    texts = [text.replace('"{{ scaleout_app_port }}"', "8000") for text in texts]
    settings = [found for text in texts if isinstance(found := yaml.safe_load(text), dict)]
    assert len(settings) > 8
    for found in settings:
        assert app_problems({name: value for name, value in found.items() if name.startswith("app_")}) == []


def ask(request: bytes) -> bytes:
    with socket.create_connection(ADDRESS, 5) as connection:
        connection.sendall(request)
        text = b""
        while part := connection.recv(65536):
            text += part
    return text


@pytest.fixture
def app() -> Iterator[subprocess.Popen[str]]:
    with socket.socket() as probe:
        if not probe.connect_ex(ADDRESS):
            pytest.skip("port 8080 of this machine is taken")
    environment = {**os.environ, "GREETING": "Hello", "INSTANCE_ID": "app-1"}
    process = subprocess.Popen(
        [sys.executable, str(GREETING / "app.py")], env=environment, stderr=subprocess.PIPE, text=True
    )
    wait_until("the app", lambda: socket.create_connection(ADDRESS, 5).close() is None)
    yield process
    process.kill()
    process.communicate()


def test_health_check_that_resets_leaves_no_traceback(app: subprocess.Popen[str]) -> None:
    for _ in range(20):
        connection = socket.create_connection(ADDRESS, 5)
        # What HAProxy does: closes with a reset once it has the status
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(b"GET /up HTTP/1.1\r\nHost: app\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
        connection.close()
    close = b"Host: app\r\nConnection: close\r\n\r\n"
    assert ask(b"GET / HTTP/1.1\r\n" + close).endswith(b"\r\n\r\nHello from app-1\n")
    assert ask(b"GET /nothing HTTP/1.1\r\n" + close).startswith(b"HTTP/1.1 404 ")

    app.send_signal(signal.SIGTERM)
    _, errors = app.communicate(timeout=10)
    assert app.returncode == 0
    assert "Traceback" not in errors


def test_app_without_its_setting_says_so() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "GREETING"}
    done = subprocess.run([sys.executable, str(GREETING / "app.py")], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "GREETING is not set\n")
