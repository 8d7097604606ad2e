"""What is compared, what is sent again, and what is repaired, by the relay and when an operator asks."""

from dataclasses import replace
from typing import Any

import pytest

from firstcome.domain.campaign import Campaign, CampaignState
from firstcome.domain.claim import Claim
from firstcome.domain.gate import ClaimCounts, GateState
from firstcome.domain.refusal import Refusal, Refused
from firstcome.service import reconcile
from firstcome.service.reconcile import Reconciled
from tests.factories import a_campaign, a_claim
from tests.unit.healing import QUIET_MS, Service, plenty, times


@pytest.fixture
def service() -> Service:
    """Three issued coupons of five, some time ago, and an empty queue."""
    made = Service()
    made.open()
    made.issue("ann", "bob", "carl")
    made.clock.sleep(2 * QUIET_MS)
    return made


def _ask(service: Service, campaign_id: str = "demo") -> Reconciled | Refused:
    return service.reconcile.run(campaign_id, plenty)


def _resent(service: Service) -> list[Claim]:
    return service.gate.outbox("demo", 0, 100)


class TestWhenAsked:
    def test_what_is_nowhere_is_sent_again(self, service: Service) -> None:
        """GIVEN a purged queue, WHEN the campaign is compared, THEN each of its claims gets its row."""
        purged = service.send("dora", "eve")
        service.queue.sent.clear()
        service.clock.sleep(1)

        assert _ask(service) == Reconciled(compared=5, resent=2, complete=True)

        assert _resent(service) == purged
        service.clock.sleep(1_000)
        service.relay()
        service.drain()
        assert service.ledger.counts("demo").issued == 5
        assert _ask(service) == Reconciled(compared=5, resent=0, complete=True)

    def test_rows_that_a_restore_took_back_are_written_again(self, service: Service) -> None:
        lost = service.ledger.rows.pop(("demo", 2)).claim
        assert _ask(service) == Reconciled(compared=3, resent=1, complete=True)
        assert _resent(service) == [lost]

    def test_what_was_accepted_after_the_queue_was_seen_empty_may_be_on_its_way(self, service: Service) -> None:
        service.reconcile.see_queue()
        service.clock.sleep(1)
        service.send("dora")
        assert _ask(service) == Reconciled(compared=4, resent=0, complete=True)

    def test_what_is_in_the_outbox_is_left_to_the_relay(self, service: Service) -> None:
        service.accept("dora")
        service.clock.sleep(1)
        assert _ask(service) == Reconciled(compared=4, resent=0, complete=True)

    def test_nothing_is_sent_while_the_queue_was_never_seen_empty(self, service: Service) -> None:
        service.send("dora")
        assert _ask(service) == Reconciled(compared=4, resent=0, complete=True)

    def test_a_claim_from_the_future_is_as_old_as_any(self, service: Service) -> None:
        """Redis' clock was set back after it was accepted."""
        service.clock.sleep(3_600_000)
        service.send("dora")
        service.queue.sent.clear()
        service.clock.time -= 3_600_000
        assert _ask(service) == Reconciled(compared=4, resent=1, complete=True)

    def test_a_call_without_the_time_for_all_goes_on_where_it_stopped(self, service: Service) -> None:
        service.send("dora", "eve")
        service.queue.sent.clear()
        service.clock.sleep(1)
        assert service.reconcile.run("demo", times(2)) == Reconciled(compared=3)
        assert service.reconcile.run("demo", times(1)) == Reconciled(compared=5, resent=2)
        assert service.reconcile.run("demo", times(1)) == Reconciled(compared=5, resent=2, complete=True)

    def test_it_reads_at_a_rate(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reconcile, "_LOOKED_UP_PER_SECOND", 1)
        began = service.clock.now()
        _ask(service)
        assert service.clock.now() - began >= 3_000

    def test_a_campaign_that_nobody_made_is_not_found(self, service: Service) -> None:
        assert _ask(service, "nobody-made-it") == Refused(Refusal.CAMPAIGN_NOT_FOUND)

    def test_a_gate_that_is_not_whole_is_left_to_its_rebuild(self, service: Service) -> None:
        service.gate.fence("demo")
        assert _ask(service) == Reconciled()
        assert service.gate.state("demo") is GateState.FENCED


class TestByItself:
    """What the relay does without being asked."""

    def _check(self, service: Service) -> reconcile.Checked:
        sent = service.gate.claim_counts("demo")
        return service.reconcile.check("demo", sent if service.reconcile.see_queue() else None, plenty)

    def test_equal_counts_are_not_compared(self, service: Service) -> None:
        assert self._check(service) == reconcile.Checked(0, None)

    def test_claims_that_are_missing_are_sent_again_once_they_are_old_enough(self, service: Service) -> None:
        purged = service.send("dora", "eve")
        service.queue.sent.clear()
        service.clock.sleep(1)
        assert self._check(service) == reconcile.Checked(2, Reconciled(compared=5, resent=0, complete=True))
        service.clock.sleep(QUIET_MS)
        assert self._check(service) == reconcile.Checked(2, Reconciled(compared=5, resent=2, complete=True))
        assert _resent(service) == purged

    def test_a_queue_that_is_not_empty_tells_nothing(self, service: Service) -> None:
        service.send("dora")
        assert self._check(service) == reconcile.Checked(0, None)

    def test_new_claims_do_not_put_it_off(self, service: Service) -> None:
        """Some are always between the gate and the ledger, but the queue is seen empty now and then."""
        purged = service.send("dora")
        service.queue.sent.clear()
        service.clock.sleep(QUIET_MS + 1)
        sent = service.gate.claim_counts("demo")
        service.reconcile.see_queue()
        service.send("eve")
        checked = service.reconcile.check("demo", sent, plenty)
        assert checked == reconcile.Checked(1, Reconciled(compared=5, resent=1, complete=True))
        assert _resent(service) == purged

    def test_counts_that_differ_for_good_are_compared_once_a_day(self, service: Service) -> None:
        service.issue("dora", "eve")
        service.ledger.issue([a_claim("demo", 1)])
        service.clock.sleep(QUIET_MS)
        assert self._check(service).outcome == Reconciled(compared=5, resent=0, complete=True)
        service.clock.sleep(QUIET_MS)
        assert self._check(service).outcome is None
        service.clock.sleep(86_400_000)
        assert self._check(service).outcome == Reconciled(compared=5, resent=0, complete=True)

    def test_what_was_sent_again_and_lost_again_is_sent_once_more(self, service: Service) -> None:
        service.send("dora")
        for _ in range(3):
            service.queue.sent.clear()
            service.clock.sleep(QUIET_MS + 1)
            assert self._check(service).outcome == Reconciled(compared=4, resent=1, complete=True)
            service.clock.sleep(1_000)
            service.relay()
            assert len(service.queue.sent) == 1

    def test_a_comparison_under_way_goes_on_also_while_the_queue_is_busy(self, service: Service) -> None:
        service.send("dora", "eve")
        service.queue.sent.clear()
        service.clock.sleep(QUIET_MS + 1)
        sent = service.gate.claim_counts("demo")
        service.reconcile.see_queue()
        first = service.reconcile.check("demo", sent, times(2))
        assert first.outcome == Reconciled(compared=3)
        assert service.reconcile.check("demo", None, plenty).outcome == Reconciled(compared=5, resent=2, complete=True)

    def test_rows_are_counted_anew_within_each_quiet_time(self, service: Service) -> None:
        counted = service.ledger.recounted
        self._check(service)
        self._check(service)
        assert counted == [("demo", 0)]
        service.clock.sleep(QUIET_MS)
        self._check(service)
        assert counted == [("demo", 0)] * 2

    def test_no_rows_are_counted_while_the_queue_is_busy(self, service: Service) -> None:
        service.send("dora")
        self._check(service)
        assert service.ledger.recounted == []

    def test_counting_goes_on_where_it_stopped(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        ranges: list[int] = []

        def recount(_: str, range_no: int) -> int | None:
            ranges.append(range_no)
            return range_no + 1 if range_no < 4 else None

        monkeypatch.setattr(service.ledger, "recount", recount)
        for _ in range(3):
            service.reconcile.check("demo", ClaimCounts(0, 0, 0, 0), times(2))
        assert ranges == [0, 1, 2, 3, 4]

    def test_a_clock_that_was_set_back_does_not_stop_the_counting(self, service: Service) -> None:
        self._check(service)
        service.clock.time -= 3_600_000
        self._check(service)
        assert len(service.ledger.recounted) == 2


class TestRepairs:
    def test_what_was_issued_while_the_gate_was_full_is_marked(self, service: Service) -> None:
        service.send("dora")
        service.ledger.issue(service.queue.sent)
        service.queue.sent.clear()
        assert service.gate.claim_counts("demo").issued == 3

        service.relay()

        assert service.gate.claim_counts("demo").issued == 4

    def test_erasures_that_the_ledger_forgot_are_repeated(self, service: Service) -> None:
        claim = service.gate.states["demo"].claims["bob"]
        service.gate.erase("demo", "bob", "erased-1")

        service.relay()

        assert service.ledger.rows[("demo", claim.sequence)].claim == replace(claim, user_id="erased-1")

    def _leave_one_without_a_seat(self, service: Service) -> None:
        """All five are issued, a sixth is in overflow, and the capacity is raised by one."""
        service.issue("dora", "eve")
        service.ledger.issue([a_claim("demo", 1, "fred")])
        record = service.ledger.update(a_campaign("demo", capacity=6), 1)
        assert record
        service.gate.change(record.campaign)

    def test_claims_without_a_seat_get_one_that_is_free(self, service: Service) -> None:
        self._leave_one_without_a_seat(service)

        _ask(service)

        assert service.ledger.rows[("demo", 6)].claim.user_id == "fred"
        assert service.ledger.counts("demo").overflow == 0

    def test_while_a_campaign_is_open_its_gate_gives_the_seats(self, service: Service) -> None:
        """One that the ledger gave would close it until it is rebuilt; so only when an operator asks for it."""
        self._leave_one_without_a_seat(service)
        service.relay()
        assert service.ledger.counts("demo").overflow == 1
        record = service.ledger.update(a_campaign("demo", capacity=6, paused=True), 2)
        assert record

        service.relay()
        service.clock.sleep(86_400_000)
        service.relay()

        assert service.ledger.counts("demo").overflow == 0

    def test_no_seat_is_given_while_claims_are_on_their_way(self, service: Service) -> None:
        """The free one is theirs."""
        service.issue("dora", "eve")
        service.ledger.issue([a_claim("demo", 1, "fred")])
        lost = service.ledger.rows.pop(("demo", 2)).claim
        service.clock.sleep(QUIET_MS)
        assert _ask(service) == Reconciled(compared=5, resent=1, complete=True)
        assert ("demo", 2) not in service.ledger.rows
        service.clock.sleep(1_000)
        service.relay()
        service.drain()
        assert service.ledger.rows[("demo", 2)].claim == lost


class TestVersions:
    """The higher one wins, and no capacity goes below what was accepted."""

    def _change(self, service: Service, **changes: Any) -> Campaign:
        before = service.ledger.records["demo"].campaign
        record = service.ledger.update(replace(before, **changes), before.version)
        assert record
        return record.campaign

    def _both(self, service: Service) -> tuple[Campaign | None, Campaign]:
        return service.gate.states["demo"].campaign, service.ledger.records["demo"].campaign

    def test_a_change_that_the_gate_missed_reaches_it(self, service: Service) -> None:
        changed = self._change(service, capacity=8)
        service.relay()
        assert self._both(service) == (changed, changed)

    def test_a_row_older_than_the_gate_is_repaired(self, service: Service) -> None:
        before = service.ledger.records["demo"]
        changed = self._change(service, capacity=8)
        service.gate.change(changed)
        service.ledger.records["demo"] = before
        service.relay()
        assert self._both(service) == (changed, changed)

    def test_a_row_that_is_gone_is_written_again(self, service: Service) -> None:
        campaign = service.ledger.records.pop("demo").campaign
        service.relay()
        assert self._both(service) == (campaign, campaign)
        assert service.ledger.records["demo"].state is CampaignState.ACTIVE

    def test_a_ledger_below_what_was_accepted_is_raised_to_it(self, service: Service) -> None:
        changed = self._change(service, capacity=2)
        service.relay()
        wanted = replace(changed, capacity=3, version=3)
        assert self._both(service) == (wanted, wanted)

    def test_two_contents_of_one_version_become_a_third(self, service: Service) -> None:
        changed = self._change(service, capacity=8)
        service.gate.change(replace(changed, capacity=6))
        service.relay()
        wanted = replace(changed, version=3)
        assert self._both(service) == (wanted, wanted)

    def test_a_creation_that_was_interrupted_is_completed(self, service: Service) -> None:
        service.ledger.create(a_campaign("new"))
        service.relay()
        assert service.ledger.records["new"].state is CampaignState.ACTIVE
        assert service.gate.states["new"].campaign == service.ledger.records["new"].campaign
        assert service.accept("ann", campaign_id="new")[0].sequence == 1

    def test_an_archiving_that_was_interrupted_is_completed(self, service: Service) -> None:
        service.ledger.archive("demo")
        service.relay()
        assert service.gate.archived("demo")
        assert service.gate.states == {}
        assert _ask(service) == Refused(Refusal.ARCHIVED)

    def test_a_gate_that_forgot_what_is_archived_is_told_again(self, service: Service) -> None:
        service.ledger.archive("demo")
        service.gate.archive("demo")
        service.gate.archived_ids.clear()
        service.relay()
        assert service.gate.archived_ids == {"demo"}

    def test_what_was_archived_stays_so_when_the_ledger_goes_back(self, service: Service) -> None:
        before = service.ledger.records["demo"]
        service.ledger.archive("demo")
        service.gate.archive("demo")
        service.ledger.records["demo"] = before
        service.relay()
        assert service.ledger.records["demo"].state is CampaignState.ARCHIVED

    def test_a_campaign_that_the_gate_does_not_know_becomes_known_and_is_healed(self, service: Service) -> None:
        del service.gate.states["demo"]
        service.gate.remembered = set()
        assert service.relay().closed == ["demo"]
        service.clock.sleep(QUIET_MS)
        assert service.relay().rebuilt == ["demo"]


def test_notes_survive_being_kept() -> None:
    notes = reconcile._Notes(1, 2, "comparing", "run:17", 3, 4, 5, 6, str(ClaimCounts(1, 2, 3, 4)))
    assert reconcile._Notes.of({**notes.to_keep, "from": "another version"}) == notes
    assert reconcile._Notes.of({"range_no": "7"}) == reconcile._Notes(range_no=7)
