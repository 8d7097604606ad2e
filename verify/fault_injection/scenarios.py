"""What happens in a run: short scenarios that together make every external call of every function.

Each is run once without faults, which records its calls, and then once for every fault at every call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from firstcome.adapters.mysql.migrate import TABLES
from firstcome.domain.message import to_body
from tests.factories import a_claim
from tests.fakes import NOW
from verify.fault_injection.client import Client, given, to_answer
from verify.fault_injection.world import CAMPAIGN, GATE, MINUTE_MS, World

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


def _looked_at(_: World, client: Client) -> None:
    client.operate("GET /campaigns/{campaign_id}/coupons/lookup", query={"user_id": "alice"})
    client.operate("GET /campaigns/{campaign_id}/events")


def _erased(_: World, client: Client) -> None:
    client.erase("alice")


def _archived(world: World, client: Client) -> None:
    client.put(capacity=2, closes_at="2020-01-02T00:00:00Z")
    client.operate_until_done("DELETE /campaigns/{campaign_id}")
    # Its gate is gone for good.
    world.has_gate = False


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


def _lock_lost(then: Callable[[World, Client], object], meanwhile: Callable[[World, Client], object]) -> Steps:
    """Do something under the campaign's lock; who waits for the lock goes first where it is lost."""

    def run(world: World, client: Client) -> None:
        with world.wire.set(meanwhile=lambda: meanwhile(world, client)):
            then(world, client)
        with world.wire.set(is_recording=False):
            for number in range(8):
                client.apply(f"user-{number}")
        world.drain()

    return run


def _all_issued(world: World, client: Client) -> None:
    """All coupons are given and issued, and there is a backup of the ledger from the time when one was."""
    client.migrate()
    client.put(capacity=2)
    client.apply("alice")
    world.drain()
    world.back_up_ledger()
    client.put(capacity=3)
    for user in ("bob", "carol"):
        client.apply(user)
    world.drain()


def _restored(world: World, client: Client) -> None:
    _all_issued(world, client)
    world.restore_ledger()


def _emptied(world: World, client: Client) -> None:
    """The ledger went back to when there was no campaign."""
    _all_issued(world, client)
    for table in TABLES:
        world.rows(f"DELETE FROM {table}")


def _purged(world: World, client: Client) -> None:
    """Two accepted claims were in the queue."""
    two_coupons(world, client)
    client.apply("alice")
    client.apply("bob")
    world.queue.purge()
    world.pass_time(1_000)


def _reconciled(world: World, client: Client) -> None:
    client.operate_until_done("POST /campaigns/{campaign_id}/reconcile")
    _healed(world, client)


def _stepped(milliseconds: int) -> Steps:
    """Let the clock of Redis step in the middle of everything."""

    def run(world: World, client: Client) -> None:
        client.apply("alice")
        world.set_redis_ahead(milliseconds)
        client.apply("bob")
        world.drain()
        client.put(capacity=3)
        world.relay()
        client.apply("carol")
        world.settle()
        world.set_redis_ahead(0)

    return run


def _with_a_free_seat(world: World, client: Client) -> None:
    """Alice's claim is issued, bob's is queued; seats below the counter are free, their claims forgotten unsent."""
    client.migrate()
    client.put(capacity=5)
    forgotten = ("dave", "finn", "gina")
    for user in (*forgotten, "alice"):
        client.apply(user)
    world.drain()
    world.rows(f"DELETE FROM coupon WHERE user_id IN {forgotten}")
    world.redis.flushall()
    world.settle()
    world.answers = [answer for answer in world.answers if answer.user not in forgotten]
    client.apply("erin")
    world.drain()
    client.apply("bob")


def _without_key(name: str) -> Steps:
    def prepare(world: World, client: Client) -> None:
        _with_a_free_seat(world, client)
        assert world.redis.delete(name)

    return prepare


def _without_outbox(world: World, client: Client) -> None:
    _left_behind(world, client)
    world.redis.delete(f"{GATE}outbox")


def _evicted(world: World, client: Client) -> None:
    _with_a_free_seat(world, client)
    world.redis.delete(*(f"{GATE}{key}" for key in ("accepted", "claims", "issued", "winners")))


def _outbox_alone(world: World, client: Client) -> None:
    """Somebody is in the outbox who has no claim."""
    two_coupons(world, client)
    client.apply("alice")
    world.redis.zadd(f"{GATE}outbox", {"nobody": 0})


def _far_above(world: World, client: Client) -> None:
    """Redis forgot claims, and a message is far above its counter."""
    client.migrate()
    client.put(capacity=1_000_000)
    client.apply("alice")
    claim = a_claim(CAMPAIGN, 600_000, "frank")
    world.queue.send(to_body(claim))
    world.answers.append(to_answer("frank", "apply", given(claim), NOW))
    world.is_rolled_back = True


HOUR_MS = 60 * MINUTE_MS
LATE = ("frank", "grace", "heidi")
KEYS = (
    *(f"{GATE}{key}" for key in ("campaign", "accepted", "claims", "issued", "free", "winners")),
    "firstcome:campaigns",
)
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
    Scenario("looked at", _sold_out, _looked_at),
    Scenario("erased", _sold_out, _erased),
    Scenario("archived", _all_issued, _archived, asks_again=False),
    Scenario("lock lost while raising", _sold_out, _lock_lost(lambda _, it: it.put(6), lambda _, it: it.put(3))),
    Scenario("lock lost while lowering", two_coupons, _lock_lost(lambda _, it: it.put(1), lambda _, it: it.put(3))),
    Scenario("lock lost while rebuilding", _wiped, _lock_lost(_rebuilt, lambda world, _: world.relay())),
    Scenario("lock lost while reconciling", _purged, _lock_lost(_reconciled, lambda world, _: world.relay())),
    Scenario("queue purged", _purged, _healed),
    Scenario("queue purged, reconciled", _purged, _reconciled),
    Scenario("ledger restored", _restored, _healed),
    Scenario("ledger restored, reconciled", _restored, _reconciled),
    Scenario("ledger empty", _emptied, _healed),
    Scenario("clock back", two_coupons, _stepped(-HOUR_MS)),
    Scenario("clock forward", two_coupons, _stepped(HOUR_MS)),
    *(Scenario(f"without {key}", _without_key(key), _healed, LATE) for key in KEYS),
    Scenario("without the outbox", _without_outbox, _healed),
    Scenario("evicted", _evicted, _healed, LATE),
    Scenario("outbox without a claim", _outbox_alone, _healed),
    Scenario("far above the counter", _far_above, _settled_again),
)
