"""What happens in a run: short scenarios that together make every external call of every function.

Each is run once without faults, which records its calls, and then once for every fault at every call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from verify.fault_injection.client import Client
from verify.fault_injection.world import GATE, World

type Steps = Callable[[World, Client], None]


@dataclass(frozen=True)
class Scenario:
    """One scenario.

    Attributes:
        prepare: happens without faults.
        run: happens with them.
        late_users: apply at the end, when all is at rest: seats that came free must still be given.
        asks_again: whether everybody asks once more at the end: the naive rivals do not even claim to bear it.
    """

    name: str
    prepare: Steps
    run: Steps
    late_users: tuple[str, ...] = ()
    asks_again: bool = True


def two_coupons(_: World, client: Client) -> None:
    """Make the campaign."""
    client.migrate()
    client.put(capacity=2)


def _nothing(_: World, __: Client) -> None:
    pass


def _rush(world: World, client: Client) -> None:
    client.apply("alice")
    client.apply("alice")
    client.apply("bob")
    client.apply("carol")
    client.mine("alice")
    client.mine("carol")
    client.look()
    world.drain()
    world.relay()
    client.mine("bob")


def apply_drain_relay(world: World, client: Client) -> None:
    """Do all there is, once: three users, two coupons."""
    for user in ("alice", "bob", "carol"):
        client.apply(user)
    world.drain()
    world.relay()


def _with_cold_scripts(world: World, client: Client) -> None:
    two_coupons(world, client)
    world.redis.script_flush()


def _left_behind(world: World, client: Client) -> None:
    """Two claims that were never sent: their invocations died between gate and queue."""
    two_coupons(world, client)
    client.apply("alice")
    client.apply("bob")
    world.queue.purge()
    for user in ("alice", "bob"):
        world.redis.zadd(f"{GATE}outbox", {user: 0})


def _relayed(world: World, client: Client) -> None:
    world.relay()
    client.apply("carol")
    client.mine("alice")
    world.drain()


def _unreadable(world: World, client: Client) -> None:
    two_coupons(world, client)
    client.apply("alice")
    world.queue.send("not a claim")
    client.apply("bob")


def _drained(world: World, client: Client) -> None:
    world.drain()
    client.apply("carol")


def _operated(world: World, client: Client) -> None:
    client.migrate()
    client.put(capacity=2)
    client.operate("POST /campaigns/{campaign_id}/pause")
    client.apply("alice")
    client.operate("POST /campaigns/{campaign_id}/resume")
    with world.wire.set(is_recording=False):
        for user in ("alice", "bob", "carol"):
            client.apply(user)


def _changed(world: World, client: Client) -> None:
    client.put(capacity=4)
    with world.wire.set(is_recording=False):
        client.apply("carol")
        world.drain()
    client.put(capacity=1)
    client.put(capacity=3)
    with world.wire.set(is_recording=False):
        client.apply("dave")


def _watched(_: World, client: Client) -> None:
    client.operate("GET /campaigns/{campaign_id}/stats")
    client.operate("GET /campaigns/{campaign_id}/coupons")
    client.operate("GET /campaigns", campaign_id=None)


def _sold_out(world: World, client: Client) -> None:
    """All coupons are given, one is issued."""
    two_coupons(world, client)
    client.apply("alice")
    world.drain()
    client.apply("bob")
    client.apply("carol")


def _wiped(world: World, client: Client) -> None:
    """Redis lost everything while one claim was issued and another was queued."""
    two_coupons(world, client)
    client.apply("alice")
    world.drain()
    client.apply("bob")
    world.redis.flushall()


def _rebuilt(world: World, client: Client) -> None:
    client.operate_until_done("POST /campaigns/{campaign_id}/rebuild")
    _all_apply(world, client)


def _all_apply(world: World, client: Client) -> None:
    # Not with faults once more: the rush has them.
    with world.wire.set(is_recording=False):
        for user in ("bob", "alice", "carol"):
            client.apply(user)


def _healed(world: World, client: Client) -> None:
    world.settle()
    _all_apply(world, client)


def _promoted(world: World, client: Client) -> None:
    """A replica took over, with everything: its run id is another. One claim is in the outbox, one message was lost."""
    two_coupons(world, client)
    client.put(capacity=3)
    client.apply("alice")
    world.queue.purge()
    client.apply("bob")
    world.redis.zadd(f"{GATE}outbox", {"bob": 0})
    world.redis.hset(f"{GATE}campaign", "run_id", "0123456789abcdef")


def _rolled_back(world: World, client: Client) -> None:
    """Redis forgot the latest acknowledged claim, and looks as if nothing had happened."""
    client.migrate()
    client.put(capacity=3)
    client.apply("alice")
    client.apply("bob")
    world.redis.hdel(f"{GATE}claims", "bob")
    world.redis.zrem(f"{GATE}outbox", "bob")
    world.redis.decr(f"{GATE}accepted")
    world.is_rolled_back = True


def _settled_again(world: World, client: Client) -> None:
    client.apply("carol")
    world.drain()
    world.settle()
    with world.wire.set(is_recording=False):
        client.apply("dave")


def _rolled_back_further(world: World, client: Client) -> None:
    """The same with all seats taken: somebody will find none."""
    _rolled_back(world, client)
    client.apply("carol")
    client.apply("dave")


RUSH = Scenario("rush", two_coupons, _rush)
PAIRS = Scenario("apply, drain, relay", two_coupons, apply_drain_relay)
NAIVE = Scenario("apply, drain, relay", two_coupons, apply_drain_relay, asks_again=False)
UNREADABLE = Scenario("unreadable", _unreadable, _drained)
ALL = (
    RUSH,
    Scenario("scripts flushed", _with_cold_scripts, apply_drain_relay),
    Scenario("left behind", _left_behind, _relayed),
    UNREADABLE,
    Scenario("operated", _nothing, _operated),
    Scenario("changed", _sold_out, _changed),
    Scenario("watched", _sold_out, _watched),
    Scenario("wiped, rebuilt", _wiped, _rebuilt),
    Scenario("wiped, healed by the relay", _wiped, _healed),
    Scenario("promoted replica", _promoted, _healed, ("dave", "erin")),
    Scenario("rolled back", _rolled_back, _settled_again, ("erin", "frank")),
    Scenario("rolled back, sold out", _rolled_back_further, _settled_again, ("erin", "frank")),
)
