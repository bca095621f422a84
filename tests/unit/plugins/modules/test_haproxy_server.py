# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import threading
import time
import typing as t

import pytest
from ansible.module_utils import basic
from ansible_collections.alphacoder.scaleout.plugins.modules import haproxy_server
from haproxy_servers import FakeSocket, RealHaproxy
from support.waiting import wait_until

KEYS = {"backend", "changed", "servers", "sessions_shut_down"}


class Module:
    """Runs the module as Ansible does, with its arguments as JSON and its result from what it prints."""

    def __init__(self, socket: str, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.socket, self.patch, self.capsys = socket, patch, capsys
        self.warnings: list[str] = []
        patch.setattr(basic.AnsibleModule, "warn", lambda _self, text, **more: self.warnings.append(text))
        patch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        patch.setattr(haproxy_server, "POLL_SECONDS", (0.02,))

    def run(self, *servers: str, check: bool = False, diff: bool = False, **options: t.Any) -> dict[str, t.Any]:
        given = {"backend": "app", "servers": servers, "socket": self.socket, "wait_timeout": 10, **options}
        given.update(_ansible_check_mode=check, _ansible_diff=diff)
        self.patch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": given}).encode())
        with pytest.raises(SystemExit):
            haproxy_server.main()
        return t.cast("dict[str, t.Any]", json.loads(self.capsys.readouterr().out))

    def ok(self, *servers: str, **options: t.Any) -> dict[str, t.Any]:
        result = self.run(*servers, **options)
        assert not result.get("failed"), result["msg"]
        assert set(result) >= KEYS
        return result

    def fails(self, text: str, *servers: str, **options: t.Any) -> dict[str, t.Any]:
        result = self.run(*servers, **options)
        assert result["failed"]
        assert text in result["msg"]
        assert "\n" not in result["msg"]
        assert "exception" not in result or "Traceback" not in str(result["exception"])
        assert set(result) >= KEYS
        return result


@pytest.fixture
def module(haproxy: RealHaproxy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Module:
    return Module(haproxy.socket, monkeypatch, capsys)


@pytest.fixture
def module_on_fake(
    fake_socket: FakeSocket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Module:
    return Module(fake_socket.path, monkeypatch, capsys)


def settings(result: dict[str, t.Any]) -> list[tuple[str, str, int]]:
    return [(server["name"], server["state"], server["weight"]) for server in result["servers"]]


class Meanwhile:
    """Does something as soon as something else is seen, while the module runs."""

    def __init__(self, what: str, seen: t.Callable[[], object], do: t.Callable[[], object]) -> None:
        self._problem: BaseException | None = None

        def run() -> None:
            try:
                wait_until(what, seen)
                do()
            except BaseException as problem:
                self._problem = problem

        self._thread = threading.Thread(target=run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_args: object) -> None:
        self._thread.join(15)
        if self._problem:
            raise self._problem


class TestState:
    @pytest.mark.parametrize("state", ["drain", "maint"])
    def test_and_again_and_back(self, haproxy: RealHaproxy, module: Module, state: str) -> None:
        first = module.ok("app-2", state=state)
        assert first["changed"]
        assert settings(first) == [("app-2", state, 100)]
        assert haproxy.statuses()[:2] == ["UP", state.upper()]
        assert first["servers"][0]["status"] == state.upper()
        assert not module.ok("app-2", state=state)["changed"]
        back = module.ok("app-2", state="ready")
        assert back["changed"]
        assert back["servers"][0]["status"] == haproxy.statuses()[1] == "UP"
        assert not module.ok("app-2", state="ready")["changed"]
        assert module.warnings == []

    def test_several_at_once_in_the_order_asked_for(self, module: Module) -> None:
        result = module.ok("app-2", "app-1", "app-2", state="drain")
        assert settings(result) == [("app-2", "drain", 100), ("app-1", "drain", 100)]
        mixed = module.ok("app-2", "follower", state="drain")
        assert mixed["changed"]

    def test_from_one_to_the_other(self, haproxy: RealHaproxy, module: Module) -> None:
        module.ok("app-1", state="maint")
        assert settings(module.ok("app-1", state="drain")) == [("app-1", "drain", 100)]
        assert settings(module.ok("app-1", state="maint")) == [("app-1", "maint", 100)]

    def test_a_drained_server_that_is_down_stays_unchanged(self, haproxy: RealHaproxy, module: Module) -> None:
        module.ok("app-1", state="drain")
        haproxy.apps[0].status = 503
        wait_until("app-1 down", lambda: haproxy.statuses()[0] == "DOWN")
        again = module.ok("app-1", state="drain")
        assert not again["changed"]
        assert again["servers"][0]["status"] == "DOWN"

    def test_maint_by_the_configuration(self, module: Module) -> None:
        assert not module.ok("off", backend="plain", state="maint")["changed"]
        ready = module.ok("off", backend="plain", state="ready")
        assert ready["changed"]
        assert ready["servers"][0]["status"] == "no check"
        assert not module.ok("off", backend="plain", state="ready")["changed"]

    def test_without_checks_is_up_at_once(self, module: Module) -> None:
        module.ok("unchecked", backend="plain", state="drain")
        result = module.ok("unchecked", backend="plain", state="ready", wait_timeout=0)
        assert result["servers"][0]["status"] == "no check"
        assert result["servers"][0]["check"] is None

    def test_sessions_do_not_change_anything(self, haproxy: RealHaproxy, module: Module) -> None:
        haproxy.hold("app-1")
        assert not module.ok("app-1", state="ready")["changed"]


class TestWeight:
    def test_and_again(self, module: Module) -> None:
        result = module.ok("app-1", weight="50%")
        assert result["changed"]
        assert settings(result) == [("app-1", "ready", 50)]
        assert not module.ok("app-1", weight=50)["changed"]
        assert settings(module.ok("app-1", "app-2", weight=256)) == [("app-1", "ready", 256), ("app-2", "ready", 256)]

    @pytest.mark.parametrize(("weight", "set_to"), [("0", 0), ("0%", 0), ("1%", 1), ("255%", 255), ("999%", 256)])
    def test_is_what_haproxy_makes_of_it(self, module: Module, weight: str, set_to: int) -> None:
        planned = module.ok("app-1", weight=weight, check=True)
        assert settings(planned) == settings(module.ok("app-1", weight=weight)) == [("app-1", "ready", set_to)]
        assert not module.ok("app-1", weight=weight)["changed"]

    @pytest.mark.parametrize("weight", ["257", "-1", "50 %", "half", "", "1.5", "1;show info"])
    def test_that_is_none(self, haproxy: RealHaproxy, module: Module, weight: str) -> None:
        module.fails(
            f"weight is {weight!r}, but it must be 0 to 256, or a percentage such as 50%.", "app-1", weight=weight
        )

    def test_ready_without_weight_is_up_but_says_so(self, module: Module) -> None:
        module.ok("app-1", weight=0)
        result = module.ok("app-1", state="ready")
        assert not result["changed"]
        assert module.warnings == ["app-1 is ready, but its weight is 0, so it gets no new clients: set weight."]

    def test_refused_by_a_static_algorithm_changes_nothing(self, haproxy: RealHaproxy, module: Module) -> None:
        result = module.fails(
            "static LB algorithm", "off", "unchecked", backend="plain", weight="50%", state="drain", wait=False
        )
        assert "No change was kept." in result["msg"]
        assert not result["changed"]
        assert "0 (initial" not in haproxy.ask("get weight plain/off")
        assert settings(module.ok("off", "unchecked", backend="plain", weight="100%", check=True)) == [
            ("off", "maint", 1),
            ("unchecked", "ready", 10),
        ]


class TestPort:
    def test_new_clients_go_there_and_back(self, haproxy: RealHaproxy, module: Module) -> None:
        first, second = haproxy.apps
        before = module.ok("app-1", state="ready")["servers"][0]["address"]
        assert before == f"127.0.0.1:{first.port}"
        moved = module.ok("app-1", port=second.port, diff=True)
        assert moved["changed"]
        assert moved["servers"][0]["address"] == f"127.0.0.1:{second.port}"
        assert moved["diff"]["after"] == {"app/app-1": {"state": "ready", "weight": 100, "port": second.port}}
        assert not module.ok("app-1", port=second.port)["changed"]
        module.ok("app-2", state="maint")
        haproxy.page()
        assert (first.pages, second.pages) == (0, 1)
        module.ok("app-1", port=first.port)
        haproxy.page()
        assert (first.pages, second.pages) == (1, 1)

    def test_check_mode_moves_nothing(self, haproxy: RealHaproxy, module: Module) -> None:
        first, second = haproxy.apps
        planned = module.ok("app-1", port=second.port, check=True)
        assert planned["changed"]
        assert planned["servers"][0]["address"] == f"127.0.0.1:{second.port}"
        assert module.ok("app-1", state="ready")["servers"][0]["address"] == f"127.0.0.1:{first.port}"


class TestCheckAndDiff:
    def test_tell_what_would_be(self, haproxy: RealHaproxy, module: Module) -> None:
        haproxy.hold("app-1")
        before = haproxy.ask("show servers state")
        planned = module.ok("app-1", "app-2", state="drain", weight="10%", check=True, diff=True)
        assert planned["changed"]
        assert settings(planned) == [("app-1", "drain", 10), ("app-2", "drain", 10)]
        assert [line.split()[5:9] for line in haproxy.ask("show servers state").splitlines()[2:]] == [
            line.split()[5:9] for line in before.splitlines()[2:]
        ]
        haproxy.apps[0].release.set()
        done = module.ok("app-1", "app-2", state="drain", weight="10%", diff=True)
        assert (
            done["diff"]
            == planned["diff"]
            == {
                "before": {f"app/app-{n}": {"state": "ready", "weight": 100} for n in (1, 2)},
                "after": {f"app/app-{n}": {"state": "drain", "weight": 10} for n in (1, 2)},
            }
        )
        again = module.ok("app-1", "app-2", state="drain", weight="10%", check=True, diff=True)
        assert not again["changed"]
        assert again["diff"]["before"] == again["diff"]["after"]

    def test_an_unknown_server_fails_too(self, module: Module) -> None:
        module.fails("Backend app has no server x.", "x", state="drain", check=True)


class TestWaitReady:
    def test_ends_when_the_check_passes(self, haproxy: RealHaproxy, module: Module) -> None:
        haproxy.apps[0].status = 503
        wait_until("app-1 down", lambda: haproxy.statuses()[0] == "DOWN")
        module.ok("app-1", state="maint")
        with Meanwhile(
            "app-1 set ready", lambda: haproxy.statuses()[0] == "DOWN", lambda: setattr(haproxy.apps[0], "status", 200)
        ):
            result = module.ok("app-1", state="ready")
        assert result["servers"][0]["status"] == "UP"
        assert result["servers"][0]["check"]["status"] == "L7OK"
        assert result["servers"][0]["check"]["code"] in (200, None)

    def test_that_runs_out_says_what_the_check_says(self, haproxy: RealHaproxy, module: Module) -> None:
        haproxy.apps[0].status = 503
        wait_until("app-1 down", lambda: haproxy.statuses()[0] == "DOWN")
        results = []

        def has_the_code_of_a_check() -> bool:
            module.ok("app-1", state="maint")
            text = "Not up within wait_timeout (1 s): app-1 is DOWN"
            results.append(module.fails(text, "app-1", state="ready", wait_timeout=1))
            # HAProxy says 0 while a check is under way
            return bool(results[-1]["servers"][0]["check"]["code"])

        wait_until("a last look between two checks", has_the_code_of_a_check)
        result = results[-1]
        assert "check says L7STS 503" in result["msg"]
        assert "State ready stays set." in result["msg"]
        assert result["changed"]
        assert settings(result) == [("app-1", "ready", 100)]
        assert result["servers"][0]["check"]["code"] == 503

    def test_is_not_misled_by_the_check_before_maint(self, haproxy: RealHaproxy, module: Module) -> None:
        """HAProxy calls a server UP that left maint, with the former check's result, until the next check."""
        module.ok("app-1", state="maint")
        haproxy.apps[0].status = 503
        module.fails("app-1 is DOWN", "app-1", state="ready", wait_timeout=1)

    def test_one_that_tracks_a_server_in_maint(self, haproxy: RealHaproxy, module: Module) -> None:
        module.ok("app-1", state="maint")
        start = time.monotonic()
        result = module.fails("waiting would not help", "follower", state="ready", weight=1)
        assert "follower is MAINT (via app/app-1): it tracks app/app-1, which must be ready first" in result["msg"]
        assert time.monotonic() - start < 5
        both = module.ok("follower", "app-1", state="ready")
        assert [server["status"] for server in both["servers"]] == ["UP", "UP"]

    def test_not_asked_for(self, haproxy: RealHaproxy, module: Module) -> None:
        haproxy.apps[0].status = 503
        wait_until("app-1 down", lambda: haproxy.statuses()[0] == "DOWN")
        module.ok("app-1", state="maint", wait=False)
        assert settings(module.ok("app-1", state="ready", wait=False)) == [("app-1", "ready", 100)]


class TestWaitSessions:
    @pytest.mark.parametrize("state", ["drain", "maint"])
    def test_ends_with_the_last_session(self, haproxy: RealHaproxy, module: Module, state: str) -> None:
        haproxy.hold("app-1")
        with Meanwhile(
            f"app-1 in {state}", lambda: haproxy.statuses()[0] == state.upper(), haproxy.apps[0].release.set
        ):
            result = module.ok("app-1", "app-2", state=state)
        assert result["servers"][0]["sessions"]["current"] == 0
        assert result["servers"][0]["sessions"]["highest"] == 1
        assert result["sessions_shut_down"] == []

    def test_that_runs_out_says_how_many_are_left(self, haproxy: RealHaproxy, module: Module) -> None:
        haproxy.hold("app-1")
        haproxy.hold("app-1")
        result = module.fails(
            "Not without sessions within wait_timeout (0 s): app-1 is DRAIN with 2 sessions left. State drain stays",
            "app-1",
            "app-2",
            state="drain",
            wait_timeout=0,
        )
        assert "Clients with a persistence cookie still come" in result["msg"]
        assert "set shutdown_sessions" in result["msg"]
        assert result["servers"][0]["sessions"]["current"] == 2
        assert result["changed"]
        assert haproxy.sessions()[0] == "2"

    def test_one_that_is_down_still_has_its_sessions(self, haproxy: RealHaproxy, module: Module) -> None:
        haproxy.hold("app-1")
        haproxy.apps[0].status = 503
        wait_until("app-1 down", lambda: haproxy.statuses()[0] == "DOWN")
        module.fails("app-1 is DOWN with 1 session left", "app-1", state="drain", wait_timeout=0)

    @pytest.mark.parametrize("state", ["drain", "maint"])
    def test_cut_when_it_ran_out(self, haproxy: RealHaproxy, module: Module, state: str) -> None:
        client = haproxy.hold("app-1")
        start = time.monotonic()
        result = module.ok("app-1", "app-2", state=state, wait_timeout=1, shutdown_sessions=True)
        assert time.monotonic() - start >= 1
        assert result["sessions_shut_down"] == ["app-1"]
        assert result["servers"][0]["sessions"]["current"] == 0
        client.settimeout(5)
        assert b" 200 " not in client.recv(100)

    def test_cut_nothing_that_ends_by_itself(self, haproxy: RealHaproxy, module: Module) -> None:
        assert module.ok("app-1", state="drain", shutdown_sessions=True)["sessions_shut_down"] == []

    @pytest.mark.parametrize("options", [{"state": "ready"}, {"weight": "1"}, {"state": "drain", "wait": False}])
    def test_cut_goes_with_a_wait_for_sessions(self, module: Module, options: dict[str, t.Any]) -> None:
        module.fails("shutdown_sessions needs wait", "app-1", shutdown_sessions=True, **options)


class TestReloadInTheMiddle:
    def test_that_keeps_the_state(self, haproxy: RealHaproxy, module: Module) -> None:
        haproxy.hold("app-1")

        with Meanwhile(
            "app-1 drained", lambda: haproxy.statuses()[0] == "DRAIN", lambda: haproxy.start(keep_state=True)
        ):
            result = module.ok("app-1", state="drain")
        assert result["servers"][0]["status"] == "DRAIN"
        [warning] = module.warnings
        assert "HAProxy was reloaded while this task waited for sessions of backend app" in warning

    def test_that_loses_it(self, haproxy: RealHaproxy, module: Module) -> None:
        haproxy.hold("app-1")
        with Meanwhile("app-1 drained", lambda: haproxy.statuses()[0] == "DRAIN", haproxy.start):
            result = module.fails("Set to drain, but now app-1 is ready: HAProxy was reloaded", "app-1", state="drain")
        assert settings(result) == [("app-1", "ready", 100)]

    def test_that_loses_it_while_it_is_asked(
        self, haproxy: RealHaproxy, module: Module, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """States and sessions are of the same process, and the new one's sessions do not count for the former one."""
        ask = haproxy_server.Client._ask

        def reloaded_afterwards(client: t.Any, command: str) -> str:
            answer: str = ask(client, command)
            if "show servers state" in command and haproxy.statuses()[0] == "DRAIN":
                haproxy.start()
            return answer

        monkeypatch.setattr(haproxy_server.Client, "_ask", reloaded_afterwards)
        haproxy.hold("app-1")
        result = module.fails("Set to drain, but now app-1 is ready: HAProxy was reloaded", "app-1", state="drain")
        assert settings(result) == [("app-1", "ready", 100)]

    def test_a_restart_is_waited_over(self, haproxy: RealHaproxy, module: Module) -> None:
        haproxy.hold("app-1")

        def restart() -> None:
            haproxy.processes[-1].kill()
            haproxy.processes[-1].wait()
            time.sleep(1.5)
            haproxy.start()

        with Meanwhile("app-1 drained", lambda: haproxy.statuses()[0] == "DRAIN", restart):
            module.fails("Set to drain, but now app-1 is ready: HAProxy was reloaded", "app-1", state="drain")

    def test_a_death_is_said(self, haproxy: RealHaproxy, module: Module) -> None:
        haproxy.hold("app-1")
        with Meanwhile("app-1 drained", lambda: haproxy.statuses()[0] == "DRAIN", haproxy.processes[0].kill):
            result = module.fails("Connection refused. Is it running?", "app-1", state="drain", wait_timeout=2)
        assert settings(result) == [("app-1", "drain", 100)]


class TestUnknown:
    def test_backend(self, module: Module) -> None:
        result = module.fails(
            "HAProxy has no backend ap. It has: app, empty, plain.", "app-1", backend="ap", state="drain"
        )
        assert result["servers"] == []

    @pytest.mark.parametrize("bad", ["app-9", "APP-1", "app-1 state maint", "app-1;disable server app/app-1", ""])
    def test_server_leaves_all_as_they_were(self, haproxy: RealHaproxy, module: Module, bad: str) -> None:
        result = module.fails(
            f"Backend app has no server {bad}. It has: app-1, app-2, follower.", "app-1", bad, state="maint"
        )
        assert not result["changed"]
        assert haproxy.statuses()[:2] == ["UP", "UP"]

    def test_server_of_an_empty_backend(self, module: Module) -> None:
        module.fails("Backend empty has no server app-1. It has: none.", "app-1", backend="empty", state="drain")

    def test_backend_that_is_a_command(self, haproxy: RealHaproxy, module: Module) -> None:
        module.fails("HAProxy has no backend app;", "app-1", backend="app;disable server app/app-1", state="ready")
        assert haproxy.statuses()[0] == "UP"


class TestArguments:
    def test_no_servers(self, module: Module) -> None:
        module.fails("servers is empty: name at least one server.", state="drain")

    def test_negative_timeout(self, module: Module) -> None:
        module.fails("wait_timeout is -1, but it must be 0 or more.", "app-1", state="drain", wait_timeout=-1)

    @pytest.mark.parametrize("port", [0, 65536, -1])
    def test_a_port_that_is_none(self, module: Module, port: int) -> None:
        module.fails(f"port is {port}, but it must be 1 to 65535.", "app-1", port=port)

    def test_neither_state_nor_weight(self, module: Module) -> None:
        assert "one of the following is required: state, weight, port" in module.run("app-1")["msg"]


@pytest.mark.parametrize("level", ["operator", "user"])
def test_a_socket_of_too_low_a_level_changes_nothing(haproxy: RealHaproxy, module: Module, level: str) -> None:
    module.socket = str(haproxy.here / level)
    result = module.fails(
        "refused 'set server app/app-1 state drain': Permission denied.", "app-1", "app-2", state="drain"
    )
    assert "level admin" in result["msg"]
    assert not result["changed"]
    assert settings(result) == [("app-1", "ready", 100), ("app-2", "ready", 100)]
    # What it may do without a change it does
    assert not module.ok("app-1", state="ready")["changed"]


STATES = (
    "1\n# be_id be_name srv_id srv_name srv_op_state srv_admin_state srv_uweight srv_iweight srv_check_result\n"
    "3 app 1 one 2 {one} 1 1 3\n3 app 2 two 2 {two} 1 1 3\n\n"
)


class TestHalfway:
    """HAProxy takes the first change and refuses the second."""

    def answers(self, fake: FakeSocket, after: bytes) -> None:
        names = "".join(f"S.3.{n}.0.pxname.1:KNS:str:app\nS.3.{n}.1.svname.1:KNS:str:{name}\n" for n, name in NAMED)
        fake.answers = {
            "show info": b"6.Pid.1:SGP:u32:7\n\n",
            "show stat -1 2": b"B.3.0.0.pxname.1:KNS:str:app\nB.3.0.1.svname.1:KNS:str:BACKEND\n\n",
            "show stat app 4": names.encode(),
            "show servers state": [STATES.format(one=0, two=0).encode(), after],
            "set server app/one": b"\n",
            "set server app/two": b"Not today.\n\n",
        }

    def test_the_first_is_taken_back(self, fake_socket: FakeSocket, module_on_fake: Module) -> None:
        self.answers(fake_socket, STATES.format(one=8, two=0).encode())
        result = module_on_fake.fails("Not today. No change was kept.", "one", "two", state="drain")
        assert not result["changed"]
        assert [one for one in fake_socket.asked if one.startswith("set")] == [
            "set server app/one state drain",
            "set server app/two state drain",
            "set server app/one state ready",
        ]

    def test_or_it_is_said_that_it_could_not(
        self, fake_socket: FakeSocket, module_on_fake: Module, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.answers(fake_socket, b"garbage\n")
        result = module_on_fake.fails("These servers may have kept a change: one, two.", "one", "two", state="drain")
        assert result["changed"]


NAMED = ((1, "one"), (2, "two"))
