"""A rebuild's corners: claims that are only just outbox, a queue that takes some, seats between seats."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from firstcome.domain.claim import Admission, Claim, IssuedCoupon, Overflow, OverflowReason, new_coupon_code
from firstcome.domain.errors import GateLostError
from firstcome.domain.gate import GateState
from firstcome.service.rebuild import Rebuild, Rebuilt, StillUnderWay
from tests.factories import a_campaign, a_claim
from tests.fakes import FakeClock, MemoryGate, MemoryLedger, MemoryQueue


@dataclass
class Service:
    """A campaign with everything in memory and no quiet time."""

    capacity: int = 100
    clock: FakeClock = field(default_factory=FakeClock)
    queue: MemoryQueue = field(default_factory=MemoryQueue)

    def __post_init__(self) -> None:
        self.gate, self.ledger = MemoryGate(self.clock), MemoryLedger(self.clock)
        campaign = a_campaign("demo", capacity=self.capacity)
        self.ledger.create(campaign)
        self.gate.register(["demo"])
        self.gate.create(campaign)

    def apply(self, users: int) -> list[Claim]:
        answers = [self.gate.apply("demo", f"user-{number}", new_coupon_code()) for number in range(users)]
        return [answer.claim for answer in answers if isinstance(answer, Admission)]

    def run(self) -> object:
        return Rebuild(self.gate, self.ledger, self.queue, self.clock, quiet_ms=0).run("demo", 0)

    def drain(self) -> None:
        self.ledger.issue(self.queue.sent[self.queue.delivered :])
        self.queue.delivered = len(self.queue.sent)


def test_a_claim_of_this_very_millisecond_is_sent_first() -> None:
    service = Service()
    (claim,) = service.apply(1)
    service.gate.fence("demo")

    assert service.run() == StillUnderWay()

    assert service.queue.sent == [claim]


def test_one_run_sends_any_number_of_unsent_claims() -> None:
    service = Service()
    claims = service.apply(70)
    service.gate.fence("demo")

    assert service.run() == StillUnderWay()

    assert set(service.queue.sent) == set(claims)
    assert service.gate.outbox("demo", 0, 100) == []
    service.drain()
    assert service.run() == Rebuilt(GateState.FENCED, issued=70, highest=70)


def test_the_gate_stays_closed_while_the_queue_takes_only_some() -> None:
    service = Service()
    claims = service.apply(3)
    service.queue.refuses = {"user-1"}
    service.gate.fence("demo")

    for _ in range(2):
        assert service.run() == StillUnderWay()
        service.drain()
        with pytest.raises(GateLostError):
            service.gate.apply("demo", "eager", new_coupon_code())

    assert service.gate.outbox("demo", 0, 100) == [claims[1]]
    service.queue.refuses = set()
    assert service.run() == StillUnderWay()
    service.drain()
    assert service.run() == Rebuilt(GateState.FENCED, issued=3, highest=3)


def test_every_campaign_is_remembered_again() -> None:
    service = Service()
    service.ledger.create(a_campaign("other"))
    service.gate.lose()

    assert service.run() == Rebuilt(GateState.LOST)

    assert service.gate.campaign_ids() == ["demo", "other"]


def test_a_whole_gate_is_remembered_and_nothing_else_is_done() -> None:
    service = Service()
    service.gate.remembered = None

    assert service.run() == Rebuilt(GateState.WHOLE)

    assert service.gate.campaign_ids() == ["demo"]


@settings(max_examples=50, deadline=None)
@given(seats=st.lists(st.sampled_from(["issued", "only at the gate", "lost"]), max_size=25))
@example(seats=["lost"] + ["only at the gate"] + ["lost"] * 30 + ["only at the gate"] + ["lost"] * 2)
@example(seats=["only at the gate", "only at the gate", "lost", "issued", "lost", "only at the gate"])
def test_exactly_the_seats_that_nobody_has_are_free(seats: list[str]) -> None:
    service = Service()
    claims = service.apply(len(seats))
    service.gate.remove_from_outbox(claims)
    kept: AbstractSet[int] = {number for number, what in enumerate(seats, start=1) if what == "only at the gate"}
    issued = [claim for claim, what in zip(claims, seats, strict=True) if what == "issued"]
    service.ledger.issue(issued)
    for claim, what in zip(claims, seats, strict=True):
        if what == "lost":
            del service.gate.states["demo"].claims[claim.user_id]
    service.gate.fence("demo")

    outcome = service.run()

    free = [number for number, what in enumerate(seats, start=1) if what == "lost"]
    assert service.gate.states["demo"].free == free
    assert outcome == Rebuilt(
        GateState.FENCED, issued=len(issued), resent=len(kept), free=len(free), highest=len(seats)
    )
    assert {claim.sequence for claim in service.gate.outbox("demo", 0, 100)} == kept


def test_more_claims_than_one_page_come_back() -> None:
    service = Service(capacity=2_500)
    claims = [a_claim("demo", sequence) for sequence in range(1, 2_502)]
    for claim in claims[:2_500]:
        service.ledger.rows[("demo", claim.sequence)] = IssuedCoupon(claim, 0)
    unseated = [a_claim("demo", 1) for _ in range(1_001)]
    for claim in unseated:
        service.ledger.overflow_rows[("demo", claim.user_id, claim.coupon_code)] = Overflow(
            claim, OverflowReason.NO_SEAT
        )
    service.gate.lose()

    assert service.run() == Rebuilt(GateState.LOST, issued=2_500, overflow=1_001, highest=2_500)

    for claim in (claims[0], claims[999], claims[1000], claims[2_499], unseated[0], unseated[-1]):
        found = service.gate.find("demo", claim.user_id)
        assert isinstance(found, Admission)
        assert found.claim == claim
