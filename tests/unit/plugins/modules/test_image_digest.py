# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine is a fake one at a UNIX socket, which says what real ones were seen to say."""

from __future__ import annotations

import base64
import json
import socketserver
import threading
import typing as t
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from ansible.module_utils import basic
from ansible_collections.alphacoder.scaleout.plugins.module_utils._image import registry_of, tagged
from ansible_collections.alphacoder.scaleout.plugins.modules import image_digest

DIGEST = f"sha256:{'c8' * 32}"
OLD = f"sha256:{'0a' * 32}"
LOGIN = {"server": "r.example.com", "username": "me", "password": "a-secret"}
Run = t.Callable[..., dict[str, t.Any]]


class FakeEngine(socketserver.ThreadingUnixStreamServer):
    """Knows the digests of some images, which it gives to the one who has the password."""

    def __init__(self, folder: Path) -> None:
        self.socket_path = str(folder / "docker.sock")
        self.digests: dict[str, str] = {}
        self.message = "manifest unknown: manifest unknown"
        self.logins: list[dict[str, str]] = []
        super().__init__(self.socket_path, Handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    server: FakeEngine

    def do_GET(self) -> None:
        name = self.path.removeprefix("/distribution/").removesuffix("/json")
        sent = self.headers.get("X-Registry-Auth")
        self.server.logins.append(json.loads(base64.urlsafe_b64decode(sent)) if sent else {})
        digest = self.server.digests.get(name)
        answer = {"Descriptor": {"digest": digest}} if digest else {"message": self.server.message}
        body = json.dumps(answer).encode()
        self.send_response(200 if digest else 500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return ""

    def log_message(self, *_args: t.Any) -> None:
        """Nothing."""


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[FakeEngine]:
    # A UNIX socket's path may have 107 characters
    engine = FakeEngine(tmp_path_factory.mktemp("e"))
    yield engine
    engine.shutdown()
    engine.server_close()


@pytest.fixture
def run(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    warnings: list[str] = []
    monkeypatch.setattr(basic.AnsibleModule, "warn", lambda _self, text, **_more: warnings.append(text))

    def run(name: str, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        arguments = {"name": name, "socket": engine.socket_path, "_ansible_check_mode": check, **options}
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        with pytest.raises(SystemExit):
            image_digest.main()
        said = capsys.readouterr().out
        assert "a-secret" not in said
        result = {**json.loads(said), "warnings": list(warnings)}
        warnings.clear()
        return result

    return run


@pytest.mark.parametrize(
    ("name", "asked", "by_digest"),
    [
        ("r.example.com/me/shop:latest", "r.example.com/me/shop:latest", "r.example.com/me/shop"),
        ("r.example.com:5000/shop", "r.example.com:5000/shop:latest", "r.example.com:5000/shop"),
        ("me/shop:1.4", "me/shop:1.4", "me/shop"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_tag_becomes_its_digest(
    engine: FakeEngine, run: Run, name: str, asked: str, by_digest: str, check: bool
) -> None:
    engine.digests[asked] = DIGEST
    result = run(name, check)

    assert (result["release"], result["by_digest"]) == (f"{asked}@{DIGEST}", f"{by_digest}@{DIGEST}")
    assert (result["name"], result["answered"], result["changed"]) == (name, True, False)
    assert result["warnings"] == []


def test_digest_is_not_asked_about(engine: FakeEngine, run: Run) -> None:
    result = run(f"me/shop:1@{OLD}")

    assert (result["release"], result["by_digest"]) == (f"me/shop:1@{OLD}", f"me/shop@{OLD}")
    assert (result["answered"], engine.logins) == (False, [])


def test_fixed_tag_goes_on_without_an_answer(run: Run) -> None:
    known = [f"me/shop:2@{DIGEST}", f"me/shop:1.4@{OLD}", f"me/shop:1.4@{DIGEST}"]
    result = run("me/shop:1.4", known=known)
    assert (result["release"], result["answered"]) == (f"me/shop:1.4@{OLD}", False)
    assert f"(manifest unknown: manifest unknown): going on with me/shop:1.4@{OLD}." in result["warnings"][0]

    result = run("me/shop:1", known=known)
    assert (result["release"], result["by_digest"]) == ("me/shop:1", "me/shop:1")


@pytest.mark.parametrize("name", ["me/shop", "me/shop:latest"])
def test_latest_is_not_what_was_known_before(run: Run, name: str) -> None:
    result = run(name, known=[f"me/shop:latest@{OLD}"])
    assert result["failed"]
    assert "Which image me/shop:latest is now could not be found out: manifest unknown" in result["msg"]


def test_dry_run_may_come_before_the_engine(run: Run, tmp_path: Path) -> None:
    nowhere = {"socket": str(tmp_path / "none")}
    result = run("me/shop", check=True, **nowhere)
    assert (result["release"], result["warnings"]) == ("me/shop:latest", [])
    assert "no container engine answers at" in run("me/shop", **nowhere)["msg"]


def test_engine_that_hangs_is_given_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(Handler, "do_GET", lambda _self: over.wait(30))
    result = run("me/shop", timeout=1)
    over.set()
    assert "could not be found out: no answer within 1 s" in result["msg"]


@pytest.mark.parametrize(
    ("name", "login", "sent"),
    [
        ("r.example.com/shop:1", LOGIN, ("me", "a-secret", "r.example.com")),
        ("me/shop:1", {"username": "me", "password": "a-secret"}, ("me", "a-secret", "https://index.docker.io/v1/")),
        # It goes to its registry alone
        ("me/shop:1", LOGIN, ()),
        ("r.example.com:5000/shop:1", LOGIN, ()),
        ("r.example.com/shop:1", None, ()),
    ],
)
def test_login_goes_to_its_registry(
    engine: FakeEngine, run: Run, name: str, login: dict[str, str] | None, sent: tuple[str, ...]
) -> None:
    run(name, login=login)
    assert [tuple(one.values()) for one in engine.logins] == [sent]


@pytest.mark.parametrize(
    ("entries", "name", "sent"),
    [
        ({"r.example.com": {"auth": "bWU6YS1zZWNyZXQ="}}, "r.example.com/shop:1", "me"),
        ({"https://r.example.com": {"auth": "bWU6YS1zZWNyZXQ="}}, "r.example.com/shop:1", "me"),
        ({"https://index.docker.io/v1/": {"identitytoken": "a-token"}}, "me/shop:1", "a-token"),
        ({"r.example.com": {}}, "r.example.com/shop:1", None),
        ({"other.example.com": {"auth": "bWU6YS1zZWNyZXQ="}}, "r.example.com/shop:1", None),
    ],
)
def test_login_of_the_user_is_taken_where_none_is_given(
    engine: FakeEngine, run: Run, tmp_path: Path, entries: dict[str, t.Any], name: str, sent: str | None
) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(json.dumps({"auths": entries}))
    run(name)
    (login,) = engine.logins
    assert login.get("username", login.get("identitytoken")) == sent


@pytest.mark.parametrize(
    ("name", "registry"),
    [
        ("shop", "docker.io"),
        ("me/shop:1", "docker.io"),
        ("docker.io/me/shop", "docker.io"),
        ("localhost/shop", "localhost"),
        ("lb-1:5000/shop", "lb-1:5000"),
        ("r.example.com/me/shop:1@sha256:ab", "r.example.com"),
        ("shop:5000", "docker.io"),
    ],
)
def test_registry_of_a_name(name: str, registry: str) -> None:
    assert registry_of(name) == registry


@pytest.mark.parametrize("name", ["shop:1", "r:5000/shop:1", "shop@sha256:ab", "r:5000/shop:1@sha256:ab"])
def test_name_with_a_tag_or_a_digest_stays(name: str) -> None:
    assert tagged(name) == name
    assert tagged("r:5000/shop") == "r:5000/shop:latest"
