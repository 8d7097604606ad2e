"""Work that can be held up half-way while others go on: a second thread, of which only one runs at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Held[T]:
    """One piece of work, run by `go` until it ends or holds itself up."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._mine = threading.Semaphore(0)
        self._others = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._has_ended = False

    def go(self) -> bool:
        """Go on until it ends or is held up; whether it has ended."""
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._mine.release()
        self._others.acquire()
        return self._has_ended

    def hold_up(self) -> None:
        """Called by the work itself: let the others go on until `go` is called again."""
        self._others.release()
        self._mine.acquire()

    def result(self) -> T:
        """Return what the work returned, or raise what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as exc:  # noqa: BLE001 - raised again by `result`
            self._error = exc
        finally:
            self._has_ended = True
            self._others.release()
