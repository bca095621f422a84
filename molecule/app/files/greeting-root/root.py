# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example as an image that begins as root."""

from __future__ import annotations

import os
import pathlib
from http.server import ThreadingHTTPServer

import app

CACHE = pathlib.Path("/var/cache/greeting")
CACHE.mkdir(exist_ok=True)
os.chown(CACHE, 10001, 10001)
server = ThreadingHTTPServer(("", 80), app.Handler)
os.setgid(10001)
os.setuid(10001)
(CACHE / "pid").write_text(str(os.getpid()))
server.serve_forever()
