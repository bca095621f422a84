# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can happen to a service that serves: faults, and changes that an operator makes.

Each is a function of the service that makes it happen, and returns what the operator's command said, if there is one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from subprocess import CompletedProcess, Popen, TimeoutExpired

from testinfra.host import Host

from support.service import Service
from support.waiting import wait_until

# Interface of an app droplet's private network
PRIVATE = "eth1"
CUT_OFF_SECONDS = 15
FULL_SECONDS = 10


def app_host(service: Service) -> str:
    """The app droplet that faults happen to."""
    return service.group("app")[-1]


def kill_container(service: Service) -> None:
    # By its process: the engine takes `docker kill` as an order, and would not start it again
    service.host(app_host(service)).check_output("kill -KILL $(docker inspect --format '{{.State.Pid}}' hits)")


def cut_off(service: Service) -> None:
    """No packet goes through the droplet's private network: nothing refuses a connection, and nothing ends one."""
    host = service.host(app_host(service))
    rules = [f"PREROUTING -i {PRIVATE} -j DROP", f"POSTROUTING -o {PRIVATE} -j DROP"]
    host.check_output(" && ".join(f"iptables -t mangle -I {rule}" for rule in rules))
    try:
        time.sleep(CUT_OFF_SECONDS)
    finally:
        host.check_output(" && ".join(f"iptables -t mangle -D {rule}" for rule in rules))


def reboot_app_droplet(service: Service) -> None:
    service.reboot(app_host(service))


def power_cycle_app_droplet(service: Service) -> None:
    """As a host that dies: nothing is told to stop."""
    service.reboot(app_host(service), kind="power_cycle")


def fill_disk(service: Service) -> None:
    """What the engine writes for the app, its log first of all, finds no room.

    The folder becomes a small disk of its own meanwhile, because a lab's droplets share that of the machine.
    """
    host = service.host(app_host(service))
    folder = host.check_output("docker inspect --format '/var/lib/docker/containers/{{.Id}}' hits")
    copy = "/var/lib/scaleout-copy"
    # Room for the log as it is, and for the start
    size = 4 + int(host.check_output("du --summarize --block-size=1M %s | cut -f1", folder))
    host.check_output(f"docker stop hits && cp -a {folder} {copy}")
    try:
        host.check_output(
            f"mount -t tmpfs -o size={size}m tmpfs {folder} && cp -a {copy}/. {folder} && docker start hits"
        )
        host.run(f"dd if=/dev/zero of={folder}/full bs=64k")
        wait_until("disk full", lambda: is_full(host, folder))
        time.sleep(FULL_SECONDS)
        assert is_full(host, folder)
    finally:
        host.check_output(f"docker stop hits; umount {folder}; rm -r {copy} && docker start hits")


def is_full(host: Host, folder: str) -> bool:
    return str(host.check_output(f"df --output=avail {folder} | tail -n 1")).strip() == "0"


def reload_haproxy(service: Service) -> None:
    service.host(service.group("lb")[0]).check_output("for i in $(seq 20); do systemctl reload haproxy || exit; done")


def restart_haproxy(service: Service) -> None:
    service.host(service.group("lb")[0]).check_output("systemctl restart haproxy")


def reinstall_haproxy(service: Service) -> None:
    service.host(service.group("lb")[0]).check_output(
        "DEBIAN_FRONTEND=noninteractive apt-get install --reinstall --yes haproxy"
    )


def restart_postgresql(service: Service) -> None:
    service.host(service.group("postgresql")[0]).check_output("systemctl restart postgresql")


def restart_redis(service: Service) -> None:
    service.host(service.group("redis")[0]).check_output("systemctl restart redis-server")


def reboot_data_droplet(service: Service) -> None:
    service.reboot(*{service.group("postgresql")[0], service.group("redis")[0]})


def reboot_everything(service: Service) -> None:
    service.reboot()


# Changes that an operator makes


def build(service: Service, name: str, *lines: str) -> str:
    """A release of hits and these lines of a Dockerfile, on the first app host; deploy.yml carries it to the others."""
    host = service.host(service.group("app")[0])
    image = f"hits:{name}"
    dockerfile = "\\n".join([f"FROM {running(service)}", *lines])
    host.check_output(f"printf %s | docker build --quiet --tag {image} -", dockerfile)
    return image


def running(service: Service) -> str:
    return str(service.host(service.group("app")[0]).check_output("docker inspect --format '{{.Config.Image}}' hits"))


def good(service: Service) -> str:
    """A release that differs from every other one by a label."""
    moment = str(time.time_ns())
    return build(service, f"good-{moment}", f"LABEL made={moment}")


def deploy(service: Service, release: str) -> CompletedProcess[str]:
    # A release that is never ready is given up sooner than in the default 60 s
    return service.play("playbooks/deploy.yml", "-e", f"release={release}", "-e", "app_health_timeout=10")


def deploy_good(service: Service) -> CompletedProcess[str]:
    return deploy(service, good(service))


def deploy_never_ready(service: Service) -> CompletedProcess[str]:
    """Its process lives, and its /readyz never says 200: hits without the Redis and the PostgreSQL that it needs."""
    unreachable = "postgresql://nobody@127.0.0.1:1/none"
    command = f'CMD ["env", "DATABASE_URL={unreachable}", "REDIS_URL=redis://127.0.0.1:1/0", "python3", "-m", "hits"]'
    return deploy(service, build(service, "never-ready", command))


def deploy_dies(service: Service) -> CompletedProcess[str]:
    """It is ready at once, and gone a second later."""
    return deploy(service, build(service, "dies", 'CMD ["timeout", "--signal=KILL", "2", "python3", "-m", "hits"]'))


def deploy_missing(service: Service) -> CompletedProcess[str]:
    return deploy(service, "hits:never-built")


def deploy_twice_at_once(service: Service) -> CompletedProcess[str]:
    """The second one's answer; raises if the first one fails."""
    release = good(service)
    first = service.start("playbooks/deploy.yml", "-e", f"release={release}")
    read_until(first, "Lock | Take the lock", "Check that the host may be taken out")
    second = service.play("playbooks/deploy.yml", "-e", f"release={release}")
    rest = first.communicate()[0]
    assert first.returncode == 0, rest
    return second


def deploy_interrupted(service: Service) -> CompletedProcess[str]:
    """Ctrl-C at the worst moment, when a host has neither its former container nor its new one; then once more."""
    release = good(service)
    first = service.start("playbooks/deploy.yml", "-e", f"release={release}")
    read_until(first, "rollout : Change the host]", "Replace | Let the former one finish its requests")
    interrupt(first)
    assert first.returncode != 0
    return deploy(service, release)


def interrupt(process: Popen[str]) -> None:
    """Press Ctrl-C, and again where Ansible waits for ever for a worker that the first one ended in mid-sentence."""
    while process.poll() is None:
        # As a terminal does: to all processes in it
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(TimeoutExpired):
            process.communicate(timeout=10)


def rollback(service: Service) -> CompletedProcess[str]:
    return service.play("playbooks/rollback.yml")


def scale_out(service: Service) -> CompletedProcess[str]:
    return service.play("playbooks/scale.yml", "-e", "app_count=4")


def scale_in(service: Service) -> CompletedProcess[str]:
    return service.play("playbooks/scale.yml", "-e", "app_count=2")


def maintain(service: Service) -> CompletedProcess[str]:
    """One host out, and in again."""
    for state in ("drain", "ready"):
        done = service.play("playbooks/maintenance.yml", "-e", f"host={app_host(service)}", "-e", f"state={state}")
        if done.returncode:
            break
    return done


def run_site(service: Service) -> CompletedProcess[str]:
    return service.play("site.yml")


def read_until(process: Popen[str], *texts: str) -> None:
    """Read the output up to the line that has the first text, then up to that which has the next."""
    seen = []
    assert process.stdout is not None
    for text in texts:
        for line in process.stdout:
            seen.append(line)
            if text in line:
                break
        else:
            raise AssertionError(f"{text!r} was not said:\n{''.join(seen)}")


# Seconds until the health check has taken a silent server out: the next check is due (inter 2s), and three fail after
# 2 s each (timeout connect), with fastinter 1s between them
OUT = 2 + 3 * 2 + 2 * 1
# Seconds until it has taken one back: the last failing check may hang (2 s), the next is due (downinter 1s), and the
# second good one follows (fastinter 1s); one more for the machine
BACK = 2 + 1 + 1 + 1
# Answers that a server that dies is in the middle of. One that it has not begun is asked of another server; at 200
# requests a second that take 10 ms, 2 are under way at any time
IN_FLIGHT = 3


@dataclass(frozen=True)
class Event:
    """One row of the table, and what it has to keep to."""

    title: str
    run: Callable[[Service], CompletedProcess[str] | None]
    # Requests that may fail; None: those that come while no load balancer is there to take them
    failed: int | None = 0
    # Seconds from the end of the fault until nothing may be wrong any more; None: an operator's change
    whole: float | None = None
    # What the operator is told, and whether the command succeeds
    says: tuple[str, ...] = ()
    succeeds: bool = True

    @property
    def name(self) -> str:
        return self.run.__name__.replace("_", "-")


EVENTS = (
    Event("SIGKILL of an app container", kill_container, IN_FLIGHT, OUT + BACK),
    Event(f"app droplet cut off from its network for {CUT_OFF_SECONDS} s", cut_off, IN_FLIGHT, BACK),
    Event("app droplet rebooted", reboot_app_droplet, IN_FLIGHT, OUT + BACK),
    Event("app droplet power-cycled", power_cycle_app_droplet, IN_FLIGHT, OUT + BACK),
    Event(f"disk of an app droplet full for {FULL_SECONDS} s", fill_disk, whole=OUT + BACK),
    Event("HAProxy reloaded 20 times", reload_haproxy),
    Event("PostgreSQL restarted", restart_postgresql),
    Event("Redis restarted", restart_redis),
    # What nobody else can serve meanwhile: clients are refused until it is there again
    Event("HAProxy restarted by hand", restart_haproxy, failed=None, whole=5),
    # Debian reloads it
    Event("HAProxy's package reinstalled", reinstall_haproxy),
    # Both databases at once; hits waits 3 s for one of them
    Event("data droplet rebooted", reboot_data_droplet, whole=OUT + BACK),
    Event("all droplets rebooted at once", reboot_everything, failed=None, whole=OUT + BACK),
    Event("site.yml, which changes nothing", run_site),
    Event("deploy of a good release", deploy_good, says=("Replaced on app-1, app-2",)),
    Event("deploy of a release that is never ready", deploy_never_ready, says=("stopped at app-1",), succeeds=False),
    Event(
        "deploy of a release that dies after a second",
        deploy_dies,
        says=("stopped at app-1",),
        succeeds=False,
    ),
    Event("deploy of an image that does not exist", deploy_missing, says=("never-built",), succeeds=False),
    Event(
        "two deploys at once",
        deploy_twice_at_once,
        says=("has been changing this service since",),
        succeeds=False,
    ),
    Event("deploy interrupted with Ctrl-C and run again", deploy_interrupted, says=("Replaced on",)),
    Event("rollback", rollback, says=("Replaced on",)),
    Event("one app server taken out for maintenance and brought back", maintain),
    Event("2 → 4 droplets", scale_out, says=("4 app servers",)),
    Event("4 → 2 droplets", scale_in, says=("2 app servers",)),
)
