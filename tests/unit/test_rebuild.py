"""A lost or suspect gate: closed, settled, restored from the ledger, reopened."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from firstcome.domain.campaign import Campaign
from firstcome.domain.claim import IssuedCoupon, Overflow, OverflowReason, new_coupon_code
from firstcome.domain.errors import (
    CampaignLockedError,
    GateLostError,
    GateUnavailableError,
    LedgerUnavailableError,
    QueueUnavailableError,
)
from firstcome.domain.gate import GateState
from firstcome.domain.refusal import Refusal, Refused
from firstcome.service import rebuild
from firstcome.service.rebuild import Rebuilt, StillUnderWay
from tests.factories import a_campaign, a_claim
from tests.fakes import MemoryGate, MemoryLedger, MemoryQueue
from tests.unit.healing import QUIET_MS, Service, plenty, times


@pytest.fixture
def service() -> Service:
    """A service with three issued coupons of five."""
    made = Service()
    made.open()
    made.issue("ann", "bob", "carl")
    return made


def test_a_whole_gate_is_left_alone(service: Service) -> None:
    before = service.gate.states["demo"]

    assert service.run_rebuild() == Rebuilt(GateState.WHOLE)

    assert service.gate.states["demo"] is before
    assert service.clock.slept_ms == 0


def test_a_wiped_gate_comes_back_with_every_coupon_and_the_rest_is_given(service: Service) -> None:
    claims = [coupon.claim for coupon in service.ledger.coupons("demo", 0, 10)]
    service.gate.lose()

    assert service.run_rebuild() == Rebuilt(GateState.LOST, issued=3, highest=3)

    for claim in claims:
        found = service.gate.find("demo", claim.user_id)
        assert found
        assert not isinstance(found, Refused)
        assert (found.claim, found.is_issued) == (claim, True)
    assert [claim.sequence for claim in service.send("dora", "eve")] == [4, 5]
    assert service.gate.apply("demo", "late", new_coupon_code()) == Refused(Refusal.SOLD_OUT)


def test_sequences_that_were_given_and_lost_are_given_again(service: Service) -> None:
    # Accepted, never sent, never answered: with Redis its only trace is gone.
    service.accept("lost")
    service.issue("eve")
    service.gate.lose()

    assert service.run_rebuild() == Rebuilt(GateState.LOST, issued=4, free=1, highest=5)

    assert service.send("fred")[0].sequence == 4
    assert service.gate.apply("demo", "late", new_coupon_code()) == Refused(Refusal.SOLD_OUT)


def test_the_gate_stays_closed_until_old_invocations_have_ended(service: Service) -> None:
    service.gate.lose()

    assert service.run_rebuild(patience_ms=0) == StillUnderWay()
    with pytest.raises(GateLostError):
        service.gate.apply("demo", "eager", new_coupon_code())
    service.clock.sleep(QUIET_MS - 1)
    assert service.run_rebuild(patience_ms=0) == StillUnderWay()
    service.clock.sleep(1)

    assert isinstance(service.run_rebuild(patience_ms=0), Rebuilt)


def test_a_patient_operator_waits_for_the_quiet_time(service: Service) -> None:
    service.gate.lose()
    began = service.clock.now()

    assert isinstance(service.run_rebuild(), Rebuilt)

    assert service.clock.now() - began >= QUIET_MS


def test_the_gate_stays_closed_while_claims_are_in_the_queue(service: Service) -> None:
    (under_way,) = service.send("dora")
    service.gate.lose()

    assert service.run_rebuild() == StillUnderWay()
    with pytest.raises(GateLostError):
        service.gate.apply("demo", "eager", new_coupon_code())
    service.drain()

    outcome = service.run_rebuild()
    assert isinstance(outcome, Rebuilt)
    assert outcome.issued == 4
    assert service.gate.states["demo"].claims["dora"] == under_way


def test_a_gate_that_rolled_back_learns_what_it_forgot(service: Service) -> None:
    state = service.gate.states["demo"]
    forgotten = state.claims.pop("carl")
    state.accepted = 2
    service.gate.mark_issued([forgotten])
    assert service.gate.state("demo") is GateState.FENCED

    assert service.run_rebuild() == Rebuilt(GateState.FENCED, issued=3, highest=3)

    assert service.send("dora")[0].sequence == 4


def test_claims_in_the_outbox_of_a_fenced_gate_are_sent_before_anything_else(service: Service) -> None:
    (claim,) = service.accept("dora")
    service.gate.fence("demo")

    assert service.run_rebuild() == StillUnderWay()
    assert service.queue.sent == [claim]
    service.drain()

    assert isinstance(service.run_rebuild(), Rebuilt)
    assert service.ledger.coupons("demo", 3, 10)[0].claim == claim


def test_one_call_empties_an_outbox_of_any_length_if_there_is_time() -> None:
    service = Service()
    service.open(capacity=70)
    claims = service.accept(*(f"user-{number}" for number in range(70)))
    service.gate.fence("demo", service.ledger.now())
    service.clock.sleep(QUIET_MS)

    assert service.rebuild.run("demo", times(2)) == StillUnderWay()
    assert 0 < len(service.queue.sent) < 70
    assert service.run_rebuild() == StillUnderWay()

    assert set(service.queue.sent) == set(claims)
    service.drain()
    assert service.run_rebuild() == Rebuilt(GateState.FENCED, issued=70, highest=70)


def test_the_gate_stays_closed_while_the_queue_takes_only_some(service: Service) -> None:
    claims = service.accept("dora", "eve")
    service.queue.refuses = {"dora"}
    service.gate.fence("demo")

    for _ in range(2):
        assert service.run_rebuild() == StillUnderWay()
        service.drain()
        with pytest.raises(GateLostError):
            service.gate.apply("demo", "eager", new_coupon_code())

    assert service.gate.outbox("demo", 0, 100) == claims[:1]
    service.queue.refuses = set()
    assert service.run_rebuild() == StillUnderWay()
    service.drain()
    assert service.run_rebuild() == Rebuilt(GateState.FENCED, issued=5, highest=5)


def test_claims_that_a_rolled_back_ledger_forgot_are_sent_again(service: Service) -> None:
    forgotten = service.ledger.rows.pop(("demo", 2)).claim
    service.gate.fence("demo")

    assert service.run_rebuild() == Rebuilt(GateState.FENCED, issued=2, resent=1, highest=3)

    assert service.gate.outbox("demo", 0, 10) == [forgotten]
    # Its seat is not given to anybody else meanwhile.
    assert service.send("dora")[0].sequence == 4


def test_claims_without_a_seat_come_back_as_they_were_told(service: Service) -> None:
    service.issue("dora", "eve")
    unseated = a_claim("demo", 2, "fred")
    service.ledger.issue([unseated])
    service.gate.lose()

    outcome = service.run_rebuild()

    assert isinstance(outcome, Rebuilt)
    assert (outcome.issued, outcome.overflow) == (5, 1)
    assert service.gate.states["demo"].claims["fred"] == unseated


def test_a_campaign_that_nobody_made_is_not_found(service: Service) -> None:
    assert service.rebuild.run("nobody-made-it", plenty) == Refused(Refusal.CAMPAIGN_NOT_FOUND)


def test_a_change_under_way_is_not_waited_for(service: Service) -> None:
    service.gate.lose()
    service.ledger.locked.add("demo")
    with pytest.raises(CampaignLockedError, match="waited 1 s"):
        service.run_rebuild()


@pytest.mark.parametrize("broken", ["gate", "ledger", "queue"])
def test_the_gate_stays_closed_when_a_part_is_down(service: Service, broken: str) -> None:
    service.gate.lose()
    service.run_rebuild(patience_ms=0)
    service.clock.sleep(QUIET_MS)
    parts: dict[str, MemoryGate | MemoryLedger | MemoryQueue]
    parts = {"gate": service.gate, "ledger": service.ledger, "queue": service.queue}
    part = parts[broken]
    part.is_down = True

    with pytest.raises((GateUnavailableError, LedgerUnavailableError, QueueUnavailableError)):
        service.run_rebuild()
    part.is_down = False

    with pytest.raises(GateLostError):
        service.gate.apply("demo", "eager", new_coupon_code())
    assert isinstance(service.run_rebuild(), Rebuilt)


def test_every_campaign_is_registered_again_and_every_archived_one() -> None:
    service = Service()
    service.open()
    service.open("other")
    service.open("old")
    service.ledger.archive("old")
    service.gate.lose()

    assert isinstance(service.run_rebuild(), Rebuilt)

    assert service.gate.campaign_ids() == ["demo", "other"]
    assert service.gate.archived_ids == {"old"}


@settings(max_examples=50, deadline=None)
@given(seats=st.lists(st.sampled_from(["issued", "only at the gate", "lost"]), max_size=25))
@example(seats=["lost"] + ["only at the gate"] + ["lost"] * 30 + ["only at the gate"] + ["lost"] * 2)
@example(seats=["only at the gate", "only at the gate", "lost", "issued", "lost", "only at the gate"])
def test_exactly_the_seats_that_nobody_has_are_free(seats: list[str]) -> None:
    service = Service()
    service.open(capacity=100)
    claims = service.send(*(f"user-{number}" for number in range(len(seats))))
    service.queue.sent.clear()
    service.ledger.issue([claim for claim, what in zip(claims, seats, strict=True) if what == "issued"])
    for claim, what in zip(claims, seats, strict=True):
        if what == "lost":
            del service.gate.states["demo"].claims[claim.user_id]
    service.gate.fence("demo")

    outcome = service.run_rebuild()

    kept = {number for number, what in enumerate(seats, start=1) if what == "only at the gate"}
    free = [number for number, what in enumerate(seats, start=1) if what == "lost"]
    assert service.gate.states["demo"].free == free
    assert outcome == Rebuilt(
        GateState.FENCED, seats.count("issued"), resent=len(kept), free=len(free), highest=len(seats)
    )
    assert {claim.sequence for claim in service.gate.outbox("demo", 0, 100)} == kept


class TestManyClaims:
    """A rebuild that does not fit into one call goes on where it stopped."""

    @pytest.fixture
    def large(self, monkeypatch: pytest.MonkeyPatch) -> Service:
        """25 issued coupons, 11 claims in overflow, a gate that was wiped, and pages of 10."""
        monkeypatch.setattr(rebuild, "_PAGE", 10)
        service = Service()
        service.open(capacity=25)
        for sequence in range(1, 26):
            service.ledger.rows[("demo", sequence)] = IssuedCoupon(a_claim("demo", sequence), 0)
        for _ in range(11):
            claim = a_claim("demo", 1)
            key = ("demo", claim.user_id, claim.coupon_code)
            service.ledger.overflow_rows[key] = Overflow(claim, OverflowReason.NO_SEAT)
        service.gate.lose()
        return service

    def test_all_come_back(self, large: Service) -> None:
        assert large.run_rebuild() == Rebuilt(GateState.LOST, issued=25, overflow=11, highest=25)
        claims = {row.claim for row in large.ledger.rows.values()} | set(large.ledger.overflow_claims("demo"))
        assert set(large.gate.states["demo"].claims.values()) == claims

    def test_each_call_goes_on_where_the_one_before_stopped(
        self, large: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pages: list[int] = []
        coupons = large.ledger.coupons

        def counted(campaign_id: str, after: int, limit: int) -> list[IssuedCoupon]:
            pages.append(after)
            return coupons(campaign_id, after, limit)

        monkeypatch.setattr(large.ledger, "coupons", counted)
        large.run_rebuild(patience_ms=0)
        large.clock.sleep(QUIET_MS)
        outcomes: list[object] = []
        while not outcomes or outcomes[-1] == StillUnderWay(is_restoring=True):
            outcomes.append(large.rebuild.run("demo", times(1)))
        assert len(outcomes) > 7
        assert outcomes[-1] == Rebuilt(GateState.FENCED, issued=25, overflow=11, highest=25)
        assert pages == [0, 10, 20, 25]

    def test_a_claim_that_arrives_late_is_not_forgotten(self, large: Service) -> None:
        """GIVEN a rebuild that has passed its seat, WHEN a claim is issued, THEN the gate has it when it reopens."""
        late = large.ledger.rows.pop(("demo", 7)).claim
        large.run_rebuild(patience_ms=0)
        large.clock.sleep(QUIET_MS)
        assert large.rebuild.run("demo", times(2)) == StillUnderWay(is_restoring=True)
        large.gate.mark_issued(large.ledger.issue([late]).issued)

        outcome = large.run_rebuild()

        assert isinstance(outcome, Rebuilt)
        assert (outcome.free, outcome.highest) == (0, 25)
        assert large.gate.states["demo"].claims[late.user_id] == late

    def test_it_reads_at_a_rate(self, large: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rebuild, "_ROWS_PER_SECOND", 20)
        large.run_rebuild(patience_ms=0)
        large.clock.sleep(QUIET_MS)
        began = large.clock.now()
        large.run_rebuild()
        assert large.clock.now() - began >= 36 * 1000 // 20


def test_the_newer_of_two_versions_is_opened(service: Service) -> None:
    """The ledger went back to a backup while the gate was fenced: its change of the capacity is not lost."""
    before = service.ledger.records["demo"]
    changed = _change(service, capacity=8)
    service.ledger.records["demo"] = before
    service.gate.fence("demo")

    assert isinstance(service.run_rebuild(), Rebuilt)

    assert service.ledger.records["demo"].campaign == service.gate.states["demo"].campaign == changed


def _change(service: Service, capacity: int) -> Campaign:
    record = service.ledger.update(a_campaign("demo", capacity=capacity), 1)
    assert record
    service.gate.change(record.campaign)
    return record.campaign
