"""Redis fails over to a replica that has missed the latest claims; real servers, and the real promotion."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest
import redis

from local.services.ports import free_port
from verify.fault_injection.client import APPLY, Client
from verify.fault_injection.servers import started_servers
from verify.fault_injection.world import World

CAPACITY = 40


@dataclass
class Pair:
    """A primary, its replica, and the world on them."""

    world: World
    primary_pid: int
    replica: "redis.Redis"
    replica_port: int

    def cut_off(self) -> None:
        """Let the replica miss whatever is written from now on."""
        self.replica.execute_command("REPLICAOF", "127.0.0.1", free_port())

    def fail_over(self) -> None:
        """Kill the primary, promote the replica, and let the name lead there."""
        os.kill(self.primary_pid, signal.SIGKILL)
        self.replica.execute_command("REPLICAOF", "NO", "ONE")
        self.world.move_gate(self.replica_port)


@pytest.fixture
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with started_servers(tmp_path_factory.mktemp("failover")) as servers:
        port = servers.add_replica("redis-replica")
        with redis.Redis(port=port) as replica, closing(World(servers)) as world, world.running():
            # WAIT answers as soon as the replica has everything.
            assert world.redis.wait(1, 10_000) == 1
            yield Pair(world, world.redis.info("server")["process_id"], replica, port)


def rush(world: World, first: int, last: int) -> None:
    """Let users apply once each, whatever they are answered."""
    for number in range(first, last):
        Client(world).ask_as(f"user-{number}", "apply", APPLY)


def everybody_asks_again(world: World) -> None:
    for user in world.users():
        Client(world).apply(user)
    world.settle()


def test_with_one_replica_to_confirm_no_accepted_claim_is_lost(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATE_REPLICA_ACKS", "1")
    world = pair.world
    Client(world).put(CAPACITY)
    rush(world, 0, 20)
    pair.cut_off()
    rush(world, 20, 25)
    assert {answer.status for answer in world.answers[20:]} == {503}
    pair.fail_over()
    # The new primary has no replica of its own yet: nothing is confirmed, and nothing accepted, until it has one.
    rush(world, 25, 26)
    assert world.answers[-1].status == 503
    monkeypatch.setenv("GATE_REPLICA_ACKS", "0")
    world.forget_environments()
    rush(world, 26, 60)
    everybody_asks_again(world)
    assert world.violations() == {}
    assert len(world.issued()) == CAPACITY


@pytest.mark.parametrize("drained_ms", [0, 20_000], ids=["still queued", "drained before"])
def test_with_none_every_claim_that_was_answered_has_its_row_or_is_in_overflow(pair: Pair, drained_ms: int) -> None:
    world = pair.world
    Client(world).put(CAPACITY)
    rush(world, 0, 20)
    pair.cut_off()
    rush(world, 20, 30)
    lost = [answer.user for answer in world.answers[20:]]
    assert len(lost) == 10
    world.drain(drained_ms)
    pair.fail_over()
    assert not any(world.redis.hexists("firstcome:{demo}:claims", user) for user in lost)
    rush(world, 30, 60)
    everybody_asks_again(world)
    # Not even a seat was lost: the new primary's run id fences the gate until the ledger has what was queued.
    assert world.violations() == {}
    assert world.issued("overflow") == []
    assert len(world.issued()) == CAPACITY
