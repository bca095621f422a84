# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The talking app and its registry, as operators and their hosts see them."""

from __future__ import annotations

import json
import subprocess

from support import REPO
from support.service import Service

NAME = "talk"
INVENTORY = REPO / "molecule" / "registry" / "inventory" / "digitalocean.yml"
LOGIN = f"/var/lib/alphacoder-login-{NAME}"
Done = subprocess.CompletedProcess[str]


class Talk(Service):
    """The service of this scenario's inventory."""

    def refresh(self) -> None:
        """Forget which droplets there are."""
        for name in ("hostvars", "_inventory"):
            self.__dict__.pop(name, None)

    @property
    def repository(self) -> str:
        return f"{self.hostvars['lb-1']['private_address']}:5000/me/talk"

    def digest(self, tag: str) -> str:
        """What the registry has under the tag."""
        name = f"docker://127.0.0.1:5000/me/talk:{tag}"
        done = self.host("lb-1").check_output("skopeo inspect --tls-verify=false --format %s %s", "{{.Digest}}", name)
        return str(done).strip()

    def release(self, tag: str, digest_of: str = "") -> str:
        """The release that a deploy of the tag makes, or made when it was what another tag is now."""
        return f"{self.repository}:{tag}@{self.digest(digest_of or tag)}"

    def move(self, tag: str, to: str) -> None:
        """Let a tag mean what another one does."""
        image = "docker://127.0.0.1:5000/me/talk"
        self.host("lb-1").check_output(
            "skopeo copy --src-tls-verify=false --dest-tls-verify=false %s %s", f"{image}:{to}", f"{image}:{tag}"
        )

    def releases(self) -> dict[str, str]:
        form = '{{index .Config.Labels "alphacoder.scaleout.release"}}'
        return {name: self._inspect(name, form) for name in self.group("app")}

    def containers(self) -> dict[str, str]:
        return {name: self._inspect(name, "{{.Id}}") for name in self.group("app")}

    def images(self, name: str) -> set[str]:
        """The digests of the app's images that the host has."""
        form = "{{.Digest}}"
        return set(
            self.host(name).check_output("docker images --digests --format %s %s", form, self.repository).split()
        )

    def _inspect(self, name: str, form: str) -> str:
        return str(self.host(name).check_output("docker inspect --format %s %s", form, NAME))

    def playbook(self, name: str, *arguments: str, **variables: object) -> Done:
        """Run a playbook of the collection with these variables."""
        return self.play(f"playbooks/{name}.yml", "--extra-vars", json.dumps(variables), *arguments)
