"""The gate on a real cluster of three nodes: slots that move, before a rush and in the middle of one."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest

from firstcome.adapters.redis.connect import Timeouts
from firstcome.adapters.redis.gate import GateKeys
from firstcome.domain.claim import Admission, Claim, new_coupon_code
from firstcome.domain.errors import GateLoginError, GateLostError, GateUnavailableError
from firstcome.domain.gate import GateState
from firstcome.domain.refusal import Refusal, Refused
from firstcome.service.apply import Applications
from firstcome.service.ports import Gate
from firstcome.service.rebuild import Rebuild, Rebuilt
from firstcome.service.sold_out import SoldOutMemory
from tests.factories import a_campaign
from tests.fakes import FakeClock, MemoryLedger, MemoryQueue
from tests.gate_user import NAME, PASSWORD, RULES, GateUser
from tests.redis_cluster import RedisTestCluster

CAPACITY, THREADS, USERS_EACH = 400, 4, 200


def test_a_slot_that_has_moved_is_found_within_the_call_and_the_campaign_is_closed(
    redis_cluster: RedisTestCluster,
) -> None:
    gate, campaign = redis_cluster.gate(), a_campaign()
    gate.register([campaign.campaign_id])
    gate.create(campaign)
    answer = gate.apply(campaign.campaign_id, "ann", new_coupon_code())
    assert isinstance(answer, Admission)

    redis_cluster.migrate(campaign.campaign_id)

    # Claims are there, but it is another server.
    found = gate.find(campaign.campaign_id, "ann")
    assert isinstance(found, Admission)
    assert found.claim == answer.claim
    assert gate.state(campaign.campaign_id) is GateState.FENCED
    with pytest.raises(GateLostError):
        gate.apply(campaign.campaign_id, "bob", new_coupon_code())


def test_while_a_slot_moves_the_campaign_is_unavailable_and_nothing_is_written_in_two_places(
    redis_cluster: RedisTestCluster,
) -> None:
    gate, campaign = redis_cluster.gate(), a_campaign()
    gate.register([campaign.campaign_id])
    gate.create(campaign)
    answers: list[str] = []

    def apply() -> None:
        with pytest.raises(GateUnavailableError) as caught:
            gate.apply(campaign.campaign_id, "ann", new_coupon_code())
        answers.append(type(caught.value.__cause__).__name__)

    redis_cluster.migrate(campaign.campaign_id, during=apply)

    assert answers
    assert set(answers) <= {"TryAgainError", "AskError"}
    assert redis_cluster.owner(campaign.campaign_id).exists(GateKeys(campaign.campaign_id).claims) == 0


class Service:
    """A campaign on the cluster, with a queue and a ledger in memory."""

    def __init__(self, cluster: RedisTestCluster) -> None:
        self.cluster, self.clock, self.queue = cluster, FakeClock(), MemoryQueue()
        self.ledger = MemoryLedger(self.clock)
        self.campaign = a_campaign(capacity=CAPACITY, version=1)
        self.id = self.campaign.campaign_id
        self.gate: Gate = cluster.gate()
        self.ledger.create(self.campaign)
        self.ledger.update(self.campaign, 0)
        self.gate.register([self.id])
        self.gate.create(self.campaign)
        self.told: dict[str, Claim] = {}
        self.unanswered: list[str] = []

    def rush(self, users: list[str], barrier: Callable[[], object] = lambda: None) -> None:
        """Let users apply one after the other, on connections of their own."""
        environment = Applications(self.cluster.gate(), self.queue, SoldOutMemory(self.clock), self.clock)
        barrier()
        for user in users:
            try:
                answer = environment.apply(self.id, user)
            except GateUnavailableError:
                self.unanswered.append(user)
                continue
            if isinstance(answer, Admission):
                assert self.told.setdefault(user, answer.claim).coupon_code == answer.claim.coupon_code

    def drain(self) -> None:
        """Bring what is in the queue into the ledger."""
        waiting = self.queue.sent[self.queue.delivered :]
        self.gate.mark_issued(self.ledger.issue(waiting).issued)
        self.queue.delivered += len(waiting)

    def rebuild(self) -> object:
        """Rebuild the gate, as the relay does."""
        rebuild = Rebuild(self.gate, self.ledger, self.queue, self.clock, quiet_ms=0)
        outcome: object = None
        for _ in range(5):
            self.drain()
            outcome = rebuild.run(self.id, lambda: True)
            if isinstance(outcome, Rebuilt):
                break
        return outcome


def test_a_slot_that_migrates_in_the_middle_of_a_rush_costs_no_coupon(redis_cluster: RedisTestCluster) -> None:
    service = Service(redis_cluster)
    shares = [[f"user-{thread}-{number}" for number in range(USERS_EACH)] for thread in range(THREADS)]
    start = threading.Barrier(THREADS + 1)
    with ThreadPoolExecutor(THREADS) as pool:
        rushing = [pool.submit(service.rush, users, start.wait) for users in shares]
        start.wait(timeout=60)
        while len(service.told) < CAPACITY // 4:
            sleep(0.001)
        redis_cluster.migrate(service.id)
        for one in rushing:
            one.result()

    assert CAPACITY // 4 <= len(service.told) < CAPACITY
    assert service.gate.state(service.id) is GateState.FENCED
    assert isinstance(service.rebuild(), Rebuilt)
    service.rush([*service.told, *service.unanswered])
    service.drain()

    assert sorted(claim.sequence for claim in service.told.values()) == list(range(1, CAPACITY + 1))
    rows = [coupon.claim for coupon in service.ledger.coupons(service.id, 0, 10_000)]
    assert {row.user_id: row.coupon_code for row in rows} == {
        user: claim.coupon_code for user, claim in service.told.items()
    }
    assert service.ledger.overflow_claims(service.id) == []
    assert service.gate.apply(service.id, "late", new_coupon_code()) == Refused(Refusal.SOLD_OUT)


def test_the_gates_user_needs_two_commands_more_in_a_cluster(redis_cluster: RedisTestCluster) -> None:
    for node in redis_cluster.nodes:
        node.execute_command("ACL", "SETUSER", NAME, "reset", f">{PASSWORD}", *RULES, "+command", "+cluster|slots")

    assert redis_cluster.gate(GateUser()).campaign_ids() is None


def test_a_login_that_a_cluster_refuses_is_named(redis_cluster: RedisTestCluster) -> None:
    for node in redis_cluster.nodes:
        node.execute_command("ACL", "SETUSER", NAME, "reset", ">another", "on")

    with pytest.raises(GateLoginError):
        redis_cluster.gate(GateUser()).now()


def test_connections_that_nodes_have_closed_are_replaced(redis_cluster: RedisTestCluster) -> None:
    gate = redis_cluster.gate()
    before = gate.now()

    for node in redis_cluster.nodes:
        node.client_kill_filter(_type="normal", skipme=True)

    assert gate.now() >= before


def test_a_node_that_hangs_is_given_up_and_asked_for_once_it_is_back(redis_cluster: RedisTestCluster) -> None:
    gate = redis_cluster.gate(timeouts=Timeouts(1, 1, 0.1))
    gate.now()
    for node in redis_cluster.nodes:
        node.client_pause(500)

    with pytest.raises(GateUnavailableError):
        gate.now()

    for node in redis_cluster.nodes:
        node.ping()
    assert gate.now() > 0
