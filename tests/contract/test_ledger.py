"""What any ledger must do: the same tests on MySQL or MariaDB and on the fake in memory."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from firstcome.domain.campaign import CampaignEvent, CampaignRecord, CampaignSort, CampaignState
from firstcome.domain.claim import (
    Claim,
    Erasure,
    Finding,
    LedgerCounts,
    Overflow,
    OverflowReason,
    Settlement,
    new_coupon_code,
)
from firstcome.service.ports import Ledger
from tests.factories import a_campaign, a_campaign_id, a_claim, a_user_id
from tests.fakes import NOW, MemoryLedger


@pytest.fixture(params=["memory", "mysql"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """Both ledgers, one after the other, empty."""
    if request.param == "memory":
        return MemoryLedger()
    made: Ledger = request.getfixturevalue("mysql_server").ledger()
    return made


@pytest.fixture
def campaign_id(ledger: Ledger) -> str:
    """A campaign of five coupons."""
    campaign = a_campaign(capacity=5)
    assert ledger.create(campaign)
    return campaign.campaign_id


def _issued(ledger: Ledger, campaign_id: str) -> list[Claim]:
    return [coupon.claim for coupon in ledger.coupons(campaign_id, 0, 1000)]


def _change(ledger: Ledger, campaign_id: str, **changes: Any) -> CampaignRecord:
    record = ledger.find(campaign_id)
    assert record
    changed = ledger.update(replace(record.campaign, **changes), record.campaign.version)
    assert changed
    return changed


def test_claims_become_rows(ledger: Ledger, campaign_id: str) -> None:
    claims = [a_claim(campaign_id, sequence) for sequence in (3, 1, 2)]

    settlement = ledger.issue(claims)

    assert set(settlement.issued) == set(claims)
    assert not settlement.overflow
    assert _issued(ledger, campaign_id) == sorted(claims, key=lambda claim: claim.sequence)


def test_a_duplicate_delivery_changes_nothing(ledger: Ledger, campaign_id: str) -> None:
    claims = [a_claim(campaign_id, sequence) for sequence in (1, 2)]
    ledger.issue(claims)
    before = ledger.coupons(campaign_id, 0, 10)

    settlement = ledger.issue([*claims, a_claim(campaign_id, 3), *claims])

    assert len(settlement.issued) == 3
    assert ledger.coupons(campaign_id, 0, 10)[:2] == before


@pytest.mark.parametrize(
    "user_id", ["ann", "Ann", "ann ", "änn", "안녕", "a\\'b\"", "'; DROP TABLE coupon; --", "%s", "💥" * 128]
)
def test_users_are_told_apart_to_the_letter(ledger: Ledger, campaign_id: str, user_id: str) -> None:
    others = [a_claim(campaign_id, 1, "ANN"), a_claim(campaign_id, 2, "ann  ")]

    settlement = ledger.issue([*others, a_claim(campaign_id, 3, user_id)])

    assert len(settlement.issued) == 3
    assert [claim.user_id for claim in _issued(ledger, campaign_id)] == ["ANN", "ann  ", user_id]


def test_times_keep_their_milliseconds(ledger: Ledger, campaign_id: str) -> None:
    claim = a_claim(campaign_id, 1)

    ledger.issue([claim])

    assert _issued(ledger, campaign_id)[0].accepted_at == claim.accepted_at


def test_a_seat_held_by_another_user_gives_another_seat(ledger: Ledger, campaign_id: str) -> None:
    ledger.issue([a_claim(campaign_id, sequence) for sequence in (1, 2)])
    unseated = a_claim(campaign_id, 2)

    settlement = ledger.issue([unseated])

    # The highest free one: the low ones are likely to belong to claims on their way.
    assert list(settlement.reseated) == [replace(unseated, sequence=5)]
    assert list(settlement.issued) == [replace(unseated, sequence=5)]
    assert replace(unseated, sequence=5) in _issued(ledger, campaign_id)


def test_a_reseated_claim_that_comes_again_keeps_its_seat(ledger: Ledger, campaign_id: str) -> None:
    ledger.issue([a_claim(campaign_id, 2)])
    unseated = a_claim(campaign_id, 2)
    ledger.issue([unseated])

    settlement = ledger.issue([unseated])

    assert list(settlement.issued) == [replace(unseated, sequence=5)]
    assert not settlement.overflow
    assert len(_issued(ledger, campaign_id)) == 2


def test_a_claim_without_a_free_seat_is_kept_in_overflow(ledger: Ledger, campaign_id: str) -> None:
    ledger.issue([a_claim(campaign_id, sequence) for sequence in range(1, 6)])
    unseated = a_claim(campaign_id, 2)

    settlement = ledger.issue([unseated])

    assert settlement == Settlement([], [], [Overflow(unseated, OverflowReason.NO_SEAT)])
    counts = ledger.counts(campaign_id)
    assert (counts.issued, counts.overflow) == (5, 1)


def test_overflow_that_comes_again_is_counted_once(ledger: Ledger, campaign_id: str) -> None:
    ledger.issue([a_claim(campaign_id, sequence) for sequence in range(1, 6)])
    unseated = a_claim(campaign_id, 2)

    ledger.issue([unseated])
    ledger.issue([unseated])

    assert ledger.counts(campaign_id).overflow == 1


def test_overflow_finds_its_seat_once_there_is_one(ledger: Ledger, campaign_id: str) -> None:
    ledger.issue([a_claim(campaign_id, sequence) for sequence in range(1, 6)])
    unseated = a_claim(campaign_id, 2)
    ledger.issue([unseated])
    _change(ledger, campaign_id, capacity=6)

    settlement = ledger.issue([unseated])

    assert list(settlement.reseated) == [replace(unseated, sequence=6)]
    counts = ledger.counts(campaign_id)
    assert (counts.issued, counts.overflow) == (6, 0)


def test_no_row_ever_stands_beyond_the_capacity(ledger: Ledger, campaign_id: str) -> None:
    beyond = [a_claim(campaign_id, sequence) for sequence in (4, 5, 6, 7)]

    settlement = ledger.issue(beyond)

    assert len(settlement.issued) == 4
    assert {claim.sequence for claim in _issued(ledger, campaign_id)} == {2, 3, 4, 5}


def test_a_user_never_gets_a_second_coupon(ledger: Ledger, campaign_id: str) -> None:
    first = a_claim(campaign_id, 1, "ann")
    second = a_claim(campaign_id, 2, "ann")

    settlement = ledger.issue([first, second])

    assert list(settlement.issued) == [first]
    assert list(settlement.overflow) == [Overflow(second, OverflowReason.USER_HAS_COUPON)]
    assert _issued(ledger, campaign_id) == [first]


def test_two_homeless_claims_of_one_user_get_one_seat(ledger: Ledger, campaign_id: str) -> None:
    ledger.issue([a_claim(campaign_id, 1), a_claim(campaign_id, 2)])

    settlement = ledger.issue([a_claim(campaign_id, 1, "ann"), a_claim(campaign_id, 2, "ann")])

    assert len(settlement.issued) == 1
    assert [item.reason for item in settlement.overflow] == [OverflowReason.USER_HAS_COUPON]


def test_the_same_user_may_have_a_coupon_of_each_campaign(ledger: Ledger, campaign_id: str) -> None:
    other = a_campaign()
    ledger.create(other)

    settlement = ledger.issue([a_claim(campaign_id, 1, "ann"), a_claim(other.campaign_id, 1, "ann")])

    assert len(settlement.issued) == 2


def test_a_coupon_code_is_never_given_twice(ledger: Ledger, campaign_id: str) -> None:
    code = new_coupon_code()
    first, second = a_claim(campaign_id, 1, coupon_code=code), a_claim(campaign_id, 2, coupon_code=code)

    settlement = ledger.issue([first, second])

    assert list(settlement.issued) == [first]
    assert list(settlement.overflow) == [Overflow(second, OverflowReason.CODE_TAKEN)]


def test_claims_of_a_campaign_nobody_made_are_kept_in_overflow(ledger: Ledger) -> None:
    claim = a_claim("nobody-made-it", 1)

    settlement = ledger.issue([claim])

    assert list(settlement.overflow) == [Overflow(claim, OverflowReason.NO_SEAT)]
    assert ledger.counts("nobody-made-it").overflow == 1


def test_a_batch_of_nothing_is_nothing(ledger: Ledger) -> None:
    assert ledger.issue([]) == Settlement([], [], [])


def test_a_campaign_is_made_once(ledger: Ledger) -> None:
    campaign = a_campaign(name="Frühling 봄 🌸")

    assert ledger.create(campaign)
    assert not ledger.create(replace(campaign, capacity=99))

    record = ledger.find(campaign.campaign_id)
    assert record
    assert record.campaign == campaign
    assert record.state is CampaignState.CREATING


@pytest.mark.parametrize(("paused", "state"), [(False, CampaignState.ACTIVE), (True, CampaignState.PAUSED)])
def test_a_campaign_is_changed_in_every_field(ledger: Ledger, *, paused: bool, state: CampaignState) -> None:
    campaign = a_campaign()
    ledger.create(campaign)
    changed = replace(campaign, name="x", capacity=7, opens_at=1_000, closes_at=2_001, paused=paused)

    record = ledger.update(changed, 0)

    assert record
    assert record == ledger.find(campaign.campaign_id)
    assert record.campaign == replace(changed, version=1)
    assert record.state is state
    assert record.updated_at >= record.created_at


def test_a_change_of_another_version_is_refused_unless_it_was_made_already(ledger: Ledger, campaign_id: str) -> None:
    first = _change(ledger, campaign_id, capacity=6)

    assert ledger.update(replace(first.campaign, capacity=7), 0) is None
    assert ledger.update(replace(first.campaign, capacity=7), 2) is None
    assert ledger.find(campaign_id) == first
    # The reply to the first may have been lost.
    again = ledger.update(first.campaign, 0)
    assert again == first


def test_nothing_changes_a_campaign_that_nobody_made(ledger: Ledger) -> None:
    assert ledger.update(a_campaign("nobody-made-it"), 0) is None
    assert ledger.archive("nobody-made-it") is None


def test_an_archived_campaign_stays_as_it_is(ledger: Ledger, campaign_id: str) -> None:
    before = _change(ledger, campaign_id, name="x")
    ledger.issue([a_claim(campaign_id, 1)])

    archived = ledger.archive(campaign_id)

    assert archived
    assert archived.state is CampaignState.ARCHIVED
    assert archived.campaign == replace(before.campaign, version=2)
    assert ledger.archive(campaign_id) == archived
    assert ledger.update(replace(before.campaign, name="y"), 2) is None
    assert not ledger.restore_campaign(replace(before.campaign, version=9))
    assert ledger.find(campaign_id) == archived
    assert len(_issued(ledger, campaign_id)) == 1


def test_a_claim_of_an_archived_campaign_is_issued(ledger: Ledger, campaign_id: str) -> None:
    ledger.archive(campaign_id)
    claim = a_claim(campaign_id, 2)

    assert list(ledger.issue([claim]).issued) == [claim]


def test_archived_campaigns_are_kept_apart(ledger: Ledger) -> None:
    ids = sorted(a_campaign_id() for _ in range(5))
    for name in ids:
        ledger.create(a_campaign(name))
    for name in (ids[4], ids[0], ids[2]):
        ledger.archive(name)

    assert [record.campaign.campaign_id for record in ledger.active_campaigns()] == [ids[1], ids[3]]
    assert ledger.archived_ids("", 2) == [ids[0], ids[2]]
    assert ledger.archived_ids(ids[2], 2) == [ids[4]]


def test_a_campaign_that_a_backup_took_back_is_restored_by_the_higher_version(ledger: Ledger, campaign_id: str) -> None:
    newer = a_campaign(campaign_id, capacity=9, name="newer", paused=True, version=3)
    gone = a_campaign(version=2)

    assert ledger.restore_campaign(newer)
    assert not ledger.restore_campaign(replace(newer, name="same version"))
    assert not ledger.restore_campaign(replace(newer, version=2, name="older"))
    assert ledger.restore_campaign(gone)

    for campaign, state in ((newer, CampaignState.PAUSED), (gone, CampaignState.ACTIVE)):
        record = ledger.find(campaign.campaign_id)
        assert record
        assert (record.campaign, record.state) == (campaign, state)


def test_an_unknown_campaign_is_not_found(ledger: Ledger) -> None:
    assert ledger.find("nobody-made-it") is None


def test_campaigns_are_paged_newest_first(ledger: Ledger) -> None:
    ids = []
    for _ in range(5):
        campaign = a_campaign()
        ledger.create(campaign)
        ids.append(campaign.campaign_id)

    first = [record.campaign.campaign_id for record in ledger.campaigns(None, 2)]
    second = [record.campaign.campaign_id for record in ledger.campaigns(first[-1], 2)]
    third = [record.campaign.campaign_id for record in ledger.campaigns(second[-1], 2)]

    assert sorted(first + second + third) == sorted(ids)
    records = [ledger.find(campaign_id) for campaign_id in first + second + third]
    made = [record.created_at for record in records if record]
    assert made == sorted(made, reverse=True)
    assert ledger.campaigns("nobody-made-it", 2) == []


def test_campaigns_are_paged_by_their_opening_the_next_first(ledger: Ledger) -> None:
    now, hour = ledger.now(), 3_600_000
    opens = [now + 3 * hour, now + hour, now - hour, now - 3 * hour, now - 9 * hour]
    campaigns = [a_campaign(opens_at=instant) for instant in opens]
    for campaign in campaigns:
        ledger.create(campaign)

    pages: list[str] = []
    while page := ledger.campaigns(pages[-1] if pages else None, 2, sort=CampaignSort.OPENS_AT):
        pages += [record.campaign.campaign_id for record in page]

    assert pages == [campaigns[number].campaign_id for number in (1, 0, 2, 3, 4)]


def test_campaigns_are_found_by_state_and_by_part_of_id_or_name(ledger: Ledger) -> None:
    spring, autumn = a_campaign("spring-1", name="봄 100% Off_"), a_campaign("other", name="Not SPRING")
    third = a_campaign("third", name="x")
    for campaign in (spring, autumn, third):
        ledger.create(campaign)
    ledger.update(replace(third, paused=True), 0)

    def found(state: CampaignState | None = None, q: str = "", sort: CampaignSort = CampaignSort.CREATED) -> set[str]:
        return {record.campaign.campaign_id for record in ledger.campaigns(None, 9, state=state, q=q, sort=sort)}

    for sort in CampaignSort:
        assert found(q="sPrinG", sort=sort) == {"spring-1", "other"}
        assert found(q="봄", sort=sort) == {"spring-1"}
        assert found(q="% off_", sort=sort) == {"spring-1"}
        assert found(q="%", sort=sort) == {"spring-1"}
        assert found(q="\\", sort=sort) == set()
        assert found(state=CampaignState.PAUSED, sort=sort) == {"third"}
        assert found(state=CampaignState.CREATING, q="spring", sort=sort) == {"spring-1", "other"}
        assert found(state=CampaignState.ACTIVE, sort=sort) == set()


def test_coupons_are_paged_by_sequence(ledger: Ledger, campaign_id: str) -> None:
    ledger.issue([a_claim(campaign_id, sequence) for sequence in range(1, 6)])

    pages = [[coupon.claim.sequence for coupon in ledger.coupons(campaign_id, after, 2)] for after in (0, 2, 4, 5)]

    assert pages == [[1, 2], [3, 4], [5], []]


def test_counts_are_of_one_campaign(ledger: Ledger, campaign_id: str) -> None:
    other = a_campaign()
    ledger.create(other)
    ledger.issue([a_claim(other.campaign_id, 1), a_claim(campaign_id, 1), a_claim(campaign_id, 2)])

    assert ledger.counts(campaign_id).issued == 2


def test_counts_tell_the_highest_sequence(ledger: Ledger, campaign_id: str) -> None:
    assert ledger.counts(campaign_id) == LedgerCounts(0, 0, 0)
    ledger.issue([a_claim(campaign_id, 4), a_claim(campaign_id, 2)])

    counts = ledger.counts(campaign_id)
    assert counts == LedgerCounts(2, 0, 4)
    assert {type(number) for number in (counts.issued, counts.overflow, counts.highest)} == {int}


def test_counts_are_right_whatever_comes_again_in_whatever_mix(ledger: Ledger) -> None:
    campaign = a_campaign(capacity=60_000)
    ledger.create(campaign)
    claims = [a_claim(campaign.campaign_id, sequence) for sequence in (1, 9_999, 10_000, 10_001, 30_000, 60_000)]

    for batch in (claims[:1], claims[:3], claims[1:5], claims, [], claims):
        ledger.issue(batch)
        assert ledger.counts(campaign.campaign_id).issued == len(_issued(ledger, campaign.campaign_id))


def test_recounting_goes_through_all_ranges(ledger: Ledger) -> None:
    campaign = a_campaign(capacity=60_000)
    ledger.create(campaign)
    assert ledger.recount(campaign.campaign_id, 0) is None
    ledger.issue([a_claim(campaign.campaign_id, sequence) for sequence in (1, 9_999, 30_000)])

    assert [ledger.recount(campaign.campaign_id, number) for number in (0, 1, 2)] == [1, 2, None]
    assert ledger.counts(campaign.campaign_id) == LedgerCounts(3, 0, 30_000)


def test_overflow_gets_the_seats_that_are_free_now_in_the_order_of_acceptance(ledger: Ledger, campaign_id: str) -> None:
    ledger.issue([a_claim(campaign_id, sequence) for sequence in range(1, 6)])
    waiting = [a_claim(campaign_id, sequence) for sequence in (3, 1, 2)]
    ledger.issue(waiting)
    assert ledger.reseat_overflow(campaign_id, 9).issued == []
    _change(ledger, campaign_id, capacity=7)

    first = ledger.reseat_overflow(campaign_id, 1)
    rest = ledger.reseat_overflow(campaign_id, 9)

    assert list(first.issued) == [replace(waiting[1], sequence=7)]
    assert list(rest.issued) == [replace(waiting[2], sequence=6)]
    assert list(rest.overflow) == [Overflow(waiting[0], OverflowReason.NO_SEAT)]
    assert ledger.overflow(campaign_id, "", 9) == [waiting[0]]
    assert ledger.counts(campaign_id) == LedgerCounts(7, 1, 7)


def test_who_has_another_coupon_does_not_wait_for_a_seat(ledger: Ledger, campaign_id: str) -> None:
    ledger.issue([a_claim(campaign_id, 1, "ann"), a_claim(campaign_id, 2, "ann")])

    assert ledger.reseat_overflow(campaign_id, 9) == Settlement([], [], [])


def test_a_claim_is_found_by_its_user_and_by_its_code(ledger: Ledger, campaign_id: str) -> None:
    coupon, waiting = a_claim(campaign_id, 1, "ann"), a_claim(campaign_id, 2, "ann")
    ledger.issue([coupon, waiting])
    (issued,) = ledger.coupons(campaign_id, 0, 9)
    overflow = Overflow(waiting, OverflowReason.USER_HAS_COUPON)

    assert ledger.find_by_user(campaign_id, "ann") == Finding(issued, overflow)
    assert ledger.find_by_code(campaign_id, coupon.coupon_code) == Finding(issued, None)
    assert ledger.find_by_code(campaign_id, waiting.coupon_code) == Finding(None, overflow)
    for user in ("Ann", "ann "):
        assert ledger.find_by_user(campaign_id, user) == Finding(None, None)
    assert ledger.find_by_code(a_campaign_id(), coupon.coupon_code) == Finding(None, None)


def test_an_erased_user_keeps_the_seat_and_the_code(ledger: Ledger, campaign_id: str) -> None:
    coupon, waiting, other = a_claim(campaign_id, 1, "ann"), a_claim(campaign_id, 2, "ann"), a_claim(campaign_id, 3)
    ledger.issue([coupon, waiting, other])

    erased = ledger.erase(campaign_id, "ann", "erased-1")

    wanted = [Erasure(claim.sequence, claim.coupon_code, "erased-1") for claim in (coupon, waiting)]
    assert erased == sorted(wanted, key=lambda erasure: erasure.coupon_code)
    assert ledger.erasures(campaign_id) == erased
    assert ledger.erase(campaign_id, "ann", "erased-1") == erased
    assert ledger.erase(campaign_id, "ann", "erased-2") == []
    assert _issued(ledger, campaign_id) == [replace(coupon, user_id="erased-1"), other]
    assert ledger.overflow(campaign_id, "", 9) == [replace(waiting, user_id="erased-1")]
    assert ledger.counts(campaign_id) == LedgerCounts(2, 1, 3)


def test_a_late_duplicate_of_an_erased_claim_counts_as_issued_and_writes_no_id(
    ledger: Ledger, campaign_id: str
) -> None:
    ledger.issue([a_claim(campaign_id, 2)])
    own, moved, waiting = a_claim(campaign_id, 1, "ann"), a_claim(campaign_id, 2, "bob"), a_claim(campaign_id, 6, "cho")
    ledger.issue([own, moved, a_claim(campaign_id, 3), a_claim(campaign_id, 4), waiting])
    for user in ("ann", "bob", "cho"):
        ledger.erase(campaign_id, user, f"erased-{user}")

    settlement = ledger.issue([own, moved, waiting])

    assert set(settlement.issued) == {
        replace(own, user_id="erased-ann"),
        replace(moved, user_id="erased-bob", sequence=5),
    }
    assert [item.claim for item in settlement.overflow] == [replace(waiting, user_id="erased-cho")]
    # Now its own seat exists.
    _change(ledger, campaign_id, capacity=6)
    assert list(ledger.issue([waiting]).issued) == [replace(waiting, user_id="erased-cho")]
    users = {claim.user_id for claim in [*_issued(ledger, campaign_id), *ledger.overflow(campaign_id, "", 9)]}
    assert not users & {"ann", "bob", "cho"}
    assert len(_issued(ledger, campaign_id)) == 6


def test_erasures_that_a_backup_took_back_are_repeated(ledger: Ledger, campaign_id: str) -> None:
    coupon, waiting, other = a_claim(campaign_id, 1, "ann"), a_claim(campaign_id, 2, "ann"), a_claim(campaign_id, 3)
    ledger.issue([coupon, waiting, other])
    erasures = [Erasure(claim.sequence, claim.coupon_code, "erased-1") for claim in (coupon, waiting)]

    for _ in range(2):
        ledger.apply_erasures(campaign_id, erasures)

    assert [claim.user_id for claim in _issued(ledger, campaign_id)] == ["erased-1", other.user_id]
    assert [claim.user_id for claim in ledger.overflow(campaign_id, "", 9)] == ["erased-1"]
    assert {erasure.coupon_code for erasure in ledger.erasures(campaign_id)} == {one.coupon_code for one in erasures}
    ledger.apply_erasures(campaign_id, [])


def test_a_change_brings_its_event_with_it_once_and_only_if_it_is_made(ledger: Ledger, campaign_id: str) -> None:
    record = ledger.find(campaign_id)
    assert record
    event = CampaignEvent(campaign_id, NOW, "olga", "change", {"capacity": 5}, {"capacity": 6})
    changed = replace(record.campaign, capacity=6)
    for version in (0, 0, 7):
        ledger.update(changed, version, event)
    assert ledger.events(campaign_id, None, 10) == [replace(event, number=1)]


@pytest.mark.parametrize(
    ("sequences", "follower"), [((), None), ((1, 2, 3), None), ((2,), 2), ((1, 3, 4), 3), ((2, 4, 5), 4)]
)
def test_the_claim_behind_the_highest_gap_tells_when_the_missing_one_was_accepted(
    ledger: Ledger, campaign_id: str, sequences: tuple[int, ...], follower: int | None
) -> None:
    claims = {sequence: a_claim(campaign_id, sequence) for sequence in sequences}
    if claims:
        ledger.issue(list(claims.values()))
    assert ledger.accepted_after_gap(campaign_id) == (claims[follower].accepted_at if follower else None)


def test_events_are_paged_newest_first_and_recorded_once(ledger: Ledger, campaign_id: str) -> None:
    made = CampaignEvent(campaign_id, 1_000, "op 봄", "create", None, {"capacity": 5, "name": "봄"})
    events = [made] + [
        CampaignEvent(campaign_id, 1_000 + number, "op", "put", {"capacity": number}, {"capacity": number + 1})
        for number in range(3)
    ]
    for event in [*events, made, *events]:
        ledger.record(event)
    ledger.record(replace(made, campaign_id=a_campaign_id()))

    pages = [ledger.events(campaign_id, None, 3)]
    pages.append(ledger.events(campaign_id, pages[0][-1].number, 3))

    assert [len(page) for page in pages] == [3, 1]
    assert [*pages[0], *pages[1]] == [replace(event, number=n) for n, event in reversed([*enumerate(events, 1)])]


def test_the_ledger_has_a_clock(ledger: Ledger) -> None:
    before = ledger.now()

    assert NOW - 400 * 24 * 3_600_000 < before <= ledger.now()


def test_overflow_is_paged_by_code(ledger: Ledger, campaign_id: str) -> None:
    ledger.issue([a_claim(campaign_id, sequence) for sequence in range(1, 6)])
    unseated = sorted((a_claim(campaign_id, 1) for _ in range(3)), key=lambda claim: claim.coupon_code)
    ledger.issue(unseated)

    first = ledger.overflow(campaign_id, "", 2)
    second = ledger.overflow(campaign_id, first[-1].coupon_code, 2)

    assert first + second == unseated


def test_settled_codes_are_those_issued_or_in_overflow(ledger: Ledger, campaign_id: str) -> None:
    issued = [a_claim(campaign_id, sequence) for sequence in range(1, 6)]
    kept = a_claim(campaign_id, 1)
    unknown = a_claim(campaign_id, 2)
    ledger.issue([*issued, kept])

    assert ledger.settled_codes(campaign_id, [issued[0], kept, unknown]) == {issued[0].coupon_code, kept.coupon_code}
    assert ledger.settled_codes(campaign_id, []) == set()


def test_a_closed_ledger_opens_again(ledger: Ledger, campaign_id: str) -> None:
    ledger.close()
    ledger.close()

    assert ledger.find(campaign_id) is not None


def test_migrating_again_keeps_everything(ledger: Ledger, campaign_id: str) -> None:
    ledger.issue([a_claim(campaign_id, 1)])

    ledger.migrate()
    ledger.migrate()

    assert len(_issued(ledger, campaign_id)) == 1


def test_a_change_is_made_alone(ledger: Ledger, campaign_id: str) -> None:
    with ledger.campaign_lock(campaign_id):
        record = ledger.find(campaign_id)
    with ledger.campaign_lock(campaign_id):
        assert ledger.find(campaign_id) == record


@pytest.mark.parametrize("size", [1, 2, 50])
def test_any_mix_of_claims_ends_with_each_claim_issued_or_kept(ledger: Ledger, campaign_id: str, size: int) -> None:
    make: Callable[[int], Claim] = lambda number: a_claim(campaign_id, number % 7 + 1, a_user_id())  # noqa: E731
    claims = [make(number) for number in range(size)]

    settlement = ledger.issue(claims)

    issued = {claim.coupon_code for claim in settlement.issued}
    kept = {item.claim.coupon_code for item in settlement.overflow}
    assert issued | kept == {claim.coupon_code for claim in claims}
    assert not issued & kept
    assert len(issued) == min(size, 5)
