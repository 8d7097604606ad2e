"""A port that fails when it is told to: before a call takes effect, or after it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from firstcome.domain.errors import FirstcomeError


@dataclass(frozen=True)
class Fault:
    """One call of one port that fails.

    Attributes:
        part: gate, queue or ledger.
        call: which of its calls, from 0.
        takes_effect: whether only the reply is lost.
    """

    part: str
    call: int
    takes_effect: bool


class Flaky:
    """Passes every call on to a port. Wrapped in `cast`, because it has the methods of whichever port that is."""

    def __init__(self, port: object, error: type[FirstcomeError]) -> None:
        self._port = port
        self._error = error
        self._fault: Fault | None = None
        self._calls = 0

    def arm(self, fault: Fault | None) -> None:
        """Count calls from here on, and let that one fail; none does without a fault."""
        self._fault, self._calls = fault, 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._port, name)

        def call(*arguments: Any, **named: Any) -> Any:
            fails = self._fault is not None and self._calls == self._fault.call
            self._calls += 1
            if fails and self._fault and not self._fault.takes_effect:
                raise self._error("failed before it took effect")
            answer = method(*arguments, **named)
            if fails:
                raise self._error("failed after it took effect")
            return answer

        return call
