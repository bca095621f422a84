# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hits app as it is, which also shows its page at /uncounted/ without counting. hits_app.py starts it."""

from __future__ import annotations

import sys

import hits.__main__ as app
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware


class BothPages(app.Server):
    """Serves both from the same processes and threads."""

    def load(self) -> Flask:
        from hits.batcher import Batcher, Figures
        from hits.ledger import Ledger
        from hits.web import create_app

        class Counted(Batcher):
            shown = Figures(None, None)

            def hit(self) -> Figures:
                self.shown = super().hit()
                return self.shown

        counted = Counted(Ledger(self._settings, self._slot))

        class Uncounted:
            """Has the figures that the other page had last, so that both are equally long."""

            def hit(self) -> Figures:
                return counted.shown

            def check(self) -> None:
                counted.check()

        page = create_app(self._settings.instance, counted)
        uncounted = create_app(self._settings.instance, Uncounted())
        page.wsgi_app = DispatcherMiddleware(page.wsgi_app, {"/uncounted": uncounted})  # type: ignore[method-assign]
        return page


if __name__ == "__main__":
    app.Server = BothPages  # type: ignore[misc]
    sys.exit(app.main())
