"""The faults of the long run: what each does, for how long, and in which order they come."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass

import psutil

from verify.chaos.site import BreakableSite
from verify.tcp_proxy import Mode, TcpProxy

MARIADB_DOWN_SECONDS = 60
SHORTEST_STALL, LONGEST_STALL = 0.3, 5.0
QUEUE_FAULT_SECONDS = 5.0
KILL_ROUNDS = 5
# Of the apply workers in a round: the rest goes on, as it would in the cloud.
MOST_KILLED = 2
DRAIN_WORKERS = 2
# Looks for a drain at work, 0.2 s apart.
DRAIN_ROUNDS = 20
HOUR_MS = 3_600_000


@dataclass
class Scene:
    """What a fault works on."""

    site: BreakableSite
    rng: random.Random

    def stall(self) -> str:
        """Let some time pass, and say how much."""
        return wait(self.rng.uniform(SHORTEST_STALL, LONGEST_STALL))


def wait(seconds: float) -> str:
    """Let time pass, and say how much."""
    time.sleep(seconds)
    return f"{seconds:.1f} s"


def pause_redis(scene: Scene) -> str:
    """Redis takes no command for a while."""
    seconds = scene.rng.uniform(SHORTEST_STALL, LONGEST_STALL)
    scene.site.servers.call("CLIENT", "PAUSE", round(seconds * 1000), "ALL")
    return wait(seconds)


def stop_redis(scene: Scene) -> str:
    """The whole server stands still."""
    with scene.site.stopped(scene.site.servers.primary_name):
        return scene.stall()


def stop_replica(scene: Scene) -> str:
    """The replica stands still: with acknowledgements asked for, nothing can be confirmed."""
    with scene.site.stopped(scene.site.servers.replica_name):
        return scene.stall()


def lose_redis_replies(scene: Scene) -> str:
    """Redis does what it is asked, and its answers are lost."""
    return _break(scene.site.servers.front, Mode.MUTE, scene.rng.uniform(1.0, 3.0))


def flush_scripts(scene: Scene) -> str:
    """Redis forgets the scripts, three times."""
    for _ in range(3):
        scene.site.servers.call("SCRIPT", "FLUSH")
        wait(0.5)
    return "3 times"


def set_clock_back(scene: Scene) -> str:
    """The clock of Redis steps back by an hour."""
    return _step_clock(scene, -HOUR_MS)


def set_clock_forward(scene: Scene) -> str:
    """The clock of Redis steps forward by an hour."""
    return _step_clock(scene, HOUR_MS)


def fail_over(scene: Scene) -> str:
    """The replica is 300 ms behind when the primary dies, and takes its place."""
    servers = scene.site.servers
    servers.link.set(Mode.HELD)
    wait(0.3)
    claims = servers.count_claims()
    servers.kill_primary()
    # What was held never arrived.
    servers.link.set(Mode.CUT)
    servers.promote()
    lost = claims - servers.count_claims()
    servers.add_replica()
    return f"{lost} claims lost"


def flush_redis(scene: Scene) -> str:
    """Redis loses everything, its replica too."""
    scene.site.servers.call("FLUSHALL")
    return "everything lost"


def throttle_queue(scene: Scene) -> str:
    """SQS refuses every call."""
    with scene.site.throttled_queue():
        return wait(QUEUE_FAULT_SECONDS)


def cut_queue(scene: Scene) -> str:
    """SQS cannot be reached."""
    return _break(scene.site.sqs, Mode.CUT, QUEUE_FAULT_SECONDS)


def lose_queue_replies(scene: Scene) -> str:
    """SQS takes the messages, and its answers are lost."""
    return _break(scene.site.sqs, Mode.MUTE, QUEUE_FAULT_SECONDS)


def purge_queue(scene: Scene) -> str:
    """The queue is purged while the drain waits for MariaDB."""
    with scene.site.stopped_mariadb():
        wait(3.0)
        lost = scene.site.claims_under_way
        scene.site.purge_queue()
    return f"{lost} messages lost"


def restore_ledger(scene: Scene) -> str:
    """The ledger goes back to a backup."""
    scene.site.back_up_ledger()
    wait(5.0)
    return f"{scene.site.restore_ledger()} rows lost"


def kill_apply(scene: Scene) -> str:
    """The apply workers are killed between the gate and the queue, where the queue keeps them waiting."""
    site, killed = scene.site, 0
    for _ in range(KILL_ROUNDS):
        site.sqs.set(Mode.HELD)
        wait(0.6)
        killed += site.kill_workers(site.stack.functions.apply, _has_link(near=set(site.sqs.held_clients)), MOST_KILLED)
        # What they had sent is lost with them.
        site.sqs.set(Mode.CUT)
        site.sqs.set(Mode.OPEN)
        wait(1.0)
    return f"{killed} workers"


def kill_drain(scene: Scene) -> str:
    """The drain workers are killed within their transaction, where MariaDB keeps them waiting."""
    site, killed = scene.site, 0
    waits_for_mariadb = _has_link(far=site.stack.mysql.port)
    with site.stopped_mariadb():
        # By then every drain that had begun waits for its next reply, and those to come wait too.
        wait(2.0)
        for _ in range(DRAIN_ROUNDS):
            killed += site.kill_workers(site.stack.functions.drain, waits_for_mariadb, DRAIN_WORKERS)
            if killed >= DRAIN_WORKERS:
                break
            wait(0.2)
    return f"{killed} workers"


def take_mariadb_down(scene: Scene) -> str:
    """MariaDB is killed, and stays away for a minute."""
    with scene.site.without_mariadb():
        return wait(MARIADB_DOWN_SECONDS)


def _step_clock(scene: Scene, milliseconds: int) -> str:
    clock = scene.site.servers.clock
    assert clock
    clock.ahead_ms += milliseconds
    return wait(2.0)


def _break(proxy: TcpProxy, mode: Mode, seconds: float) -> str:
    proxy.set(mode)
    try:
        return wait(seconds)
    finally:
        proxy.set(Mode.OPEN)


def _has_link(near: Collection[int] = (), far: int = 0) -> Callable[[psutil.Process], bool]:
    """Pick processes with a TCP connection from one of the ports `near`, or to the port `far`."""

    def has(process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            links = [link for link in process.net_connections("tcp") if link.raddr]
            return any(link.laddr.port in near or link.raddr.port == far for link in links)
        return False

    return has


# Half a minute of these is felt as 503s at most.
SHORT: dict[str, Callable[[Scene], str]] = {
    "redis-paused": pause_redis,
    "redis-stopped": stop_redis,
    "redis-replica-stopped": stop_replica,
    "redis-replies-lost": lose_redis_replies,
    "redis-clock-back": set_clock_back,
    "redis-clock-forward": set_clock_forward,
    "scripts-flushed": flush_scripts,
    "sqs-throttled": throttle_queue,
    "sqs-cut": cut_queue,
    "sqs-replies-lost": lose_queue_replies,
    "apply-killed": kill_apply,
}
# After these the gates must be rebuilt, from a ledger that has everything.
LOSING_THE_GATE = {"redis-failed-over": fail_over, "redis-flushed": flush_redis}
# After these, accepted claims are nowhere but in the gate, and must be found.
LOSING_CLAIMS = {"queue-purged": purge_queue, "ledger-restored": restore_ledger}
# Last in a round: SQS brings some claims back only when its visibility timeout is over.
HOLDING_CLAIMS_UP = {"drain-killed": kill_drain, "mariadb-down": take_mariadb_down}
FAULTS = {**SHORT, **LOSING_THE_GATE, **LOSING_CLAIMS, **HOLDING_CLAIMS_UP}
ROUND_SECONDS = 480


@dataclass(frozen=True)
class Step:
    """One fault of the run; what it loses is restored by an operator, or by the relay."""

    kind: str
    by_operator: bool = False

    @property
    def needs_rest(self) -> bool:
        """Whether all that was accepted before must be in the ledger first, and again afterwards."""
        return self.kind in LOSING_THE_GATE or self.kind in LOSING_CLAIMS


def steps(rng: random.Random, seconds: float) -> Iterator[Step]:
    """Yield the faults of a run that lasts about that long, without an end: every kind once a round."""
    # The relay takes minutes more: too long for a short run.
    is_short, turn = seconds < ROUND_SECONDS, 0
    while True:
        short = rng.sample(sorted(SHORT), len(SHORT))
        for number, kind in enumerate(rng.sample(sorted({**LOSING_THE_GATE, **LOSING_CLAIMS}), 4)):
            yield from map(Step, short[2 * number : 2 * number + 2])
            yield Step(kind, by_operator=is_short or (turn + number) % 2 == 1)
        yield from map(Step, [*short[8:], *HOLDING_CLAIMS_UP])
        turn += 1
