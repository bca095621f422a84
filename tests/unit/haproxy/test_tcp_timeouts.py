# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which timeout ends a silent connection in mode tcp, as HAProxy itself does it: what the role refuses does nothing."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.waiting import wait_until

CONFIGURATION = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel {tunnel}
frontend clients
    bind {folder}/clients {bind}
    timeout client 300ms
    {more}
    default_backend servers
backend servers
    timeout server 300ms
    server one {folder}/server
"""


@contextlib.contextmanager
def silent_server(path: str) -> Iterator[None]:
    """A server that takes connections, and says nothing."""
    taken = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def take() -> None:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(listener.accept()[0])

        thread = threading.Thread(target=take)
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in taken:
        connection.close()


@pytest.mark.parametrize(
    ("tunnel", "bind", "more", "least", "most"),
    [
        # Longer than client and server
        ("2s", "", "", 1.5, 60),
        # None, so client and server hold
        ("0", "", "", 0.2, 1.5),
        # Before there is a tunnel
        ("60s", "accept-proxy", "", 0.2, 10),
        ("60s", "", "tcp-request inspect-delay 50s\n    tcp-request content accept if { req.len gt 0 }", 0.2, 10),
    ],
)
def test_timeout_that_ends_a_silent_connection(
    haproxy_program: str,
    tmp_path_factory: pytest.TempPathFactory,
    tunnel: str,
    bind: str,
    more: str,
    least: float,
    most: float,
) -> None:
    # A UNIX socket's path may have 107 characters
    folder = tmp_path_factory.mktemp("t")
    file = Path(folder, "haproxy.cfg")
    file.write_text(CONFIGURATION.format(tunnel=tunnel, folder=folder, bind=bind, more=more))
    with silent_server(f"{folder}/server"), subprocess.Popen([haproxy_program, "-db", "-q", "-f", file]) as process:
        try:
            wait_until("HAProxy listens", Path(folder, "clients").exists)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(f"{folder}/clients")
                client.settimeout(most)
                start = time.monotonic()
                assert client.recv(1) == b""
                assert time.monotonic() - start > least
        finally:
            process.terminate()
