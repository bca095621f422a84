# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong settings are told in one line that names the variable, shows a right one, and keeps the secret."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hits.settings import Settings, SettingsError

FILES = Path(__file__).resolve().parents[3] / "roles" / "hits" / "files"
GOOD = {
    "DATABASE_URL": "postgresql://hits:s3cret@10.0.0.5:5432/hits",
    "REDIS_URL": "redis://:s3cret@10.0.0.5:6379/0",
    "INSTANCE_ID": "app-1",
}


def test_good_settings_are_read_with_defaults() -> None:
    settings = Settings.from_environ(GOOD)

    assert (settings.instance, settings.port, settings.threads) == ("app-1", 8000, 32)
    assert settings.workers == len(os.sched_getaffinity(0))
    assert settings.database_url == GOOD["DATABASE_URL"]
    assert settings.redis_url == GOOD["REDIS_URL"]
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    "change",
    [
        {"DATABASE_URL": "postgres://hits@db/hits"},
        {"DATABASE_URL": "postgresql://hits:s%20c@[fd00::1]:5432/hits?sslmode=require"},
        {"REDIS_URL": "rediss://10.0.0.5"},
        {"PORT": "1", "THREADS": "256", "WORKERS": "64"},
    ],
)
def test_other_good_settings_are_read(change: dict[str, str]) -> None:
    Settings.from_environ(GOOD | change)


@pytest.mark.parametrize(
    ("variable", "value", "what"),
    [
        ("DATABASE_URL", "", "is not set"),
        ("DATABASE_URL", "mysql://hits:s3cret@db/hits", "does not begin with postgresql://"),
        ("DATABASE_URL", "postgresql://hits:s3cret@/hits", "names no address"),
        ("DATABASE_URL", "postgresql://hits:s3cret@db", "names no database"),
        ("DATABASE_URL", "postgresql://hits:s3cret@db:many/hits", "address or a port"),
        ("DATABASE_URL", "postgresql://hits:s3cret@[db/hits", "address or a port"),
        ("DATABASE_URL", "postgresql://hits:s3cret@db/hits?colour=red", "PostgreSQL understands"),
        ("REDIS_URL", "", "is not set"),
        ("REDIS_URL", "http://:s3cret@cache", "does not begin with redis://"),
        ("REDIS_URL", "redis://", "names no address"),
        ("REDIS_URL", "redis://:s3cret@cache:99999/0", "address or a port"),
        ("REDIS_URL", "redis://:s3cret@cache/first", "not a number"),
        ("INSTANCE_ID", "", "is not set"),
        ("INSTANCE_ID", "app 1", "letters"),
        ("INSTANCE_ID", "a" * 64, "letters"),
        ("PORT", "http", "whole number from 1 to 65535"),
        ("PORT", "65536", "whole number from 1 to 65535"),
        ("WORKERS", "65", "whole number from 1 to 64"),
        ("THREADS", "0", "whole number from 1 to 256"),
    ],
)
def test_wrong_setting_is_told_in_one_line(variable: str, value: str, what: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ(GOOD | {variable: value})

    text = str(caught.value)
    assert text.startswith(f"{variable} ")
    assert what in text
    assert "it must look like " in text
    assert "s3cret" not in text
    assert "\n" not in text


def test_wrong_setting_ends_the_app_before_a_server_starts() -> None:
    environ = {**os.environ, **GOOD, "DATABASE_URL": "postgresql://hits:s3cret@db"}
    done = subprocess.run(
        [sys.executable, "-m", "hits"], cwd=FILES, env=environ, capture_output=True, text=True, timeout=20
    )

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "hits: DATABASE_URL names no database; it must look like postgresql://user:password@address:5432/database\n"
    )
