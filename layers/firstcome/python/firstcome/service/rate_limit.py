"""How many rows may be written or read in a second, and how long to wait for it."""

from collections.abc import Iterator, Sequence

from firstcome.domain.times import Millis
from firstcome.service.ports import Clock

CHUNK_MS = 100
"""The time that a chunk's rows are worth: long enough for a statement to carry many, and so short that whoever uses the
database meanwhile does not wait for it. `make bench PARTS=bystander` has the figures."""


class RateLimit:
    """Spreads rows over time, so that all workers together stay at `rows_per_second`.

    A worker holds each chunk for the time its rows are worth before it goes on or returns. At most `workers`
    invocations run at once, so the sum keeps the pace however often their environments come and go, and no state is
    shared.

    Args:
        rows_per_second: rows a second, all workers together.
        workers: invocations that may run at once.
    """

    def __init__(self, rows_per_second: int, workers: int, clock: Clock) -> None:
        self._rows_per_second = rows_per_second
        self._workers = workers
        self._chunk_rows = max(1, rows_per_second * CHUNK_MS // (workers * 1000))
        self._clock = clock

    def chunks[T](self, rows: Sequence[T], time_left_ms: int) -> Iterator[Sequence[T]]:
        """Yield the rows in chunks worth `CHUNK_MS` at most, or of one row; wait between them and after the last.

        Ends early when the next chunk's time is not left; the rows not yielded are the caller's to give back.
        """
        began = self._clock.now()
        for start in range(0, len(rows), self._chunk_rows):
            chunk = rows[start : start + self._chunk_rows]
            # Rounded up, or rows worth less than half a millisecond each would cost nothing one by one.
            duration = -(-len(chunk) * 1000 * self._workers // self._rows_per_second)
            chunk_began = self._clock.now()
            if start and chunk_began - began + duration > time_left_ms:
                return
            yield chunk
            self._clock.sleep(max(0, chunk_began + duration - self._clock.now()))


def hold(clock: Clock, began: Millis, rows: int, rows_per_second: int) -> None:
    """Wait until rows that were read from `began` on have taken the time that they are worth."""
    clock.sleep(max(0, began + rows * 1000 // rows_per_second - clock.now()))
