# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The app's pages, and its access log."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Protocol

from flask import Flask, Response, abort, g, jsonify, make_response, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from hits import metrics
from hits.batcher import Figures, NotRecordedError

# Seconds after which a browser may try again
RETRY_AFTER = 2
# The load balancer and the container engine request these all the time
UNLOGGED_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
# A client may send any word as its method, and each would become a separate metric
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class Counter(Protocol):
    """What the pages need from a batcher. Both methods raise NotRecordedError."""

    def hit(self) -> Figures:
        """Count one hit."""

    def check(self) -> None:
        """Return if a hit could be counted."""


def create_app(instance: str, counter: Counter) -> Flask:
    """Return the WSGI app of the instance named `instance`, for use behind exactly one proxy."""
    app = Flask(__name__, static_folder=None)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)  # type: ignore[method-assign]
    style = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    security = {
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }

    def head(mimetype: str) -> Response:
        response = Response(mimetype=mimetype)
        # It would say 0, which is not the page's length
        response.automatically_set_content_length = False
        return response

    @app.get("/")
    def page() -> ResponseReturnValue:
        """Count a hit and show the figures, including that hit. A HEAD does not count."""
        if request.method == "HEAD":
            return head("text/html")
        return render_template("page.html", style=style, instance=instance, figures=counter.hit())

    @app.get("/api/hits")
    def api_hits() -> ResponseReturnValue:
        """Count a hit like the page, and return the same figures as JSON."""
        if request.method == "HEAD":
            return head("application/json")
        figures = counter.hit()
        recent = {"seconds": figures.recent.seconds, "hits": figures.recent.hits}
        return jsonify(
            instance=instance,
            last_day=figures.last_day,
            total=figures.total,
            recent=recent,
            lag=figures.lag or None,
        )

    @app.get("/healthz")
    def healthz() -> ResponseReturnValue:
        """Say that this process is alive. Asks neither PostgreSQL nor Redis."""
        return jsonify(status="ok", instance=instance)

    @app.get("/readyz")
    def readyz() -> ResponseReturnValue:
        """Say whether this instance could record a hit. Does not count."""
        try:
            counter.check()
        except NotRecordedError as error:
            return jsonify(status="unavailable", instance=instance, reason=str(error)), 503
        return jsonify(status="ok", instance=instance)

    @app.get("/metrics")
    def metrics_page() -> ResponseReturnValue:
        """Return the metrics, to Prometheus at the instance's own address; through the proxy there is nothing here."""
        if "X-Forwarded-For" in request.headers:
            abort(404)
        return Response(metrics.exposition(), content_type=metrics.CONTENT_TYPE)

    def failure(status: int, title: str, text: str) -> Response:
        if request.path.startswith("/api/"):
            response = jsonify(instance=instance, error=text)
        else:
            response = make_response(
                render_template("error.html", style=style, instance=instance, title=title, text=text)
            )
        response.status_code = status
        return response

    @app.errorhandler(NotRecordedError)
    def not_recorded(error: NotRecordedError) -> Response:
        text = f"This hit could not be recorded, so there is no total to show: {error}. Please try again."
        response = failure(503, "Not counted", text)
        response.headers["Retry-After"] = str(RETRY_AFTER)
        return response

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        title = "Page not found" if error.code == 404 else error.name
        text = "There is nothing at this address." if error.code == 404 else error.description or error.name
        response = failure(error.code or 500, title, text)
        for name, value in error.get_headers():
            if name not in ("Content-Type", "Content-Length"):
                response.headers[name] = value
        return response

    @app.before_request
    def start_clock() -> None:
        g.started = monotonic()

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers.update(security)
        seconds = monotonic() - g.started
        route = request.url_rule.rule if request.url_rule else "other"
        method = request.method if request.method in METHODS else "other"
        metrics.REQUESTS.labels(route, method, response.status_code).inc()
        metrics.REQUEST_SECONDS.labels(route).observe(seconds)
        if request.path not in UNLOGGED_PATHS or response.status_code >= 400:
            entry = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "instance": instance,
                "client": request.remote_addr,
                "method": request.method,
                "path": request.path[:200],
                "status": response.status_code,
                "ms": round(seconds * 1000, 1),
            }
            # The hit is on record: a container engine that stops, or a full disk, must not turn its page into an error
            with contextlib.suppress(OSError):
                # One write, so that lines of different threads never mix
                sys.stdout.write(json.dumps(entry) + "\n")
                sys.stdout.flush()
        return response

    return app
