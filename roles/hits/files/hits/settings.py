# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The app's settings from the environment, checked before anything else happens."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

DATABASE_EXAMPLE = "postgresql://user:password@address:5432/database"
REDIS_EXAMPLE = "redis://:password@address:6379/0"


class SettingsError(Exception):
    """An environment variable is missing or wrong. The text is one line without secrets."""


@dataclass(frozen=True)
class Settings:
    """The checked environment. Its repr leaves out both URLs, because they contain passwords."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    instance: str
    port: int = 8000
    workers: int = 1
    threads: int = 32

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings. Raise SettingsError for the first variable that is missing or malformed."""
        return cls(
            database_url=_database_url(environ),
            redis_url=_redis_url(environ),
            instance=_instance(environ),
            port=_number(environ, "PORT", cls.port, 65535),
            # One for each CPU that the app may use
            workers=_number(environ, "WORKERS", min(len(os.sched_getaffinity(0)), 64), 64),
            threads=_number(environ, "THREADS", cls.threads, 256),
        )


def _required(environ: Mapping[str, str], name: str, example: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set; it must look like {example}")
    return value


def _wrong(name: str, what: str, example: str) -> SettingsError:
    return SettingsError(f"{name} {what}; it must look like {example}")


def _split(name: str, value: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    try:
        url = urlsplit(value)
        # Both are parsed only when they are asked for
        for part in ("hostname", "port"):
            getattr(url, part)
    except ValueError:
        raise _wrong(name, "has an address or a port that is not valid", example) from None
    if url.scheme not in schemes:
        raise _wrong(name, f"does not begin with {' or '.join(f'{scheme}://' for scheme in schemes)}", example)
    return url


def _database_url(environ: Mapping[str, str]) -> str:
    name, example = "DATABASE_URL", DATABASE_EXAMPLE
    value = _required(environ, name, example)
    url = _split(name, value, ("postgresql", "postgres"), example)
    if not url.hostname and "host=" not in url.query:
        raise _wrong(name, "names no address", example)
    if not url.path.strip("/"):
        raise _wrong(name, "names no database", example)
    try:
        conninfo_to_dict(value)
    except psycopg.Error:
        # libpq's message quotes the URL, and so the password
        raise _wrong(name, "is not a connection URL that PostgreSQL understands", example) from None
    return value


def _redis_url(environ: Mapping[str, str]) -> str:
    name, example = "REDIS_URL", REDIS_EXAMPLE
    value = _required(environ, name, example)
    url = _split(name, value, ("redis", "rediss"), example)
    if not url.hostname:
        raise _wrong(name, "names no address", example)
    if not re.fullmatch(r"(/[0-9]*)?", url.path):
        raise _wrong(name, "has a database that is not a number", example)
    return value


def _instance(environ: Mapping[str, str]) -> str:
    value = _required(environ, "INSTANCE_ID", "app-1")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", value):
        raise _wrong("INSTANCE_ID", "is not 1 to 63 letters, digits, dots, hyphens and underscores", "app-1")
    return value


def _number(environ: Mapping[str, str], name: str, default: int, largest: int) -> int:
    value = environ.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,5}", value) or not 1 <= int(value) <= largest:
        raise _wrong(name, f"is not a whole number from 1 to {largest}", str(default))
    return int(value)
