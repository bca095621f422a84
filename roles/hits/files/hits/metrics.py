# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics for Prometheus, of all workers together if PROMETHEUS_MULTIPROC_DIR names a directory that they share.

prometheus_client reads this variable when it is imported, so set it before you import this module.
"""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = ["BATCH_SIZE", "CONTENT_TYPE", "DATABASE_ERRORS", "REQUESTS", "REQUEST_SECONDS", "SPOOL_LENGTH", "exposition"]

# Not the library's default registry, which reveals the version of Python
_registry = CollectorRegistry()

REQUESTS = Counter(
    "hits_http_requests", "Requests that were answered", ["route", "method", "status"], registry=_registry
)
REQUEST_SECONDS = Histogram(
    "hits_http_request_seconds",
    "Time from a request's arrival at the app to its answer",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
    registry=_registry,
)
BATCH_SIZE = Histogram(
    "hits_batch_size",
    "Hits that one statement recorded",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
    registry=_registry,
)
DATABASE_ERRORS = Counter(
    "hits_database_errors", "Statements and connection attempts that failed", ["database"], registry=_registry
)
SPOOL_LENGTH = Gauge(
    "hits_spool_length",
    "Batches of hits in Redis that wait for PostgreSQL",
    multiprocess_mode="mostrecent",
    registry=_registry,
)
# So that there is a rate before the first error
for _database in ("postgresql", "redis"):
    DATABASE_ERRORS.labels(_database)


def exposition() -> bytes:
    """Return all metrics in Prometheus' text format, whose media type is CONTENT_TYPE."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(_registry)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
