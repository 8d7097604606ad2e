"""The drain's pace: never above the rate, and never past the time there is."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstcome.domain.times import Millis
from firstcome.service.rate_limit import RateLimit
from tests.fakes import FakeClock

_PLENTY_MS = 10**12

_RATES = st.tuples(st.integers(2, 100_000), st.integers(2, 100))


def _run(pace: RateLimit, clock: FakeClock, rows: int, time_left_ms: int, work_ms: int = 0) -> list[tuple[Millis, int]]:
    """Write the rows as the drain does; returns when each chunk began, and its rows."""
    chunks: list[tuple[Millis, int]] = []
    for chunk in pace.chunks(range(rows), time_left_ms):
        chunks.append((clock.now(), len(chunk)))
        clock.time += work_ms
    return chunks


@given(rates=_RATES, batches=st.lists(st.integers(1, 500), min_size=1, max_size=10), work_ms=st.integers(0, 3_000))
def test_a_worker_never_writes_more_than_its_share(rates: tuple[int, int], batches: list[int], work_ms: int) -> None:
    rows_per_second, workers = rates
    clock = FakeClock()
    pace = RateLimit(rows_per_second, workers, clock)
    began = clock.now()
    written = 0
    for rows in batches:
        written += sum(size for _, size in _run(pace, clock, rows, _PLENTY_MS, work_ms))
        assert written * 1000 * workers <= rows_per_second * (clock.now() - began)
    assert written == sum(batches)


@given(rates=_RATES, rows=st.integers(1, 3_000))
def test_between_two_chunks_lies_the_time_that_the_first_is_worth(rates: tuple[int, int], rows: int) -> None:
    rows_per_second, workers = rates
    clock = FakeClock()
    chunks = _run(RateLimit(rows_per_second, workers, clock), clock, rows, _PLENTY_MS)
    for (began, size), (next_began, _) in zip(chunks, chunks[1:], strict=False):
        assert size * 1000 * workers <= rows_per_second * (next_began - began)


@given(rates=_RATES, rows=st.integers(1, 3_000))
def test_a_chunk_is_worth_a_tenth_of_a_second_of_the_worker_at_most(rates: tuple[int, int], rows: int) -> None:
    rows_per_second, workers = rates
    clock = FakeClock()
    most = max(1, rows_per_second // workers // 10)
    assert all(size <= most for _, size in _run(RateLimit(rows_per_second, workers, clock), clock, rows, _PLENTY_MS))


def test_a_chunk_is_no_smaller_than_it_has_to_be() -> None:
    clock = FakeClock()
    assert [size for _, size in _run(RateLimit(500, 2, clock), clock, 60, _PLENTY_MS)] == [25, 25, 10]
    assert [size for _, size in _run(RateLimit(5, 2, clock), clock, 2, _PLENTY_MS)] == [1, 1]


@given(rates=_RATES, rows=st.lists(st.integers(), max_size=300))
def test_with_enough_time_every_row_is_given_once_and_in_order(rates: tuple[int, int], rows: list[int]) -> None:
    clock = FakeClock()
    given_out = [row for chunk in RateLimit(*rates, clock).chunks(rows, _PLENTY_MS) for row in chunk]
    assert given_out == rows


@given(rates=_RATES, rows=st.integers(1, 3_000), time_left_ms=st.integers(0, 30_000))
def test_it_ends_within_the_time_that_is_left(rates: tuple[int, int], rows: int, time_left_ms: int) -> None:
    """Only the first chunk, without which nothing would ever be written, may take longer."""
    clock = FakeClock()
    began = clock.now()
    chunks = _run(RateLimit(*rates, clock), clock, rows, time_left_ms)
    assert len(chunks) == 1 or clock.now() - began <= time_left_ms


@pytest.mark.parametrize("time_left_ms", [-12_000, -1, 0, 1])
def test_the_first_chunk_comes_whatever_time_is_left(time_left_ms: int) -> None:
    clock = FakeClock()
    assert _run(RateLimit(200, 2, clock), clock, 100, time_left_ms) == [(clock.now() - 100, 10)]


def test_it_ends_early_when_the_next_chunk_would_not_be_done_in_time() -> None:
    clock = FakeClock()
    # 10 rows in 100 ms for this worker: three chunks end at 300 ms, the fourth would at 400.
    assert [size for _, size in _run(RateLimit(200, 2, clock), clock, 100, time_left_ms=399)] == [10, 10, 10]


def test_a_chunk_that_ends_just_in_time_is_given() -> None:
    clock = FakeClock()
    assert [size for _, size in _run(RateLimit(200, 2, clock), clock, 100, time_left_ms=400)] == [10, 10, 10, 10]


def test_a_slow_ledger_counts_against_the_time_that_is_left() -> None:
    clock = FakeClock()
    assert [size for _, size in _run(RateLimit(200, 2, clock), clock, 100, time_left_ms=400, work_ms=190)] == [10, 10]


def test_the_time_the_work_took_is_not_waited_once_more() -> None:
    clock = FakeClock()
    _run(RateLimit(200, 2, clock), clock, 10, _PLENTY_MS, work_ms=40)
    assert clock.slept_ms == 60


def test_a_ledger_slower_than_the_pace_is_not_waited_for() -> None:
    clock = FakeClock()
    _run(RateLimit(200, 2, clock), clock, 30, _PLENTY_MS, work_ms=500)
    assert clock.slept_ms == 0


def test_the_last_chunk_is_paid_for_too_so_that_small_batches_keep_the_pace() -> None:
    clock = FakeClock()
    _run(RateLimit(20, 2, clock), clock, 1, _PLENTY_MS)
    assert clock.slept_ms == 100


def test_no_rows_cost_no_time() -> None:
    clock = FakeClock()
    nothing: Sequence[int] = []
    assert list(RateLimit(20, 2, clock).chunks(nothing, _PLENTY_MS)) == []
    assert clock.slept_ms == 0


def test_all_workers_at_once_stay_at_the_rate() -> None:
    """GIVEN five workers with a full batch each, WHEN they begin at once, THEN each second has the rate."""
    rows_a_second: dict[int, int] = {}
    for _ in range(5):
        clock = FakeClock(time=0)
        for began, size in _run(RateLimit(100, 5, clock), clock, 200, _PLENTY_MS):
            rows_a_second[began // 1000] = rows_a_second.get(began // 1000, 0) + size
    assert set(rows_a_second.values()) == {100}
