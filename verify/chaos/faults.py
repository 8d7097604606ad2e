"""The faults of the long run: what each does, and for how long. A fault is over when its function returns."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

import psutil

from verify.chaos.forwarder import Forwarder, Mode
from verify.chaos.site import BreakableSite

MARIADB_DOWN_SECONDS = 60
SHORTEST_STALL, LONGEST_STALL = 0.3, 5.0
QUEUE_FAULT_SECONDS = 5.0
KILL_ROUNDS = 5
# Of the apply workers in a round: the rest goes on, as it would in the cloud.
MOST_KILLED = 2
DRAIN_WORKERS = 2
# Looks for a drain at work, 0.2 s apart.
DRAIN_ROUNDS = 20


@dataclass
class Scene:
    """What a fault works on."""

    site: BreakableSite
    rng: random.Random
    wait: Callable[[float], None]

    def stall_seconds(self) -> float:
        """How long Redis does not answer this time."""
        return self.rng.uniform(SHORTEST_STALL, LONGEST_STALL)


def pause_redis(scene: Scene) -> str:
    """Redis takes no command for a while."""
    seconds = scene.stall_seconds()
    scene.site.servers.call("CLIENT", "PAUSE", round(seconds * 1000), "ALL")
    scene.wait(seconds)
    return f"{seconds:.1f} s"


def stop_redis(scene: Scene) -> str:
    """The whole server stands still."""
    seconds = scene.stall_seconds()
    with scene.site.servers.stopped(scene.site.servers.primary_name):
        scene.wait(seconds)
    return f"{seconds:.1f} s"


def stop_replica(scene: Scene) -> str:
    """The replica stands still: with acknowledgements asked for, nothing can be confirmed."""
    seconds = scene.stall_seconds()
    with scene.site.servers.stopped(scene.site.servers.replica_name):
        scene.wait(seconds)
    return f"{seconds:.1f} s"


def lose_redis_replies(scene: Scene) -> str:
    """Redis does what it is asked, and nobody hears of it."""
    return _break(scene, scene.site.servers.front, Mode.MUTE, scene.rng.uniform(1.0, 3.0))


def flush_scripts(scene: Scene) -> str:
    """Redis forgets the scripts, three times."""
    for _ in range(3):
        scene.site.servers.call("SCRIPT", "FLUSH")
        scene.wait(0.5)
    return "3 times"


def fail_over(scene: Scene) -> str:
    """The replica is 300 ms behind when the primary dies, and takes its place."""
    servers = scene.site.servers
    servers.link.set(Mode.HELD)
    scene.wait(0.3)
    claims = servers.count_claims()
    servers.kill_primary()
    # What was held never arrived.
    servers.link.set(Mode.CUT)
    servers.promote()
    return f"{claims - servers.count_claims()} claims lost"


def flush_redis(scene: Scene) -> str:
    """Redis loses everything, its replica too."""
    scene.site.servers.call("FLUSHALL")
    return "everything lost"


def throttle_queue(scene: Scene) -> str:
    """SQS refuses every call."""
    return _break(scene, scene.site.sqs, Mode.THROTTLED, QUEUE_FAULT_SECONDS)


def cut_queue(scene: Scene) -> str:
    """SQS cannot be reached."""
    return _break(scene, scene.site.sqs, Mode.CUT, QUEUE_FAULT_SECONDS)


def lose_queue_replies(scene: Scene) -> str:
    """SQS takes the messages, and its answers are lost."""
    return _break(scene, scene.site.sqs, Mode.MUTE, QUEUE_FAULT_SECONDS)


def kill_apply(scene: Scene) -> str:
    """The apply workers are killed between the gate and the queue, where the queue keeps them waiting."""
    site, killed = scene.site, 0
    for _ in range(KILL_ROUNDS):
        site.sqs.set(Mode.HELD)
        scene.wait(0.6)
        held = site.sqs.held_clients
        killed += site.kill_workers(site.stack.functions.apply, _has_link(near=held), MOST_KILLED)
        # What they had sent is lost with them.
        site.sqs.set(Mode.CUT)
        site.sqs.set(Mode.OPEN)
        scene.wait(1.0)
    return f"{killed} workers"


def kill_drain(scene: Scene) -> str:
    """The drain workers are killed within their transaction, where MariaDB keeps them waiting."""
    site, killed = scene.site, 0
    waits_for_mariadb = _has_link(far=site.stack.mysql.port)
    with site.stopped_mariadb():
        # By then every drain that had begun waits for its next reply, and those to come wait too.
        scene.wait(2.0)
        for _ in range(DRAIN_ROUNDS):
            killed += site.kill_workers(site.stack.functions.drain, waits_for_mariadb, DRAIN_WORKERS)
            if killed >= DRAIN_WORKERS:
                break
            scene.wait(0.2)
    return f"{killed} workers"


def take_mariadb_down(scene: Scene) -> str:
    """MariaDB is killed, and stays away for a minute."""
    scene.site.kill_mariadb()
    scene.wait(MARIADB_DOWN_SECONDS)
    scene.site.restart_mariadb()
    return f"{MARIADB_DOWN_SECONDS} s"


def _break(scene: Scene, forwarder: Forwarder, mode: Mode, seconds: float) -> str:
    forwarder.set(mode)
    scene.wait(seconds)
    forwarder.set(Mode.OPEN)
    return f"{seconds:.1f} s"


def _has_link(near: Collection[int] = (), far: int = 0) -> Callable[[psutil.Process], bool]:
    """Picks processes with a TCP connection from one of the ports `near`, or to the port `far`."""

    def has(process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            links = [link for link in process.net_connections("tcp") if link.raddr]
            return any(link.laddr.port in near or link.raddr.port == far for link in links)
        return False

    return has


FAULTS: dict[str, Callable[[Scene], str]] = {
    "redis-paused": pause_redis,
    "redis-stopped": stop_redis,
    "redis-replica-stopped": stop_replica,
    "redis-replies-lost": lose_redis_replies,
    "scripts-flushed": flush_scripts,
    "sqs-throttled": throttle_queue,
    "sqs-cut": cut_queue,
    "sqs-replies-lost": lose_queue_replies,
    "apply-killed": kill_apply,
    "redis-failed-over": fail_over,
    "redis-flushed": flush_redis,
    "mariadb-down": take_mariadb_down,
    "drain-killed": kill_drain,
}
