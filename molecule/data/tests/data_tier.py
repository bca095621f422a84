# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data tier as the app and its operators meet it."""

from __future__ import annotations

import json
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from support import REPO
from support.service import Service
from testinfra.host import Host

CONVERGE = "molecule/data/converge.yml"
RESTORE = ("playbooks/restore.yml", "--extra-vars", "@molecule/data/vars/postgresql.yml")
BACKUPS = "/var/backups/postgresql"


def secret(name: str) -> str:
    return (REPO / ".secrets" / name).read_text().strip()


def errors(output: str) -> list[str]:
    """What Ansible says is wrong, a line each."""
    return [line for line in output.splitlines() if line.startswith("[ERROR]")]


class DataTier:
    """data-1, the app on app-1, and app-2, which nothing runs on yet."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.app_name, self.fresh_name = service.group("app")
        [self.name] = service.group("postgresql")
        self.host: Host = service.host(self.name)
        self.app: Host = service.host(self.app_name)
        self.address = self.private_address(self.name)
        self.mebibytes = int(self.host.check_output("awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo"))

    def private_address(self, name: str) -> str:
        return str(self.service.hostvars[name]["private_address"])

    def query(self, statement: str, database: str = "hits") -> str:
        """What the superuser is told, a line for each row."""
        return str(self.host.check_output("cd / && runuser -u postgres -- psql -d %s -Atc %s", database, statement))

    def show(self, name: str) -> str:
        return self.query(f"SHOW {name}")

    def started(self) -> str:
        """Changes with a restart, and stays over a reload."""
        return self.query("SELECT pg_postmaster_start_time()")

    def redis(self, *words: str, user: str = "hits", password: str = "redis_password") -> str:
        """What Redis answers, errors included."""
        command = "REDISCLI_AUTH=%s redis-cli -h %s --user %s" + " %s" * len(words)
        done = self.host.run(command, secret(password), self.address, user, *words)
        return str(done.stdout + done.stderr).strip()

    def hit(self) -> tuple[int, int | None]:
        """Make a hit; return the status and the total."""
        url = f"http://{self.private_address(self.app_name)}:8000/api/hits"
        *text, status = self.app.check_output("curl -s -m 10 -w '\\n%%{http_code}' %s", url).split("\n")
        return int(status), json.loads("\n".join(text)).get("total")

    def total(self) -> int:
        """Make a hit and return the total that it was shown."""
        status, total = self.hit()
        assert (status, total is not None) == (200, True), (status, total)
        assert total is not None
        return total

    @contextmanager
    def being_hit(self) -> Iterator[Counter[int]]:
        """Ask the app over and over meanwhile; give the statuses that it answered, and how often."""
        statuses, over = Counter[int](), threading.Event()

        def ask() -> None:
            while not over.is_set():
                statuses[self.hit()[0]] += 1

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield statuses
        finally:
            over.set()
            thread.join()

    def back_up(self) -> str:
        """Back up now; return the dump's name."""
        self.host.check_output("systemctl start postgresql-backup.service")
        return self.dumps()[-1]

    def dumps(self, database: str = "hits") -> list[str]:
        return sorted(name for name in self.host.check_output("ls -A %s", BACKUPS).split() if database in name)

    def psql(self, user: str, database: str, statement: str) -> str:
        """What a user of this scenario is told over the network: the last rows, or an error."""
        code = (
            "import sys, psycopg\n"
            "try:\n"
            "    cursor = psycopg.connect(sys.argv[1], autocommit=True).execute(sys.argv[2])\n"
            "    while cursor.nextset(): pass\n"
            "    print(cursor.fetchall())\n"
            "except psycopg.Error as error: print(error)"
        )
        url = f"postgresql://{user}:of-the-{user}-in-the-lab@{self.address}/{database}"
        return str(self.app.check_output("docker exec hits python3 -c %s %s %s", code, url, statement))

    def play(self, *arguments: str) -> str:
        """Run a playbook that must succeed; return what it printed."""
        done = self.service.play(*arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def converge(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Configure PostgreSQL anew."""
        return self.service.play(CONVERGE, "--limit", "postgresql", "--tags", "postgresql", *arguments)

    def inventory(self, folder: Path, groups: dict[str, str]) -> list[str]:
        """The arguments for another inventory of the same droplets, by group."""
        names = set(groups.values())
        hosts = {
            name: {"ansible_host": self.service.public_address(name), "private_address": self.private_address(name)}
            for name in names
        }
        children = {group: {"hosts": {name: hosts[name]}} for group, name in groups.items()}
        folder.mkdir(exist_ok=True)
        (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": children}}))
        (folder / "group_vars").symlink_to(REPO / "inventory" / "group_vars")
        secrets, cache = REPO / ".secrets", REPO / ".cache"
        return [
            *("--inventory", str(folder / "hosts.yml")),
            *("--extra-vars", f"scaleout_secrets_dir={secrets} hits_cache_dir={cache}"),
        ]
