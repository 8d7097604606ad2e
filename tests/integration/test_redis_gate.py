"""The gate on a real Redis: races, one round trip, lost scripts, lost replies, replicas that are waited for."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from firstcome.adapters.redis.connect import Timeouts
from firstcome.adapters.redis.gate import GateKeys, RedisGate
from firstcome.domain.claim import Admission, new_coupon_code
from firstcome.domain.errors import GateLostError, GateUnavailableError
from firstcome.domain.gate import GateView
from firstcome.domain.refusal import Refusal, Refused
from tests.conftest import RedisTestServer
from tests.factories import a_campaign, a_user_id
from verify.tcp_proxy import Mode, TcpProxy

THREADS = 100


def _open(gate: RedisGate, capacity: int) -> str:
    campaign = a_campaign(capacity=capacity)
    gate.register([campaign.campaign_id])
    gate.create(campaign)
    return campaign.campaign_id


def _rush(server: RedisTestServer, campaign_id: str, users: list[str]) -> list[Admission | Refused]:
    """Let every user apply at the same moment, each on a connection of their own."""
    start = threading.Barrier(len(users))

    def apply(user: str) -> Admission | Refused:
        gate = server.gate()
        gate.show(campaign_id)
        start.wait(timeout=30)
        return gate.apply(campaign_id, user, new_coupon_code())

    with ThreadPoolExecutor(len(users)) as pool:
        return list(pool.map(apply, users))


@pytest.mark.parametrize("capacity", [1, 5, 99])
def test_a_hundred_threads_get_exactly_the_capacity(redis_server: RedisTestServer, capacity: int) -> None:
    campaign_id = _open(redis_server.gate(), capacity)

    answers = _rush(redis_server, campaign_id, [a_user_id() for _ in range(THREADS)])

    won = [answer.claim.sequence for answer in answers if isinstance(answer, Admission)]
    assert sorted(won) == list(range(1, capacity + 1))
    assert [answer for answer in answers if isinstance(answer, Refused)] == [Refused(Refusal.SOLD_OUT)] * (
        THREADS - capacity
    )


def test_a_hundred_threads_of_one_user_get_one_coupon(redis_server: RedisTestServer) -> None:
    campaign_id = _open(redis_server.gate(), 50)

    answers = _rush(redis_server, campaign_id, ["ann"] * THREADS)

    claims = {answer.claim for answer in answers if isinstance(answer, Admission)}
    assert len(claims) == 1
    assert sum(isinstance(answer, Admission) and answer.is_new for answer in answers) == 1
    assert redis_server.client.get(GateKeys(campaign_id).accepted) == b"1"


def test_a_refusal_costs_one_round_trip_and_writes_nothing(redis_server: RedisTestServer) -> None:
    gate = redis_server.gate()
    campaign_id = _open(gate, 1)
    gate.apply(campaign_id, "ann", new_coupon_code())
    gate.apply(campaign_id, "bob", new_coupon_code())
    before = redis_server.client.info("everything")

    assert gate.apply(campaign_id, "carl", new_coupon_code()) == Refused(Refusal.SOLD_OUT)

    after = redis_server.client.info("everything")
    assert after["rdb_changes_since_last_save"] == before["rdb_changes_since_last_save"]
    calls = {
        name: after[name]["calls"] - before.get(name, {"calls": 0})["calls"] for name in after if "cmdstat" in name
    }
    # INFO is this test's own question; the rest of the script's commands are reads within the one call.
    assert {name: count for name, count in calls.items() if count} == {
        "cmdstat_info": 1,
        "cmdstat_evalsha": 1,
        "cmdstat_hget": 1,
        "cmdstat_hmget": 1,
        "cmdstat_time": 1,
        "cmdstat_get": 1,
        "cmdstat_hlen": 1,
    }


def test_no_key_of_a_gate_expires(redis_server: RedisTestServer) -> None:
    gate = redis_server.gate()
    campaign_id = _open(gate, 2)
    answer = gate.apply(campaign_id, "ann", new_coupon_code())
    assert isinstance(answer, Admission)
    gate.mark_issued([answer.claim])

    keys = redis_server.client.keys("*")

    assert len(keys) == 7
    assert {redis_server.client.ttl(key) for key in keys} == {-1}


def test_a_flushed_script_cache_heals(redis_server: RedisTestServer) -> None:
    gate = redis_server.gate()
    campaign_id = _open(gate, 2)
    gate.apply(campaign_id, "ann", new_coupon_code())

    redis_server.client.script_flush()

    answer = gate.apply(campaign_id, "bob", new_coupon_code())
    assert isinstance(answer, Admission)
    assert answer.claim.sequence == 2


def test_a_campaign_without_its_counter_never_starts_again_at_one(redis_server: RedisTestServer) -> None:
    gate = redis_server.gate()
    campaign_id = _open(gate, 2)
    gate.apply(campaign_id, "ann", new_coupon_code())
    redis_server.client.delete(GateKeys(campaign_id).accepted)

    with pytest.raises(GateLostError):
        gate.apply(campaign_id, "bob", new_coupon_code())


def test_a_sentinel_that_is_gone_makes_every_unknown_campaign_suspect(redis_server: RedisTestServer) -> None:
    with pytest.raises(GateLostError):
        redis_server.gate().apply("any", "ann", new_coupon_code())


def test_without_the_replicas_asked_for_nothing_is_accepted_for_good(redis_server: RedisTestServer) -> None:
    campaign_id = _open(redis_server.gate(), 2)
    careful = redis_server.gate(replica_acks=1)

    with pytest.raises(GateUnavailableError):
        careful.apply(campaign_id, "ann", new_coupon_code())

    # The claim is kept, and is the user's own once they ask again.
    found = redis_server.gate().find(campaign_id, "ann")
    assert isinstance(found, Admission)
    assert (found.claim.sequence, found.is_in_outbox) == (1, True)


def test_asking_again_elsewhere_does_not_get_round_the_replicas(redis_server: RedisTestServer) -> None:
    campaign_id = _open(redis_server.gate(), 2)
    with pytest.raises(GateUnavailableError):
        redis_server.gate(replica_acks=1).apply(campaign_id, "ann", new_coupon_code())

    with pytest.raises(GateUnavailableError):
        redis_server.gate(replica_acks=1).apply(campaign_id, "ann", new_coupon_code())


def test_what_no_replica_has_is_not_sent_by_the_relay_either(redis_server: RedisTestServer) -> None:
    gate = redis_server.gate()
    campaign_id = _open(gate, 2)
    gate.apply(campaign_id, "ann", new_coupon_code())
    careful = redis_server.gate(replica_acks=1)

    with pytest.raises(GateUnavailableError):
        careful.outbox(campaign_id, 0, 10)
    with pytest.raises(GateUnavailableError):
        careful.find(campaign_id, "ann")


def test_what_needs_no_replica_is_answered_without_one(redis_server: RedisTestServer) -> None:
    gate = redis_server.gate()
    campaign_id = _open(gate, 1)
    answer = gate.apply(campaign_id, "ann", new_coupon_code())
    assert isinstance(answer, Admission)
    gate.remove_from_outbox([answer.claim])
    careful = redis_server.gate(replica_acks=1)

    # Nothing to send; a claim that was sent, and so was confirmed before; refusals.
    assert careful.outbox(campaign_id, 0, 10) == []
    assert careful.find(campaign_id, "ann") == careful.apply(campaign_id, "ann", new_coupon_code())
    assert careful.find(campaign_id, "bob") is None
    assert careful.apply(campaign_id, "bob", new_coupon_code()) == Refused(Refusal.SOLD_OUT)


def test_a_server_that_is_out_of_memory_admits_nobody_and_half_of_nothing(redis_server: RedisTestServer) -> None:
    gate = redis_server.gate()
    campaign_id = _open(gate, 2)
    redis_server.client.config_set("maxmemory", 1)
    try:
        with pytest.raises(GateUnavailableError):
            gate.apply(campaign_id, "ann", new_coupon_code())
    finally:
        redis_server.client.config_set("maxmemory", 0)

    answer = gate.apply(campaign_id, "ann", new_coupon_code())
    assert isinstance(answer, Admission)
    assert (answer.claim.sequence, answer.is_new) == (1, True)


def test_a_lost_reply_burns_no_slot(redis_server: RedisTestServer) -> None:
    campaign_id = _open(redis_server.gate(), 3)
    with TcpProxy(redis_server.port) as proxy:
        through_proxy = RedisTestServer(proxy.port, redis_server.client).gate(timeouts=Timeouts(5, 5, 0.5))
        # So that Redis knows the script, and the request that loses its reply is the one that counts.
        through_proxy.apply(campaign_id, "bob", new_coupon_code())
        proxy.set(Mode.MUTE)
        with pytest.raises(GateUnavailableError):
            through_proxy.apply(campaign_id, "ann", new_coupon_code())
        proxy.set(Mode.OPEN)

        answer = through_proxy.apply(campaign_id, "ann", new_coupon_code())

    assert isinstance(answer, Admission)
    assert (answer.claim.sequence, answer.is_new) == (2, False)
    assert redis_server.client.get(GateKeys(campaign_id).accepted) == b"2"


def test_what_is_issued_is_noted_later_when_there_was_no_memory_for_it(redis_server: RedisTestServer) -> None:
    gate = redis_server.gate()
    campaign_id = _open(gate, 2)
    answer = gate.apply(campaign_id, "ann", new_coupon_code())
    assert isinstance(answer, Admission)
    redis_server.client.config_set("maxmemory", 1)
    try:
        with pytest.raises(GateUnavailableError):
            gate.mark_issued([answer.claim])
    finally:
        redis_server.client.config_set("maxmemory", 0)
    assert gate.claim_counts(campaign_id).issued == 0

    gate.mark_issued([answer.claim])

    assert gate.claim_counts(campaign_id).issued == 1


def test_the_outbox_is_never_younger_than_now(redis_server: RedisTestServer) -> None:
    """As after the clock was set back by an hour."""
    gate = redis_server.gate()
    campaign_id = _open(gate, 2)
    answer = gate.apply(campaign_id, "ann", new_coupon_code())
    assert isinstance(answer, Admission)
    redis_server.client.zadd(GateKeys(campaign_id).outbox, {"ann": answer.claim.accepted_at + 3_600_000})

    view = gate.show(campaign_id)
    assert isinstance(view, GateView)
    assert view.oldest_outbox_ms == 0
    assert gate.outbox(campaign_id, 60_000, 10) == [answer.claim]
