# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data tier does what its settings say, and what it keeps comes back."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from data_tier import BACKUPS, CONVERGE, RESTORE, DataTier, errors, secret
from support.service import LOG
from support.waiting import wait_until

# --- PostgreSQL ---


def test_memory_is_shared_out_by_the_formula(data: DataTier) -> None:
    # Redis has its part of the host
    memory = data.mebibytes * 75 // 100
    buffers = min(memory // 4, 16384)
    sizes = {
        "shared_buffers": buffers,
        "effective_cache_size": memory * 3 // 4,
        "maintenance_work_mem": min(memory // 16, 2048),
        "work_mem": max(4, (memory - buffers) // (3 * 60)),
    }
    shown = data.query("SELECT name, pg_size_bytes(current_setting(name)) >> 20 FROM pg_settings WHERE unit ~ 'B'")
    found = dict(line.split("|") for line in shown.splitlines())
    assert {name: int(found[name]) for name in sizes} == sizes


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data_checksums", "on"),
        ("wal_level", "replica"),
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("password_encryption", "scram-sha-256"),
        ("max_connections", "60"),
        ("log_min_duration_statement", "5s"),
        ("random_page_cost", "1.1"),
        ("jit", "off"),
    ],
)
def test_settings_are_as_asked(data: DataTier, name: str, value: str) -> None:
    assert data.show(name) == value


def test_owner_is_no_superuser(data: DataTier) -> None:
    rights = "rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolpassword LIKE 'SCRAM-SHA-256$%'"
    assert data.query(f"SELECT {rights} FROM pg_authid WHERE rolname = 'hits'") == "f|f|f|f|f|t"
    assert data.query("SELECT datdba::regrole FROM pg_database WHERE datname = 'hits'") == "hits"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"user": "postgres"}, 'no pg_hba.conf entry for host "{client}", user "postgres"'),
        ({"dbname": "postgres"}, 'user "hits", database "postgres"'),
        ({"password": "wrong"}, 'password authentication failed for user "hits"'),
        ({"host": "{public}"}, "Connection refused"),
    ],
)
def test_outsiders_are_refused(data: DataTier, change: dict[str, str], says: str) -> None:
    public = data.service.public_address(data.name)
    change = {name: value.format(public=public) for name, value in change.items()}
    code = (
        "import os, sys, psycopg\n"
        "try: psycopg.connect(os.environ['DATABASE_URL'], **eval(sys.argv[1]))\n"
        "except psycopg.OperationalError as error: print(error)"
    )
    told = data.app.check_output("docker exec hits python3 -c %s %s", code, repr(change))
    assert says.format(client=data.private_address(data.app_name)) in told


def test_app_is_connected_over_tls(data: DataTier) -> None:
    data.total()
    seen = "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'hits'"
    assert data.query(seen) == "t"


@pytest.fixture
def settings_as_they_were(data: DataTier) -> Iterator[None]:
    yield
    done = data.converge()
    assert done.returncode == 0, done.stdout


@pytest.mark.usefixtures("settings_as_they_were")
def test_only_what_needs_a_restart_restarts(data: DataTier) -> None:
    before = data.started()
    file = data.host.file(f"/etc/postgresql/{data.show('server_version').split('.')[0]}/main/conf.d/scaleout.conf")
    done = data.converge("--extra-vars", "postgresql_work_mem=9MB")
    assert (done.returncode, data.show("work_mem"), data.started()) == (0, "9MB", before), done.stdout

    # PostgreSQL's own words, and nothing changed
    content = file.content_string
    done = data.converge("--extra-vars", str({"postgresql_settings": {"wrok_mem": "1MB"}}))
    assert done.returncode != 0
    assert 'unrecognized configuration parameter "wrok_mem"' in done.stdout
    assert file.content_string == content

    done = data.converge("--extra-vars", str({"postgresql_settings": {"max_worker_processes": 9}}))
    assert (done.returncode, data.show("max_worker_processes")) == (0, "9"), done.stdout
    assert data.started() != before


@pytest.mark.usefixtures("settings_as_they_were")
def test_cluster_without_checksums_is_given_some_only_when_told(data: DataTier) -> None:
    version = data.show("server_version").split(".")[0]
    unit = f"postgresql@{version}-main"
    program = f"/usr/lib/postgresql/{version}/bin/pg_checksums --disable --pgdata /var/lib/postgresql/{version}/main"
    data.host.check_output(f"systemctl stop {unit} && runuser --user postgres -- {program} && systemctl start {unit}")
    done = data.converge()
    assert done.returncode != 0
    assert "was made without data checksums" in done.stdout
    assert data.show("data_checksums") == "off"

    told = {"postgresql_enable_checksums": True, "postgresql_backup_enabled": False}
    done = data.converge("--extra-vars", json.dumps(told))
    assert (done.returncode, data.show("data_checksums")) == (0, "on"), done.stdout
    assert not data.host.service("postgresql-backup.timer").is_running


def test_files_that_an_interrupted_run_left_unread_are_read_by_the_next_one(data: DataTier) -> None:
    def since() -> dict[str, str]:
        """When each server read its files."""
        shown = "systemctl show --property=StateChangeTimestamp --value --timestamp=us %s"
        return {
            "postgresql": data.query("SELECT pg_conf_load_time()"),
            "redis": data.host.check_output(shown, "redis-server"),
            "docker": data.app.check_output(shown, "docker"),
        }

    version = data.show("server_version").split(".")[0]
    tags = ",".join(since())
    # As if it had ended between writing a file and its handler
    data.host.check_output("touch /etc/redis/users.conf /etc/postgresql/%s/main/pg_hba.conf", version)
    data.app.check_output("touch /etc/docker/daemon.json")
    before, started = since(), data.started()
    data.play(CONVERGE, "--tags", tags)
    after = since()
    assert [name for name in before if before[name] == after[name]] == []
    assert data.started() == started

    data.play(CONVERGE, "--tags", tags)
    assert since() == after


# --- More databases and users ---


def test_databases_are_as_asked(data: DataTier) -> None:
    facts = "SELECT datname, datdba::regrole, datcollate, datctype, pg_encoding_to_char(encoding) FROM pg_database"
    locale = "de_DE.UTF-8|de_DE.UTF-8|UTF8"
    assert data.query(f"{facts} WHERE datname IN ('hits', 'wiki', 'metrics') ORDER BY 1").splitlines() == [
        f"hits|hits|{locale}",
        f"metrics|hits|{locale}",
        f"wiki|wiki|{locale}",
    ]
    assert data.query("SELECT string_agg(word, '' ORDER BY word) FROM unnest('{a,ä,z}'::text[]) AS word") == "aäz"
    extensions = "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1"
    assert data.query(extensions).split() == ["cube", "earthdistance", "pgrowlocks"]
    assert data.query(extensions, "wiki") == "pg_trgm"


@pytest.mark.parametrize(
    ("user", "database", "statement", "says"),
    [
        ("reports", "hits", "SELECT count(*) > 0 FROM instances", "[(True,)]"),
        ("reports", "hits", "DELETE FROM instances RETURNING 1", "permission denied for table instances"),
        ("reports", "wiki", "SELECT 1", 'user "reports", database "wiki"'),
        ("wiki", "wiki", "CREATE TABLE IF NOT EXISTS page (name text); SELECT 2", "[(2,)]"),
        ("wiki", "hits", "SELECT 1", 'user "wiki", database "hits"'),
        (
            "wiki",
            "wiki",
            "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = 'wiki'",
            "False",
        ),
    ],
)
def test_users_may_do_what_was_said(data: DataTier, user: str, database: str, statement: str, says: str) -> None:
    data.total()
    assert says in data.psql(user, database, statement)


def test_passwords_of_users_are_said_nowhere(data: DataTier) -> None:
    assert "-in-the-lab" not in LOG.read_text()


@pytest.mark.usefixtures("settings_as_they_were")
def test_own_lines_of_pg_hba_hold_and_wrong_ones_never_arrive(data: DataTier) -> None:
    def with_lines(*lines: str) -> str:
        return data.converge("--extra-vars", json.dumps({"postgresql_hba": lines})).stdout

    version = data.show("server_version").split(".")[0]
    file = data.host.file(f"/etc/postgresql/{version}/main/pg_hba.conf")
    with_lines("local all all reject", "host all reports all reject")
    assert "pg_hba.conf rejects connection" in data.psql("reports", "hits", "SELECT 1")
    assert data.psql("wiki", "wiki", "SELECT 1") == "[(1,)]"

    content = file.content_string
    assert 'invalid authentication method "scram"' in with_lines("host all reports all scram")
    assert file.content_string == content
    assert data.host.run("ls /etc/postgresql/%s/main/pg_hba.former", version).rc != 0


def test_locale_of_a_database_is_never_changed(data: DataTier) -> None:
    done = data.converge("--extra-vars", "postgresql_locale=C.UTF-8")
    assert done.returncode != 0
    assert "postgresql_locale is C.UTF-8, but on data-1 the database hits has de_DE.UTF-8" in done.stdout
    assert data.query("SELECT datcollate FROM pg_database WHERE datname = 'hits'") == "de_DE.UTF-8"


def test_locale_that_there_is_not_is_refused(data: DataTier) -> None:
    unknown = {"postgresql_locale": "de_XX.UTF-8", "postgresql_database": "nowhere", "postgresql_databases": []}
    done = data.converge("--extra-vars", json.dumps(unknown | {"postgresql_users": []}))
    assert done.returncode != 0
    assert "postgresql_locale is de_XX.UTF-8, which this distribution does not know" in done.stdout


@pytest.mark.usefixtures("settings_as_they_were")
def test_locale_that_the_server_did_not_know_is_there_for_every_database_it_makes(data: DataTier) -> None:
    data.host.check_output("sed -i /fr_FR/d /etc/locale.gen && locale-gen 2>&1")
    french = {"postgresql_locale": "fr_FR.UTF-8", "postgresql_database": "elsewhere", "postgresql_databases": []}
    try:
        done = data.converge("--extra-vars", json.dumps(french | {"postgresql_users": []}))
        assert done.returncode == 0, done.stdout
        assert data.query("SELECT datcollate FROM pg_database WHERE datname = 'elsewhere'") == "fr_FR.UTF-8"
    finally:
        data.query("DROP DATABASE IF EXISTS elsewhere", "postgres")


# --- Backups ---


def test_every_database_is_backed_up_and_restored_by_its_name(data: DataTier) -> None:
    data.psql("wiki", "wiki", "CREATE TABLE IF NOT EXISTS page (name text); SELECT 1")
    data.psql("wiki", "wiki", "TRUNCATE page; INSERT INTO page VALUES ('start') RETURNING 1")
    data.back_up()
    assert [bool(data.dumps(name)) for name in ("hits", "wiki", "metrics")] == [True] * 3
    data.psql("wiki", "wiki", "DELETE FROM page RETURNING 1")
    total = data.total()

    data.play(*RESTORE, "--extra-vars", "postgresql_restore_database=wiki postgresql_restore_overwrite=yes")
    assert data.psql("wiki", "wiki", "SELECT name FROM page") == "[('start',)]"
    assert data.query("SELECT extname FROM pg_extension WHERE extname = 'pg_trgm'", "wiki") == "pg_trgm"
    assert data.query("SELECT datcollate FROM pg_database WHERE datname = 'wiki'") == "de_DE.UTF-8"
    assert data.total() == total + 1

    done = data.service.play(*RESTORE, "--extra-vars", "postgresql_restore_database=nowhere")
    assert "postgresql_restore_database is 'nowhere', which is neither postgresql_database nor in" in done.stdout


def test_backup_keeps_its_days_and_nothing_of_its_own_failures(data: DataTier) -> None:
    old = "hits-20200101T040000Z.dump"
    young = "hits-20200102T040000Z.dump"
    data.host.check_output(
        "touch -d '4 days ago' %s && touch -d '2 days ago' %s", f"{BACKUPS}/{old}", f"{BACKUPS}/{young}"
    )
    override = "/run/systemd/system/postgresql-backup.service.d"
    failing = "[Service]\nEnvironment=BACKUP_DATABASES=nowhere\n"
    data.host.check_output(
        "mkdir -p %s && printf %s >%s && systemctl daemon-reload", override, failing, f"{override}/x.conf"
    )
    before = data.dumps()
    try:
        assert data.host.run("systemctl start postgresql-backup.service").rc != 0
        assert data.host.check_output("systemctl is-failed postgresql-backup.service") == "failed"
        assert data.dumps() == before
    finally:
        data.host.check_output("rm -r %s && systemctl daemon-reload", override)

    made = data.back_up()
    assert set(data.dumps()) == {*before, made} - {old}
    assert data.host.file(f"{BACKUPS}/{made}").mode == 0o600
    data.host.check_output("rm %s", f"{BACKUPS}/{young}")
    assert data.host.file(BACKUPS).mode == 0o700
    times = data.host.check_output("systemctl show --property=TimersCalendar --value postgresql-backup.timer")
    assert "OnCalendar=*-*-* 04:00:00" in times
    assert data.host.check_output("systemctl is-enabled postgresql-backup.timer") == "enabled"


# --- Restore ---


def test_restore_brings_back_the_total_while_the_app_is_in_use(data: DataTier) -> None:
    total = data.total()
    dump = data.back_up()
    for number in range(1, 6):
        assert data.total() == total + number
    with data.being_hit() as statuses:
        told = data.play(*RESTORE, "--extra-vars", "postgresql_restore_overwrite=yes")
    # Those that came between the swap and the end are on top of it
    assert set(statuses) == {200}
    assert f"Restored {BACKUPS}/{dump}" in told

    asked = data.query("SELECT sum(hits) FROM instances")
    assert total <= int(asked) <= total + statuses[200]
    assert data.total() == int(asked) + 1
    assert data.total() == int(asked) + 2
    assert int(data.query("SELECT sum(hits) FROM instances", "hits_replaced")) >= total + 5


@pytest.fixture
def dumps(data: DataTier, tmp_path: Path) -> Path:
    """A file that is half a dump, and a dump that can't be restored."""
    make = (
        "cd / && runuser -u postgres -- sh -c 'dropdb --if-exists odd && createdb odd && "
        'psql -qd odd -c "CREATE EXTENSION pageinspect" && pg_dump -Fc odd && dropdb odd\' | base64 -w0'
    )
    odd = base64.b64decode(data.host.check_output(make))
    (tmp_path / "odd.dump").write_bytes(odd)
    (tmp_path / "short.dump").write_bytes(odd[: len(odd) // 2])
    return tmp_path


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ("", "holds data. To put the dump in its place, add -e postgresql_restore_overwrite=yes"),
        ("postgresql_restore_dump=hits-1.dump", "has no dump /var/backups/postgresql/hits-1.dump"),
        ("postgresql_restore_file=/nowhere", "this machine has no such file"),
        ("postgresql_restore_file=/x postgresql_restore_dump=y", "not both"),
        ("postgresql_restore_file={folder}/short.dump postgresql_restore_overwrite=yes", "is not a whole dump"),
        ("postgresql_restore_file={folder}/odd.dump postgresql_restore_overwrite=yes", "is as it was"),
    ],
)
def test_restore_that_cannot_be_done_changes_nothing(data: DataTier, dumps: Path, variables: str, says: str) -> None:
    if not data.dumps():
        data.back_up()
    before = data.total()
    done = data.service.play(*RESTORE, "--extra-vars", variables.format(folder=dumps))

    assert done.returncode != 0
    assert [says in error for error in errors(done.stdout)] == [True], done.stdout
    assert data.total() == before + 1
    assert data.query("SELECT count(*) FROM pg_database WHERE datname ~ 'restoring'") == "0"
    assert not data.host.file("/var/lib/postgresql/restore.dump").exists


# --- Redis ---


@pytest.mark.parametrize(
    "words",
    ["FLUSHALL", "FLUSHDB", "CONFIG GET maxmemory", "SHUTDOWN", "KEYS *", "ACL LIST", "SAVE", "MONITOR", "CLIENT LIST"],
)
def test_app_may_not_harm_redis(data: DataTier, words: str) -> None:
    assert "NOPERM" in data.redis(*words.split())


def test_other_users_of_redis_may_do_what_was_said(data: DataTier) -> None:
    def redis(*words: str) -> str:
        url = f"redis://reports:of-the-reports-in-the-lab@{data.address}"
        return str(data.host.run("redis-cli --no-auth-warning -u %s" + " %s" * len(words), url, *words).stdout)

    assert "NOPERM" not in redis("GET", "hits:nothing")
    assert "NOPERM" in redis("GET", "other")
    assert "NOPERM" in redis("SET", "hits:nothing", "1")


def test_redis_keeps_what_it_is_given(data: DataTier) -> None:
    def config(name: str) -> str:
        return data.redis("CONFIG", "GET", name, user="default", password="redis_admin_password").split("\n")[-1]

    assert config("appendonly") == "yes"
    assert config("appendfsync") == "everysec"
    assert config("maxmemory-policy") == "noeviction"
    assert int(config("maxmemory")) == max(64, data.mebibytes * 15 // 100) << 20
    assert "vm.overcommit_memory = 1" in data.host.file("/etc/sysctl.d/60-redis.conf").content_string


def test_pages_go_on_while_redis_has_no_memory(data: DataTier) -> None:
    def limit(size: str) -> str:
        return data.redis("CONFIG", "SET", "maxmemory", size, user="default", password="redis_admin_password")

    before = data.total()
    assert limit("1") == "OK"
    try:
        assert "OOM" in data.redis("SET", "x", "1")
        assert [data.total() for _ in range(4)] == [before + number for number in range(1, 5)]
    finally:
        limit(f"{data.mebibytes * 15 // 100}mb")
    assert data.total() == before + 5


def test_hits_outlive_postgresql_and_a_restart_of_redis(data: DataTier) -> None:
    before = data.total()
    data.host.check_output("systemctl stop 'postgresql@*'")
    try:
        assert [data.hit()[0] for _ in range(3)] == [200] * 3
        data.host.check_output("systemctl restart redis-server")
    finally:
        data.host.check_output("systemctl start postgresql@$(ls /etc/postgresql)-main")
    wait_until("an empty spool", lambda: data.redis("LLEN", "hits:spool:hits") == "0")
    wait_until("figures again", lambda: data.hit()[1])
    record = int(data.query("SELECT sum(hits) FROM instances"))
    assert record >= before + 4
    assert data.total() == record + 1


# --- Elsewhere ---


def test_restore_to_a_fresh_droplet_gives_the_same_total(data: DataTier, tmp_path: Path) -> None:
    total = data.total()
    dump = tmp_path / "hits.dump"
    dump.write_bytes(base64.b64decode(data.host.check_output("base64 -w0 %s", f"{BACKUPS}/{data.back_up()}")))
    data.total()
    groups = {"app": data.app_name, "postgresql": data.fresh_name, "redis": data.name}
    inventory = data.inventory(tmp_path / "inventory", groups)
    # A former run of the tests may have left a database
    data.service.host(data.fresh_name).run("cd / && runuser -u postgres -- dropdb --if-exists --force hits")
    data.play(*inventory, CONVERGE, "--limit", "postgresql")
    # Nothing is there yet, so nothing has to be said twice
    data.play(*inventory, *RESTORE, "--extra-vars", f"postgresql_restore_file={dump}")
    data.play(*inventory, CONVERGE, "--limit", "app")
    assert data.total() == total + 1


def test_managed_databases_take_the_place_of_the_groups(data: DataTier, tmp_path: Path) -> None:
    database = f"postgresql://hits:{secret('postgresql_password')}@{data.address}:5432/hits?sslmode=require"
    redis = f"redis://hits:{secret('redis_password')}@{data.address}:6379/0"
    inventory = data.inventory(tmp_path / "inventory", {"app": data.app_name})
    data.play(*inventory, CONVERGE, "--extra-vars", str({"app_env": {"DATABASE_URL": database, "REDIS_URL": redis}}))
    record = int(data.query("SELECT sum(hits) FROM instances"))
    assert data.total() == record + 1
