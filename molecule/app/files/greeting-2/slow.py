# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Release 2 of the example: it also has a page that takes its time, /slow/SECONDS."""

from __future__ import annotations

import sys
import time

import app


class Handler(app.Handler):
    def do_GET(self) -> None:
        if self.path.startswith("/slow/"):
            time.sleep(float(self.path.rpartition("/")[2]))
            self.path = "/"
        super().do_GET()


app.Handler = Handler
sys.exit(app.main())
