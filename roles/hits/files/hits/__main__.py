# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start the app: `python -m hits`. Wrong settings end it here, before a server keeps restarting its workers."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
from gunicorn.workers.base import Worker  # type: ignore[import-untyped]

from hits.settings import Settings, SettingsError

# In memory, and writable even if the root file system is not
SHARED_MEMORY = "/dev/shm"
# Seconds after which a thread gives way to others. A page takes one millisecond of Python; with Python's default of
# 5 ms many threads are stopped in the middle of a page, and each switch costs time
SWITCH_INTERVAL = 0.02


class Server(BaseApplication):  # type: ignore[misc]
    """Gunicorn with threads, because threads of one process share one statement for many hits."""

    _worker: Worker

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": f"0.0.0.0:{self._settings.port}",
            "worker_class": "gthread",
            "workers": self._settings.workers,
            "threads": self._settings.threads,
            # Longer than a load balancer keeps an idle connection, so that the app is never the first to close it
            "keepalive": 75,
            "graceful_timeout": 8,
            "worker_tmp_dir": SHARED_MEMORY,
            "pre_fork": _give_slot,
            "post_fork": self._know_worker,
            "on_exit": _remove_metrics,
            "control_socket_disable": True,
            "loglevel": "warning",
            "proc_name": "hits",
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        # In the worker: a thread or connection made earlier would not survive the fork, and the metrics module reads
        # the environment when it is imported
        from hits.batcher import Batcher
        from hits.ledger import Ledger
        from hits.web import create_app

        worker = self._worker
        # SIGTERM sets alive to False
        ledger = Ledger(self._settings, worker.slot, lambda: bool(worker.alive))
        return create_app(self._settings.instance, Batcher(ledger))

    def _know_worker(self, arbiter: Arbiter, worker: Worker) -> None:
        self._worker = worker


def _give_slot(arbiter: Arbiter, worker: Worker) -> None:
    """Number the worker, so that it takes over the rows of the worker that it replaces, and nobody else's."""
    taken = {other.slot for other in arbiter.WORKERS.values()}
    worker.slot = min(set(range(len(taken) + 1)) - taken)


def _remove_metrics(arbiter: Arbiter) -> None:
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)


def main() -> int:
    """Serve until SIGTERM. Return the exit code: 1 for wrong settings."""
    try:
        settings = Settings.from_environ(os.environ)
    except SettingsError as error:
        print(f"hits: {error}", file=sys.stderr)
        return 1
    sys.setswitchinterval(SWITCH_INTERVAL)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="hits-metrics-", dir=SHARED_MEMORY)
    Server(settings).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
