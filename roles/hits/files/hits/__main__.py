# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start the app: `python -m hits`. Wrong settings end it here, before a server would try again."""

from __future__ import annotations

import os
import sys
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

from hits.batcher import Batcher
from hits.ledger import Ledger
from hits.settings import Settings, SettingsError
from hits.web import create_app


class Server(BaseApplication):  # type: ignore[misc]
    """Gunicorn with one worker process: threads of one process share one statement for many hits."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": f"0.0.0.0:{self._settings.port}",
            "worker_class": "gthread",
            "workers": 1,
            "threads": self._settings.threads,
            # Longer than a load balancer keeps an idle connection, so that it is never us who closes first
            "keepalive": 75,
            "graceful_timeout": 8,
            # The root file system may be read-only
            "worker_tmp_dir": "/dev/shm",
            "control_socket_disable": True,
            "loglevel": "warning",
            "proc_name": "hits",
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        # Runs in the worker: a thread or a connection made earlier would not survive the fork
        return create_app(self._settings.instance, Batcher(Ledger(self._settings)))


def main() -> int:
    """Serve until SIGTERM. Return the exit code: 1 for wrong settings."""
    try:
        settings = Settings.from_environ(os.environ)
    except SettingsError as error:
        print(f"hits: {error}", file=sys.stderr)
        return 1
    Server(settings).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
