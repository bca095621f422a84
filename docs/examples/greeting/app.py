# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small web app that is easy to serve: set by its environment, it says when it can serve and ends cleanly."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Seconds; longer than a load balancer keeps an idle connection
    timeout = 75
    # Send each answer in one piece
    wbufsize = -1

    def handle(self) -> None:
        # A health check may hang up once it has the status
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        if self.path == "/up":
            self.answer(200, "ok\n")
        elif self.path == "/":
            self.answer(200, f"{os.environ['GREETING']} from {os.environ['INSTANCE_ID']}\n")
        else:
            self.answer(404, "There is nothing at this address.\n")

    def answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> int:
    """Serve until SIGTERM. Return the exit code."""
    if not os.environ.get("GREETING"):
        print("GREETING is not set", file=sys.stderr)
        return 1
    server = ThreadingHTTPServer(("", 8080), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
