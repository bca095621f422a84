# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long `ansible-inventory --graph` takes: this plugin, a static file of the same hosts, and other plugins.

All ask one simulated API on this machine, in turn and several times; what is printed is the median of each, and how it
compares with the static file. Before that, each must have shown the same hosts.

The plugins of community.digitalocean and digitalocean.cloud take part if they are installed: where the user's
collections are, or in --collections, a folder that holds ansible_collections/. The Python package `ansible` 12 carries
community.digitalocean:

    pip download --no-deps ansible==12.3.0
    unzip -q ansible-12.3.0-*.whl 'ansible_collections/community/digitalocean/*' -d peers
    make bench-inventory ARGS='--collections peers'
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from droplets_api import droplet

REPO = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
OWN = "alphacoder.scaleout.droplets"
CERTIFICATE = "certificate.pem"
COMMUNITY = "community.digitalocean.digitalocean"
CLOUD = "digitalocean.cloud.droplets"
# The first public address; the private one comes first in the API's own example
PUBLIC = "networks.v4 | selectattr('type', 'eq', 'public') | map(attribute='ip_address') | first"


@dataclass(frozen=True)
class Contender:
    """One way to have the hosts; `inventory` is its file, and the plugin that reads it."""

    label: str
    plugin: str
    inventory: Path
    warm: bool = False


def static_file(droplets: int) -> str:
    """An INI file: six variables a host, and the groups by tag and region that the plugins make."""
    groups: dict[str, list[str]] = {}
    lines = []
    for one in map(droplet, range(1, droplets + 1)):
        private, public = (entry["ip_address"] for entry in one["networks"]["v4"])
        lines.append(
            f"{one['name']} ansible_host={public} do_id={one['id']} do_region={one['region']['slug']} "
            f"do_size={one['size_slug']} do_private_ipv4={private} do_status={one['status']}"
        )
        for group in [*one["tags"], one["region"]["slug"]]:
            groups.setdefault(group.replace(":", "_"), []).append(one["name"])
    for group, hosts in groups.items():
        lines += ["", f"[{group}]", *hosts]
    return "\n".join(lines) + "\n"


def keyed_groups(tags: str, region: str) -> list[dict[str, str]]:
    """Two of Ansible's keyed groups, named like those that group_by makes."""
    return [{"key": key, "prefix": "", "separator": ""} for key in (tags, region)]


def contenders(folder: Path, url: str, droplets: int, installed: set[str]) -> list[Contender]:
    """Write each one's file into the folder."""
    static = folder / "static.ini"
    static.write_text(static_file(droplets))

    def config(label: str, name: str, options: dict[str, t.Any], *, warm: bool = False) -> Contender:
        path = folder / label.replace(" ", "-").replace(",", "") / f"{name}.yml"
        path.parent.mkdir()
        path.write_text(json.dumps(options, indent=2))
        return Contender(label, options["plugin"], path, warm)

    own = {"plugin": OWN, "api_url": url}
    cache = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(folder / "cache")}
    community = {
        "plugin": COMMUNITY,
        "baseurl": url,
        "attributes": ["id", "name", "networks", "region", "size_slug", "tags"],
        "compose": {"ansible_host": f"do_{PUBLIC}"},
        "keyed_groups": keyed_groups("do_tags", "do_region.slug"),
    }
    cloud = {
        "plugin": CLOUD,
        "client_override_options": {"endpoint": url.removesuffix("/v2")},
        "attributes": ["id", "name", "networks", "region", "size_slug", "tags"],
        "compose": {"ansible_host": PUBLIC},
        "keyed_groups": keyed_groups("do_tags", "region.slug"),
    }
    found = [
        Contender("static INI file", "ini", static),
        config("droplets", "digitalocean", own),
        config("droplets, warm cache", "digitalocean", {**own, **cache}, warm=True),
        config(
            "droplets, compose and 2 keyed_groups",
            "digitalocean",
            {
                **own,
                "group_by": [],
                "compose": {"ansible_host": "do_public_ipv4 or do_private_ipv4"},
                "keyed_groups": keyed_groups("do_tags", "do_region"),
            },
        ),
    ]
    if COMMUNITY in installed:
        found.append(config("community.digitalocean", "digitalocean", community))
    if CLOUD in installed:
        found.append(config("digitalocean.cloud", "digitalocean", cloud))
    return found


def make_certificate(folder: Path) -> Path:
    """A key and a certificate for the simulated API, in one file."""
    if not shutil.which("openssl"):
        sys.exit("error: this needs the command openssl, to make a certificate for the simulated API: install it")
    path = folder / CERTIFICATE
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    done = subprocess.run([*command, "-keyout", str(path), "-out", "-"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: openssl made no certificate: {done.stderr.strip()}")
    with path.open("a") as file:
        file.write(done.stdout)
    return path


def environment(folder: Path, collections: Path | None, plugin: str = "ini") -> dict[str, str]:
    """Nothing of the user's Ansible settings, except for where collections are."""
    paths = [str(REPO / ".build" / "collections")]
    paths += [str(collections.resolve())] if collections else []
    paths += [path for path in (os.environ.get("ANSIBLE_COLLECTIONS_PATH"), "~/.ansible/collections") if path]
    return {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", str(folder)),
        "LANG": "C.UTF-8",
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": ":".join(paths),
        "ANSIBLE_INVENTORY_ENABLED": plugin,
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
        # community.digitalocean would otherwise keep the colon of a tag in the group's name
        "ANSIBLE_TRANSFORM_INVALID_GROUP_CHARS": "silently",
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "SSL_CERT_FILE": str(folder / CERTIFICATE),
        "REQUESTS_CA_BUNDLE": str(folder / CERTIFICATE),
        "DIGITALOCEAN_TOKEN": "benchmark",
        "DO_API_TOKEN": "benchmark",
    }


def installed_plugins(folder: Path, collections: Path | None) -> set[str]:
    """Those of the others' plugins that Ansible finds."""
    asked = ["ansible-doc", "--type", "inventory", "--json", COMMUNITY, CLOUD]
    done = subprocess.run(asked, env=environment(folder, collections), capture_output=True, text=True)
    try:
        return {name for name, found in json.loads(done.stdout).items() if "doc" in found}
    except ValueError:
        return set()


def measure(contender: Contender, environment: dict[str, str], patience: float) -> tuple[float, str]:
    """Run it once: seconds, and what it showed. TimeoutError if it takes longer than the patience."""
    command = ["ansible-inventory", "-i", str(contender.inventory), "--graph"]
    start = time.monotonic()
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=patience)
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    seconds = time.monotonic() - start
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()
        sys.exit(f"error: {contender.label} does not run here: {said[-1]}")
    return seconds, done.stdout


def memberships(graph: str) -> set[tuple[str, str]]:
    """Each (group, host) of a graph; the groups of all these inventories have no children but hosts."""
    found, group = set(), ""
    for line in graph.splitlines():
        name = line.lstrip(" |-")
        if name.startswith("@"):
            group = name[1:].rstrip(":")
        else:
            found.add((group, name))
    return found


def compare(droplets: int, arguments: argparse.Namespace) -> None:
    """Measure all of them at one size, in turn, and print their medians."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ansible.cfg").touch()
        command = [sys.executable, str(REPO / "benchmarks" / "droplets_api.py"), "--droplets", str(droplets)]
        command += ["--latency", str(arguments.latency / 1000), "--certificate", str(make_certificate(folder))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout
                url = server.stdout.readline().strip()
                found = contenders(folder, url, droplets, installed_plugins(folder, arguments.collections))
                times: dict[str, list[float]] = {contender.label: [] for contender in found}
                gone = run_all(found, folder, arguments, times)
            finally:
                server.terminate()
    print(f"\n{droplets:,} droplets, {arguments.latency:g} ms a request")
    print(f"  {'':<38}{'median s':>10}{'lowest':>9}{'highest':>9}{'x static':>10}")
    static = statistics.median(times["static INI file"])
    for label, seconds in times.items():
        if label in gone:
            print(f"  {label:<38}{f'> {arguments.patience:g}':>10}")
            continue
        median = statistics.median(seconds)
        print(f"  {label:<38}{median:>10.2f}{min(seconds):>9.2f}{max(seconds):>9.2f}{median / static:>10.2f}")
    sys.stdout.flush()


def run_all(
    found: list[Contender], folder: Path, arguments: argparse.Namespace, times: dict[str, list[float]]
) -> set[str]:
    """Fill in the times; returns those that took longer than the patience."""
    gone: set[str] = set()
    wanted: set[tuple[str, str]] = set()
    # The first round warms the machine's caches and the plugin's own, and is not counted
    for counted in range(arguments.runs + 1):
        for contender in found:
            if contender.label in gone or (not counted and contender.plugin in (COMMUNITY, CLOUD)):
                continue
            try:
                seconds, graph = measure(
                    contender, environment(folder, arguments.collections, contender.plugin), arguments.patience
                )
            except TimeoutError:
                gone.add(contender.label)
                continue
            shown = memberships(graph)
            wanted = wanted or shown
            if shown != wanted:
                sys.exit(f"error: {contender.label} shows other hosts or groups than the static file")
            if counted:
                times[contender.label].append(seconds)
    return gone


def main() -> None:
    """Measure as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--droplets", type=int, nargs="+", default=[100, 1000, 10_000], metavar="N", help="default: 100 1000 10000")
    add("--latency", type=float, default=200, metavar="MS", help="of each request; default: 200")
    add("--runs", type=int, default=5, metavar="N", help="how often each is run; default: 5")
    add("--patience", type=float, default=120, metavar="S", help="a run that takes longer is given up; default: 120")
    add("--collections", type=Path, metavar="PATH", help="where other plugins' collections are")
    arguments = parser.parse_args()
    core = subprocess.run([BIN / "ansible", "--version"], capture_output=True, text=True).stdout.split("\n")[0]
    print(f"{time.strftime('%Y-%m-%d')}, {core}, Python {platform.python_version()}, {os.cpu_count()} cores")
    for droplets in arguments.droplets:
        compare(droplets, arguments)


if __name__ == "__main__":
    main()
