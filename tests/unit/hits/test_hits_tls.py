# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases that speak TLS only, as managed ones do."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from support.hits_servers import App, Postgres, Redis, directory, running_postgres, running_redis
from support.programs import find_program
from support.waiting import wait_until


@pytest.fixture(scope="module")
def certificates() -> Iterator[Path]:
    """A folder with ca.pem, and with server.pem and server.key, which only the servers' user reads."""
    with directory() as folder:
        openssl = find_program("openssl")
        key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        for command in (
            # Python 3.13 trusts no authority that does not say what its key is for
            f"{openssl} req -x509 {key} -days 2 -subj /CN=ca -addext keyUsage=critical,keyCertSign"
            " -keyout ca.key -out ca.pem",
            f"{openssl} req -x509 {key} -days 2 -subj /CN=server -addext subjectAltName=IP:127.0.0.1"
            " -addext basicConstraints=critical,CA:FALSE -CA ca.pem -CAkey ca.key -keyout server.key -out server.pem",
        ):
            subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
        folder.chmod(0o755)
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(folder / "server.key", account.pw_uid, account.pw_gid)
        yield folder


class TlsRedis(Redis):
    def __init__(self, folder: Path, certificates: Path) -> None:
        super().__init__(folder, durable=True)
        tls = ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
        files = [("cert", "server.pem"), ("key", "server.key"), ("ca-cert", "ca.pem")]
        self.command += tls + [
            word for name, file in files for word in (f"--tls-{name}-file", str(certificates / file))
        ]
        self.url = f"rediss://127.0.0.1:{self.port}/0"
        self.client = redis.Redis.from_url(self.url, ssl_ca_certs=str(certificates / "ca.pem"))


@pytest.fixture(scope="module")
def postgres(certificates: Path) -> Iterator[Postgres]:
    with running_postgres() as server:
        server.stop()
        files = [("ssl_cert_file", "server.pem"), ("ssl_key_file", "server.key")]
        settings = ["ssl=on", *(f"{name}={certificates / file}" for name, file in files)]
        server.command += [word for setting in settings for word in ("-c", setting)]
        (server.directory / "data" / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 trust\n")
        server.start()
        yield server


@pytest.fixture(scope="module")
def cache(certificates: Path) -> Iterator[Redis]:
    with directory() as folder:
        server = TlsRedis(folder, certificates)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def started(folder: Path, database_url: str, redis_url: str, **environ: str) -> App:
    app = App(folder, "app-1", database_url, redis_url)
    app.environ = {**(app.environ or {}), **environ}
    app.start()
    return app


@pytest.mark.parametrize("check", ["sslmode=require", "sslmode=verify-full&sslrootcert={certificates}/ca.pem"])
def test_hits_are_counted_over_tls(postgres: Postgres, cache: Redis, certificates: Path, check: str) -> None:
    url = f"{postgres.url()}?{check.format(certificates=certificates)}"
    cache.client.flushall()
    with directory() as folder:
        app = started(folder, url, cache.url, SSL_CERT_FILE=str(certificates / "ca.pem"))
        try:
            before = app.total()
            assert app.total() == before + 1
            seen = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'hits app-1'"
            assert postgres.query(seen) == [(True,)]
            assert [cache.client.hget(key, "total") for key in cache.client.keys("hits:*")] == [
                str(before + 1).encode()
            ]
        finally:
            app.stop()


def test_redis_whose_certificate_is_not_trusted_is_told_nothing(postgres: Postgres, cache: Redis) -> None:
    cache.client.flushall()
    with directory() as folder:
        app = started(folder, postgres.url(), cache.url)
        try:
            before = app.total()
            assert app.total() == before + 1
            assert cache.client.keys("*") == []
        finally:
            app.stop()


def test_postgresql_without_the_tls_that_is_asked_for_is_not_ready() -> None:
    with running_postgres() as plain, running_redis() as cache, directory() as folder:
        app = started(folder, f"{plain.url()}?sslmode=require", cache.url)
        try:
            wait_until("not ready", lambda: app.get("/readyz").status == 503)
        finally:
            app.stop()
