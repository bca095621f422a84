# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Release 2 of the example: a request for /hold is answered when one for /let-go comes.

Its health is asked as a visitor of its own name would over TLS, or it sends to the login.
"""

from __future__ import annotations

import sys
import threading

import app

VISITOR = ("shop.example.org", "https")


class Handler(app.Handler):
    let_go = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/hold":
            self.let_go.wait()
        elif self.path == "/let-go":
            self.let_go.set()
        if self.path in ("/hold", "/let-go"):
            self.path = "/"
        if self.path == "/up" and (self.headers["Host"], self.headers["X-Forwarded-Proto"]) != VISITOR:
            self.send_response(302)
            self.send_header("Location", "/")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()


app.Handler = Handler
sys.exit(app.main())
