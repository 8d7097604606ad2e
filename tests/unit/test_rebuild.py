"""A lost or suspect gate: closed, settled, restored from the ledger, reopened."""

from dataclasses import dataclass, field

import pytest

from firstcome.domain.claim import Admission, Claim, new_coupon_code
from firstcome.domain.errors import GateLostError, GateUnavailableError, LedgerUnavailableError, QueueUnavailableError
from firstcome.domain.gate import GateState
from firstcome.domain.refusal import Refusal, Refused
from firstcome.service.rebuild import Rebuild, Rebuilt, StillUnderWay
from firstcome.service.relay import Relay
from tests.factories import a_campaign, a_claim
from tests.fakes import FakeClock, MemoryGate, MemoryLedger, MemoryQueue

QUIET_MS = 5_000


@dataclass
class Service:
    """A campaign of five coupons, with everything in memory and on one clock."""

    clock: FakeClock = field(default_factory=FakeClock)
    queue: MemoryQueue = field(default_factory=MemoryQueue)
    gate: MemoryGate = field(init=False)
    ledger: MemoryLedger = field(init=False)

    def __post_init__(self) -> None:
        self.gate = MemoryGate(self.clock)
        self.ledger = MemoryLedger(self.clock)
        campaign = a_campaign("demo", capacity=5)
        self.ledger.create(campaign)
        self.gate.register(["demo"])
        self.gate.create(campaign)

    @property
    def rebuild(self) -> Rebuild:
        """The use case."""
        return Rebuild(self.gate, self.ledger, self.queue, self.clock, QUIET_MS)

    def run(self, patience_ms: int = QUIET_MS) -> Rebuilt | StillUnderWay | Refused:
        """Ask for a rebuild."""
        return self.rebuild.run("demo", patience_ms)

    def apply(self, user_id: str) -> Claim:
        """Apply as the apply function does, up to the queue."""
        answer = self.gate.apply("demo", user_id, new_coupon_code())
        assert isinstance(answer, Admission)
        self.queue.send(answer.claim)
        self.gate.remove_from_outbox([answer.claim])
        return answer.claim

    def drain(self, *claims: Claim) -> None:
        """Bring claims into the ledger, as the drain does; all that was sent if none are named."""
        taken = list(claims) or self.queue.sent
        self.ledger.issue(taken)
        self.queue.delivered += len(taken)

    def relay(self) -> Relay:
        """The relay, which asks for rebuilds by itself."""
        return Relay(self.gate, self.queue, self.ledger, self.rebuild, after_ms=10_000, has_time=lambda: True)


@pytest.fixture
def service() -> Service:
    """A service with three issued coupons."""
    made = Service()
    for user in ("ann", "bob", "carl"):
        made.apply(user)
    made.drain()
    return made


def test_a_whole_gate_is_left_alone(service: Service) -> None:
    before = service.gate.states["demo"]

    assert service.run() == Rebuilt(GateState.WHOLE)

    assert service.gate.states["demo"] is before
    assert service.clock.slept_ms == 0


def test_a_wiped_gate_comes_back_with_every_coupon_and_the_rest_is_given(service: Service) -> None:
    claims = [coupon.claim for coupon in service.ledger.coupons("demo", 0, 10)]
    service.gate.lose()

    assert service.run() == Rebuilt(GateState.LOST, issued=3, highest=3)

    for claim in claims:
        found = service.gate.find("demo", claim.user_id)
        assert isinstance(found, Admission)
        assert (found.claim, found.is_issued) == (claim, True)
    assert [service.apply(user).sequence for user in ("dora", "eve")] == [4, 5]
    assert service.gate.apply("demo", "late", new_coupon_code()) == Refused(Refusal.SOLD_OUT)


def test_sequences_that_were_given_and_lost_are_given_again(service: Service) -> None:
    # Accepted, never sent, never answered: with Redis its only trace is gone.
    lost = service.gate.apply("demo", "lost", new_coupon_code())
    assert isinstance(lost, Admission)
    service.drain(service.apply("eve"))
    service.gate.lose()

    outcome = service.run()

    assert isinstance(outcome, Rebuilt)
    assert (outcome.issued, outcome.free, outcome.highest) == (4, 1, 5)
    assert service.apply("fred").sequence == 4
    assert service.gate.apply("demo", "late", new_coupon_code()) == Refused(Refusal.SOLD_OUT)


def test_the_gate_stays_closed_until_old_invocations_have_ended(service: Service) -> None:
    service.gate.lose()

    assert service.run(patience_ms=0) == StillUnderWay()
    with pytest.raises(GateLostError):
        service.gate.apply("demo", "eager", new_coupon_code())
    service.clock.sleep(QUIET_MS - 1)
    assert service.run(patience_ms=0) == StillUnderWay()
    service.clock.sleep(1)

    assert isinstance(service.run(patience_ms=0), Rebuilt)


def test_a_patient_operator_waits_for_the_quiet_time(service: Service) -> None:
    service.gate.lose()

    assert isinstance(service.run(), Rebuilt)

    assert service.clock.slept_ms == QUIET_MS


def test_the_gate_stays_closed_while_claims_are_in_the_queue(service: Service) -> None:
    under_way = service.apply("dora")
    service.gate.lose()

    assert service.run() == StillUnderWay()
    with pytest.raises(GateLostError):
        service.gate.apply("demo", "eager", new_coupon_code())
    service.drain(under_way)

    outcome = service.run()
    assert isinstance(outcome, Rebuilt)
    assert outcome.issued == 4
    found = service.gate.find("demo", "dora")
    assert isinstance(found, Admission)
    assert found.claim == under_way


def test_a_gate_that_rolled_back_learns_what_it_forgot(service: Service) -> None:
    state = service.gate.states["demo"]
    forgotten = state.claims.pop("carl")
    state.accepted = 2
    service.gate.mark_issued([forgotten])
    assert service.gate.state("demo") is GateState.FENCED

    outcome = service.run()

    assert outcome == Rebuilt(GateState.FENCED, issued=3, highest=3)
    assert service.apply("dora").sequence == 4


def test_unsent_claims_of_a_fenced_gate_are_sent_before_anything_else(service: Service) -> None:
    admission = service.gate.apply("demo", "dora", new_coupon_code())
    assert isinstance(admission, Admission)
    service.gate.fence("demo")

    assert service.run() == StillUnderWay()
    assert service.queue.sent[-1] == admission.claim
    service.drain(admission.claim)

    assert isinstance(service.run(), Rebuilt)
    assert service.ledger.coupons("demo", 3, 10)[0].claim == admission.claim


def test_claims_that_a_rolled_back_ledger_forgot_are_sent_again(service: Service) -> None:
    forgotten = service.ledger.rows.pop(("demo", 2)).claim
    service.gate.fence("demo")

    outcome = service.run()

    assert outcome == Rebuilt(GateState.FENCED, issued=2, resent=1, free=0, highest=3)
    assert service.gate.outbox("demo", 0, 10) == [forgotten]
    # Its seat is not given to anybody else meanwhile.
    assert service.apply("dora").sequence == 4


def test_claims_without_a_seat_come_back_as_they_were_told(service: Service) -> None:
    unseated = a_claim("demo", 2, "dora")
    service.ledger.update(a_campaign("demo", capacity=3), 0)
    service.ledger.issue([unseated])
    service.gate.lose()

    outcome = service.run()

    assert isinstance(outcome, Rebuilt)
    assert (outcome.issued, outcome.overflow) == (3, 1)
    found = service.gate.find("demo", "dora")
    assert isinstance(found, Admission)
    assert (found.claim, found.is_new) == (unseated, False)


def test_a_campaign_that_nobody_made_is_not_found(service: Service) -> None:
    assert service.rebuild.run("nobody-made-it", 0) == Refused(Refusal.CAMPAIGN_NOT_FOUND)


@pytest.mark.parametrize("broken", ["gate", "ledger", "queue"])
def test_the_gate_stays_closed_when_a_part_is_down(service: Service, broken: str) -> None:
    service.gate.lose()
    service.run(patience_ms=0)
    service.clock.sleep(QUIET_MS)
    parts: dict[str, MemoryGate | MemoryLedger | MemoryQueue]
    parts = {"gate": service.gate, "ledger": service.ledger, "queue": service.queue}
    part = parts[broken]
    part.is_down = True

    with pytest.raises((GateUnavailableError, LedgerUnavailableError, QueueUnavailableError)):
        service.run()
    part.is_down = False

    with pytest.raises(GateLostError):
        service.gate.apply("demo", "eager", new_coupon_code())
    assert isinstance(service.run(), Rebuilt)


def test_the_relay_heals_a_wiped_gate_in_its_second_round(service: Service) -> None:
    service.gate.lose()

    first = service.relay().run()
    service.clock.sleep(QUIET_MS)
    second = service.relay().run()

    assert (first.rebuilt, first.closed) == ([], ["demo"])
    assert (second.rebuilt, second.closed) == (["demo"], [])
    assert service.apply("dora").sequence == 4


def test_the_relay_leaves_mysql_alone_while_every_gate_is_whole(service: Service) -> None:
    service.ledger.is_down = True

    report = service.relay().run()

    assert (report.rebuilt, report.closed) == ([], [])


def test_the_relay_plants_the_sentinel_of_an_empty_service() -> None:
    service = Service()
    service.ledger.records.clear()
    service.gate.lose()

    service.relay().run()

    assert service.gate.apply("nobody-made-it", "ann", new_coupon_code()) == Refused(Refusal.CAMPAIGN_NOT_FOUND)
