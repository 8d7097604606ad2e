"""What any ledger must do: the same tests on MySQL or MariaDB and on the fake in memory."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from firstcome.domain.claim import Claim, Overflow, OverflowReason, Settlement, new_coupon_code
from firstcome.service.ports import Ledger
from tests.factories import a_campaign, a_claim, a_user_id
from tests.fakes import MemoryLedger


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
    record = ledger.find(campaign_id)
    assert record
    ledger.update(replace(record.campaign, capacity=6))

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


def test_a_campaign_is_changed_in_every_field(ledger: Ledger) -> None:
    campaign = a_campaign()
    ledger.create(campaign)
    changed = replace(campaign, name="x", capacity=7, opens_at=1_000, closes_at=2_001, paused=True)

    ledger.update(changed)

    record = ledger.find(campaign.campaign_id)
    assert record
    assert record.campaign == changed
    assert record.updated_at >= record.created_at


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
    assert ledger.campaign_ids() == sorted(ids)


def test_coupons_are_paged_by_sequence(ledger: Ledger, campaign_id: str) -> None:
    ledger.issue([a_claim(campaign_id, sequence) for sequence in range(1, 6)])

    pages = [[coupon.claim.sequence for coupon in ledger.coupons(campaign_id, after, 2)] for after in (0, 2, 4, 5)]

    assert pages == [[1, 2], [3, 4], [5], []]


def test_counts_are_of_one_campaign(ledger: Ledger, campaign_id: str) -> None:
    other = a_campaign()
    ledger.create(other)
    ledger.issue([a_claim(other.campaign_id, 1), a_claim(campaign_id, 1), a_claim(campaign_id, 2)])

    assert ledger.counts(campaign_id).issued == 2


def test_gaps_are_the_sequences_without_a_row(ledger: Ledger, campaign_id: str) -> None:
    assert ledger.gaps(campaign_id, 0) == []
    assert ledger.gaps(campaign_id, 4) == [(1, 4)]
    ledger.issue([a_claim(campaign_id, 2), a_claim(campaign_id, 5)])

    assert ledger.gaps(campaign_id, 5) == [(1, 1), (3, 4)]
    assert ledger.gaps(campaign_id, 4) == [(1, 1), (3, 4)]
    assert ledger.gaps(campaign_id, 3) == [(1, 1), (3, 3)]
    assert ledger.gaps(campaign_id, 9) == [(1, 1), (3, 4), (6, 9)]


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
