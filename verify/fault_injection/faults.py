"""What can go wrong at one external call, and the plan that says at which call it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Killed(BaseException):
    """The process is gone. No `except Exception` may see it, and no code of the process runs after it."""


class Kind(StrEnum):
    """What happens to a call."""

    REQUEST_LOST = "request lost"
    """The connection breaks before the call is applied."""
    REFUSED = "refused"
    """An error is answered, nothing is applied, and the connection lives."""
    FAILED_AFTER = "failed after"
    """It is applied, and an error or a reset is what the caller sees."""
    REPLY_LOST = "reply lost"
    """It is applied, and the caller waits in vain until its timeout."""
    APPLIED_LATE = "applied late"
    """The caller waits in vain; it is applied only after the caller has gone on."""
    OVERTAKEN = "overtaken"
    """The process stands still before the call while others go on, its own client's repetition among them."""
    LOCK_LOST = "lock lost"
    """The session that holds a lock ends before the call, and whoever waits for the lock goes first."""
    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"


ANY_CALL = (
    Kind.REQUEST_LOST,
    Kind.REFUSED,
    Kind.FAILED_AFTER,
    Kind.REPLY_LOST,
    Kind.APPLIED_LATE,
    Kind.KILLED_BEFORE,
    Kind.KILLED_AFTER,
)
"""The wire adds `OVERTAKEN` where a process may stand still."""

NEVER_LATE = tuple(kind for kind in ANY_CALL if kind is not Kind.APPLIED_LATE)
"""For a call that is not applied once its connection is gone."""


@dataclass(frozen=True)
class Call:
    """One external call, as it was made.

    Attributes:
        function: which function made it; `client` and `mapping` are the two ends around the functions.
        name: system and operation, without any value of the run.
        kinds: what can happen to it.
    """

    function: str
    name: str
    kinds: tuple[Kind, ...]

    def __str__(self) -> str:
        return f"{self.function}: {self.name}"


@dataclass(frozen=True)
class CallErrors:
    """What the caller of a library sees for each kind of fault."""

    request_lost: Callable[[], Exception]
    refused: Callable[[], Exception]
    failed_after: Callable[[], Exception]
    reply_lost: Callable[[], Exception]

    def of(self, kind: Kind) -> Exception:
        """Make the error."""
        makers = {
            Kind.REQUEST_LOST: self.request_lost,
            Kind.LOCK_LOST: self.request_lost,
            Kind.REFUSED: self.refused,
            Kind.FAILED_AFTER: self.failed_after,
            Kind.REPLY_LOST: self.reply_lost,
            Kind.APPLIED_LATE: self.reply_lost,
        }
        return makers[kind]()


def _nothing() -> None:
    pass


@dataclass
class Wire:
    """Every external call goes through here: it is recorded, and the plan's faults happen to it.

    Attributes:
        plan: by the call's number in the run.
        choose: lets faults happen by what a call is, beside the plan.
        calls: all calls so far, recovery included.
        fired: the faults that happened.
        may_stand_still: whether the function at work may, before the call of this name.
        stand_still: lets the invocation at work stand still until others have gone on.
        meanwhile: what whoever waited for a lost lock does.
    """

    plan: Mapping[int, Kind] = field(default_factory=dict)
    choose: Callable[[Call], Kind | None] = lambda _: None
    calls: list[Call] = field(default_factory=list)
    fired: list[tuple[Call, Kind]] = field(default_factory=list)
    is_recording: bool = True
    function: str = "test"
    is_dead: bool = False
    may_stand_still: Callable[[str], bool] = lambda _: False
    stand_still: Callable[[], object] = _nothing
    meanwhile: Callable[[], None] | None = None
    _late: list[Callable[[], object]] = field(default_factory=list)

    @property
    def is_at_work(self) -> bool:
        """Whether calls are the functions' own, and not the test's."""
        return self.function != "test"

    def call[T](
        self,
        name: str,
        kinds: tuple[Kind, ...],
        errors: CallErrors,
        do: Callable[[], T],
        late: Callable[[], object] | None = None,
    ) -> T:
        """Make a call, or let happen to it what the plan says.

        Args:
            do: applies it and returns the reply.
            late: applies it once the caller is gone.
        """
        if self.is_dead:
            raise Killed
        kind = self._record(name, kinds) if self.is_recording else None
        if kind is Kind.OVERTAKEN:
            self.stand_still()
        if kind in {None, Kind.OVERTAKEN}:
            return do()
        if kind is Kind.APPLIED_LATE and late is not None:
            self._late.append(late)
        if kind in {Kind.FAILED_AFTER, Kind.REPLY_LOST, Kind.KILLED_AFTER}:
            do()
        if kind in {Kind.KILLED_BEFORE, Kind.KILLED_AFTER}:
            self.is_dead = True
            raise Killed
        assert kind
        raise errors.of(kind)

    def _record(self, name: str, kinds: tuple[Kind, ...]) -> Kind | None:
        """Record a call; returns what is to happen to it."""
        call = Call(self.function, name, (*kinds, Kind.OVERTAKEN) if self.may_stand_still(name) else kinds)
        kind = self.plan.get(len(self.calls)) or self.choose(call)
        self.calls.append(call)
        if kind is not None:
            self.fired.append((call, kind))
        return kind

    def begin(self, plan: Mapping[int, Kind]) -> None:
        """Begin a run."""
        self.choose, self.meanwhile = lambda _: None, None
        self.plan, self.calls, self.fired, self._late = plan, [], [], []
        self.function, self.is_dead, self.is_recording = "test", False, True

    def add_late(self, apply: Callable[[], object]) -> None:
        """Keep something that happens only after others have gone on."""
        self._late.append(apply)

    def has_late(self) -> bool:
        """Whether something is still to happen although its caller gave up."""
        return bool(self._late)

    def take_late(self) -> list[Callable[[], object]]:
        """Return it; the caller makes it happen."""
        late, self._late = self._late, []
        return late

    @contextmanager
    def set(self, **attributes: Any) -> Iterator[None]:
        """Have other attributes for as long as the context lasts."""
        before = {name: getattr(self, name) for name in attributes}
        vars(self).update(attributes)
        try:
            yield
        finally:
            vars(self).update(before)

    @contextmanager
    def made_by(self, function: str) -> Iterator[None]:
        """Attribute the calls made meanwhile; a process that was killed makes none any more."""
        try:
            with self.set(function=function):
                yield
        finally:
            self.is_dead = False
