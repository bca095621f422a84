# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of the record, and how a database gets them."""

from __future__ import annotations

from typing import Any

import psycopg

# Version n is the nth entry. Never edit one; each must leave the tables usable for the previous release.
MIGRATIONS = (
    """
    CREATE TABLE hits (
        instance text NOT NULL,
        minute timestamptz NOT NULL,
        hits bigint NOT NULL,
        PRIMARY KEY (instance, minute)
    );
    CREATE INDEX hits_minute ON hits (minute);
    CREATE TABLE instances (
        instance text PRIMARY KEY,
        hits bigint NOT NULL,
        told boolean NOT NULL
    );
    """,
    # The last batch of the life that an instance's row is in, and of its earlier lives
    """
    ALTER TABLE instances ADD COLUMN life text, ADD COLUMN batch bigint NOT NULL DEFAULT 0;
    CREATE TABLE lives (
        life text PRIMARY KEY,
        batch bigint NOT NULL
    );
    """,
)

# Any number that nothing else in the database locks
LOCK = 0x68697473


def migrate(db: psycopg.Connection[Any]) -> str:
    """Bring the tables up to date, and return a name that a recreated or restored database would not have.

    All instances may do this, at the same time and repeatedly. `db` must be in autocommit mode. Raise psycopg.Error.
    """
    if _version(db) < len(MIGRATIONS):
        with db.transaction():
            db.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            db.execute(
                "CREATE TABLE IF NOT EXISTS schema_version ("
                "version integer PRIMARY KEY, applied timestamptz NOT NULL DEFAULT clock_timestamp())"
            )
            # Read again: another instance may have held the lock
            version = _version(db)
            for number, statements in enumerate(MIGRATIONS[version:], version + 1):
                db.execute(statements.encode())
                db.execute("INSERT INTO schema_version (version) VALUES (%s)", [number])
    # A dump holds the time, but neither the database's number nor that of the transaction that gave it its name
    row = db.execute(
        "SELECT (extract(epoch FROM applied) * 1000000)::bigint, d.oid, d.xmin "
        "FROM schema_version, pg_database AS d WHERE version = 1 AND datname = current_database()"
    ).fetchone()
    return "-".join(map(str, row)) if row else ""


def _version(db: psycopg.Connection[Any]) -> int:
    exists = db.execute("SELECT to_regclass('schema_version') IS NOT NULL").fetchone()
    if not exists or not exists[0]:
        return 0
    row = db.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()
    return int(row[0]) if row else 0
