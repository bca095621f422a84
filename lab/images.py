# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The images, made with mmdebstrap from the distribution's own archive, so that no image registry is needed."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab.engine import Engine
from lab.errors import EngineError, LabError
from lab.state import SHARED, locked

_CUSTOMIZE = Path(__file__).with_name("customize.sh")
_PACKAGES = (
    "systemd,systemd-sysv,dbus,openssh-server,python3,python3-apt,sudo,curl,ca-certificates,gpg,"
    "iproute2,iputils-ping,procps,netbase"
)


@dataclass(frozen=True)
class Recipe:
    """How an image is made. It names no mirror: mmdebstrap uses the distribution's own."""

    image: str
    suite: str
    packages: str
    command: tuple[str, ...]
    droplet: bool

    @property
    def arguments(self) -> list[str]:
        options = [
            "--variant=minbase",
            f"--include={self.packages}",
            # Syncing files and unpacking manuals take half of an installation's time; a lab needs neither
            "--dpkgopt=force-unsafe-io",
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            '--aptopt=Acquire::Languages "none"',
        ]
        if self.droplet:
            options.append(f'--customize-hook=sh {shlex.quote(str(_CUSTOMIZE))} "$1"')
        return [*options, self.suite, "-"]

    @property
    def digest(self) -> str:
        """A hash that changes whenever the image would, so that "already built" is a fact, not a guess."""
        parts = [self.suite, self.packages, *self.command, *self.arguments[:-3]]
        content = "\n".join(parts).encode() + (_CUSTOMIZE.read_bytes() if self.droplet else b"")
        return hashlib.sha256(content).hexdigest()[:16]


PYTHON = "python-3.13"
RECIPES = {
    "debian-13-x64": Recipe("scaleout-lab/debian-13-x64:latest", "trixie", _PACKAGES, ("/sbin/init",), True),
    "debian-12-x64": Recipe("scaleout-lab/debian-12-x64:latest", "bookworm", _PACKAGES, ("/sbin/init",), True),
    # The base of an app's image where no image registry can be reached
    PYTHON: Recipe("scaleout-lab/python:3.13", "trixie", "python3,python3-venv", ("python3",), False),
}
PYTHON_ARCHIVE = SHARED / f"{PYTHON}.tar"


def is_built(engine: Engine, slug: str) -> bool:
    recipe = RECIPES[slug]
    return engine.recipe_of(recipe.image) == recipe.digest and (slug != PYTHON or PYTHON_ARCHIVE.exists())


def ensure(engine: Engine, slug: str) -> str:
    """Builds the image if it is missing (about 20 s); returns its name."""
    recipe = RECIPES[slug]
    if not is_built(engine, slug):
        with locked(f"image-{slug}"):
            if engine.recipe_of(recipe.image) != recipe.digest:
                _build(engine, recipe)
            if slug == PYTHON and not is_built(engine, slug):
                draft = PYTHON_ARCHIVE.with_suffix(".new")
                engine.save(recipe.image, draft)
                draft.replace(PYTHON_ARCHIVE)
    return recipe.image


def _build(engine: Engine, recipe: Recipe) -> None:
    if recipe.image == RECIPES[PYTHON].image:
        PYTHON_ARCHIVE.unlink(missing_ok=True)
    with tempfile.TemporaryFile() as log:
        maker = subprocess.Popen(["mmdebstrap", *recipe.arguments], stdout=subprocess.PIPE, stderr=log)
        failure = ""
        image_id = ""
        try:
            image_id = engine.import_image(maker.stdout, recipe.digest, list(recipe.command))
        except EngineError as error:
            failure = str(error)
        finally:
            if maker.stdout:
                maker.stdout.close()
            code = maker.wait()
        log.seek(0)
        lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.startswith("E:")]
    if code:
        # The tree was cut short, so the engine's image is useless
        if image_id:
            engine.remove_images([image_id])
        said = lines[0] if lines else failure or f"exit code {code}"
        raise LabError(
            f"{recipe.image} could not be built from Debian's package archive: check the network, then run this again "
            f"({said})"
        )
    if failure:
        raise LabError(f"the engine did not accept the image {recipe.image}: {failure}")
    engine.tag(image_id, recipe.image)
