"""What an environment remembers of campaigns that are sold out: bounds, and when it forgets."""

from firstcome.domain.refusal import SoldOut
from firstcome.service.sold_out import _CAMPAIGNS_AT_MOST, _PAGES_AT_MOST, SoldOutMemory
from tests.fakes import FakeClock

EMPTY = b"\x00" * 4096
FULL = b"\xff" * 4096


def _seen(*, for_ms: int = 500, claims: int = 1, pages: int = 1, page: bytes = EMPTY) -> SoldOut:
    return SoldOut(for_ms, claims, pages, page)


def test_it_knows_nothing_before_it_was_told() -> None:
    assert not SoldOutMemory(FakeClock()).refuses("demo", "ann")


def test_it_refuses_others_of_that_campaign_for_as_long_as_it_may() -> None:
    clock = FakeClock()
    memory = SoldOutMemory(clock)
    memory.note("demo", "ann", _seen(), clock.now())

    clock.sleep(499)
    assert memory.refuses("demo", "bob")
    assert not memory.refuses("other", "bob")
    clock.sleep(1)
    assert not memory.refuses("demo", "bob")


def test_the_time_counts_from_before_the_gate_was_asked() -> None:
    clock = FakeClock()
    memory = SoldOutMemory(clock)
    asked_at = clock.now()
    clock.sleep(400)
    memory.note("demo", "ann", _seen(), asked_at)

    clock.sleep(99)
    assert memory.refuses("demo", "bob")
    clock.sleep(1)
    assert not memory.refuses("demo", "bob")


def test_whoever_may_be_a_winner_is_sent_to_the_gate() -> None:
    clock = FakeClock()
    memory = SoldOutMemory(clock)
    memory.note("demo", "ann", _seen(page=FULL), clock.now())

    assert not memory.refuses("demo", "bob")


def test_a_user_of_another_page_is_sent_to_the_gate() -> None:
    clock = FakeClock()
    memory = SoldOutMemory(clock)
    memory.note("demo", "ann", _seen(pages=1_000_000), clock.now())

    assert memory.refuses("demo", "ann")
    assert not memory.refuses("demo", "bob")


def test_new_claims_make_all_old_pages_worthless() -> None:
    clock = FakeClock()
    memory = SoldOutMemory(clock)
    memory.note("demo", "ann", _seen(pages=1_000_000), clock.now())

    memory.note("demo", "bob", _seen(pages=1_000_000, claims=2), clock.now())

    assert memory.refuses("demo", "bob")
    assert not memory.refuses("demo", "ann")


def test_pages_stay_good_while_nobody_has_won() -> None:
    clock = FakeClock()
    memory = SoldOutMemory(clock)
    memory.note("demo", "ann", _seen(pages=1_000_000), clock.now())
    clock.sleep(10_000)

    memory.note("demo", "bob", _seen(pages=1_000_000), clock.now())

    assert memory.refuses("demo", "ann")


def test_it_never_keeps_more_than_it_may() -> None:
    clock = FakeClock()
    memory = SoldOutMemory(clock)
    for number in range(2 * _PAGES_AT_MOST):
        memory.note("demo", f"user-{number}", _seen(pages=1_000_000), clock.now())
    for number in range(2 * _CAMPAIGNS_AT_MOST):
        memory.note(f"demo-{number}", "ann", _seen(), clock.now())

    assert len(memory._memories) <= _CAMPAIGNS_AT_MOST
    assert all(len(kept.pages) <= _PAGES_AT_MOST for kept in memory._memories.values())
    assert memory.refuses(f"demo-{2 * _CAMPAIGNS_AT_MOST - 1}", "bob")
