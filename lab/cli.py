# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line: `python -m lab up | down | status | image`."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from lab import checks, daemons, images, state
from lab.droplets import Settings
from lab.engine import Engine
from lab.errors import LabError
from lab.state import SHARED, Lab

_AT_ONCE = ("debian-13-x64", images.PYTHON)


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        checks.is_root()
        options.run(options)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; `python -m lab up` carries on from here", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lab", description="Droplets on this machine, behind a DigitalOcean API v2 subset on loopback."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: object, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    up = add("up", _up, "make the lab stand; safe and quick to run again")
    down = add("down", _down, "remove the lab: its droplets, networks, service and state folder")
    add("status", _status, "list labs and their droplets")
    image = add("image", _image, "build one image now, if it is missing")
    for command in (up, down):
        command.add_argument("--name", choices=state.NAMES, default="demo", help="which lab (default: %(default)s)")
    down.add_argument("--all", action="store_true", help="all labs, their images, and the engine if a lab started it")
    image.add_argument("slug", choices=sorted(images.RECIPES), help="which image")
    return parser


def _up(options: argparse.Namespace) -> None:
    engine = Engine()
    lab = state.lab(options.name)
    # The service reads them again: here, a wrong one is one line and not a log's
    Settings.read(os.environ)
    _prepare(engine)
    standing = engine.networks(lab.name)
    if not standing:
        checks.disk_is_free(engine)
    for kind, subnet in (("public", lab.public), ("private", lab.private)):
        if lab.network(kind) not in standing:
            checks.subnet_is_free(subnet, f"LAB_{kind.upper()}")
    # Here, too, because building takes half a minute
    daemons.port_is_free(lab)
    _build(engine, [slug for slug in _AT_ONCE if not images.is_built(engine, slug)])
    with state.locked(lab.name):
        standing = engine.networks(lab.name)
        for kind in ("public", "private"):
            if lab.network(kind) not in standing:
                with _step(f"{kind} network"):
                    engine.create_network(lab, kind, checks.mtu())
        state.keep_networks(lab)
        if not daemons.service_runs(lab):
            with _step(f"API at {lab.url}"):
                daemons.start_service(lab)
        _register_key(lab)
        state.write_env(lab, images.RECIPES[images.PYTHON].image, images.PYTHON_ARCHIVE)


def _prepare(engine: Engine) -> None:
    checks.commands_exist(engine)
    if not engine.answers():
        with state.locked("engine"):
            if not engine.answers():
                with _step("container engine"):
                    daemons.start_engine(engine)


def _build(engine: Engine, slugs: list[str]) -> None:
    """Builds images side by side, because a build spends about half of its time waiting for the archive."""

    def build(slug: str) -> None:
        with _step(f"{slug} image"):
            images.ensure(engine, slug)

    with ThreadPoolExecutor() as pool:
        for future in [pool.submit(build, slug) for slug in slugs]:
            future.result()


def _register_key(lab: Lab) -> None:
    """The key pair that Ansible uses, in the account under the name `lab`."""
    if not lab.key_file.exists():
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab-{lab.name}", "-f", str(lab.key_file)]
        subprocess.run(command, check=True)
    public_key = lab.key_file.with_suffix(".pub").read_text().strip()
    status, _ = daemons.call(lab, "POST", "/account/keys", {"name": "lab", "public_key": public_key})
    # 422: it is there already
    if status not in (201, 422):
        raise LabError(f"the API did not take the lab's SSH key (HTTP {status}), see {lab.folder / 'api.log'}")


def _down(options: argparse.Namespace) -> None:
    engine = Engine()
    labs = [state.lab(name) for name in (state.NAMES if options.all else [options.name])]
    for lab in labs:
        daemons.stop_service(lab)
    # A lab's folder says that the engine holds something of it, even if the machine has been restarted since
    if not engine.answers() and any(lab.folder.exists() for lab in labs):
        _prepare(engine)
    if engine.answers():
        for lab in labs:
            _clear(engine, lab)
        if options.all:
            engine.remove_images(engine.images())
    for lab in labs:
        shutil.rmtree(lab.folder, ignore_errors=True)
    if options.all:
        daemons.stop_engine()
        shutil.rmtree(SHARED, ignore_errors=True)


def _clear(engine: Engine, lab: Lab) -> None:
    deadline = time.monotonic() + 60
    # More than once: the service may have been in the middle of removing one
    while containers := engine.containers(lab.name):
        if time.monotonic() > deadline:
            raise LabError(f"the engine does not let go of {containers[0].name}: docker rm --force says why")
        engine.remove(*(container.name for container in containers))
    engine.remove_networks(engine.networks(lab.name))
    engine.remove_records([record.name for record in engine.records(lab.name)])


def _status(_options: argparse.Namespace) -> None:
    engine = Engine()
    if not engine.answers():
        print("no container engine runs")
        return
    for name in state.NAMES:
        lab = state.lab(name)
        if not lab.folder.exists():
            print(f"{name}: down")
            continue
        print(f"{name}: {lab.url}" + ("" if daemons.answers(lab) else " (does not answer: python -m lab up mends it)"))
        containers = {item.data["id"]: item for item in engine.containers(name)}
        orders = [record.data for record in engine.records(name) if record.kind == "droplet"]
        for order in sorted(orders, key=lambda data: int(data["id"])):
            container = containers.get(order["id"])
            words = [container.state, container.data["public"], container.data["private"]] if container else ["new"]
            print(f"  {order['id']:<10} {order['name']:<20} {order['image']:<14} {'  '.join(words)}")


def _image(options: argparse.Namespace) -> None:
    engine = Engine()
    _prepare(engine)
    if not images.is_built(engine, options.slug):
        checks.disk_is_free(engine)
        _build(engine, [options.slug])


_printing = threading.Lock()


@contextlib.contextmanager
def _step(text: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    with _printing:
        print(f"  {text:<34} {time.monotonic() - start:5.1f} s", flush=True)
