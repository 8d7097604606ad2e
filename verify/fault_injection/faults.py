"""What can go wrong at one external call, and the plan that says at which call it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum


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
    """The process is held up before the call while others go on, its own client's repetition among them."""
    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"


ALL_KINDS = tuple(kind for kind in Kind if kind is not Kind.OVERTAKEN)
"""For any call; the wire adds `OVERTAKEN` where a process may be held up."""

WITHOUT_LATE = tuple(kind for kind in ALL_KINDS if kind is not Kind.APPLIED_LATE)
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
    """What the caller of a driver sees for each kind of fault."""

    request_lost: Callable[[], Exception]
    refused: Callable[[], Exception]
    failed_after: Callable[[], Exception]
    reply_lost: Callable[[], Exception]

    def of(self, kind: Kind) -> Exception:
        """Make the error."""
        makers = {
            Kind.REQUEST_LOST: self.request_lost,
            Kind.REFUSED: self.refused,
            Kind.FAILED_AFTER: self.failed_after,
            Kind.REPLY_LOST: self.reply_lost,
            Kind.APPLIED_LATE: self.reply_lost,
        }
        return makers[kind]()


@dataclass
class Wire:
    """Every external call goes through here: it is recorded, and the plan's faults happen to it.

    Attributes:
        plan: by the call's number in the run.
        ambush: lets faults happen by what a call is, beside the plan.
        addresses: ports that lead elsewhere meanwhile, as a name does after a failover.
        calls: all calls so far, recovery included.
        fired: the faults that happened.
        may_be_held_up: whether the function at work may be, before the call of this name.
        hold_up: holds up the invocation at work.
        endings: of each fired fault, how the invocation it struck ended.
    """

    plan: Mapping[int, Kind] = field(default_factory=dict)
    ambush: Callable[[Call], Kind | None] = lambda _: None
    addresses: dict[int, int] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    fired: list[tuple[Call, Kind]] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)
    is_recording: bool = True
    function: str = "test"
    is_dead: bool = False
    may_be_held_up: Callable[[str], bool] = lambda _: False
    hold_up: Callable[[], None] | None = None
    _late: list[Callable[[], object]] = field(default_factory=list)

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
        if kind is Kind.OVERTAKEN and self.hold_up is not None:
            self.hold_up()
            return do()
        if kind is None:
            return do()
        if kind is Kind.APPLIED_LATE and late is not None:
            self._late.append(late)
        if kind in {Kind.FAILED_AFTER, Kind.REPLY_LOST, Kind.KILLED_AFTER}:
            do()
        if kind in {Kind.KILLED_BEFORE, Kind.KILLED_AFTER}:
            self.is_dead = True
            raise Killed
        raise errors.of(kind)

    def _record(self, name: str, kinds: tuple[Kind, ...]) -> Kind | None:
        """Record a call; returns what is to happen to it."""
        call = Call(self.function, name, (*kinds, Kind.OVERTAKEN) if self.may_be_held_up(name) else kinds)
        kind = self.plan.get(len(self.calls)) or self.ambush(call)
        self.calls.append(call)
        if kind is not None:
            self.fired.append((call, kind))
        return kind

    def begin(self, plan: Mapping[int, Kind]) -> None:
        """Begin a run."""
        self.ambush = lambda _: None
        self.addresses.clear()
        self.plan, self.calls, self.fired, self.endings, self._late = plan, [], [], [], []
        self.function, self.is_dead, self.is_recording = "test", False, True

    def will_hold_up(self) -> bool:
        """Whether the plan holds a process up."""
        return Kind.OVERTAKEN in self.plan.values()

    def add_late(self, apply: Callable[[], object]) -> None:
        """Keep something that happens only after others have gone on."""
        self._late.append(apply)

    def has_late(self) -> bool:
        """Whether something is still to happen although its caller gave up."""
        return bool(self._late)

    def take_late(self) -> list[Callable[[], object]]:
        """Return it; whoever takes it makes it happen."""
        late, self._late = self._late, []
        return late

    def note_ending(self, ending: str) -> None:
        """Note how what was at work ended: for the faults fired meanwhile, if any."""
        self.endings += [ending] * (len(self.fired) - len(self.endings))

    @contextmanager
    def made_by(self, function: str) -> Iterator[None]:
        """Attribute the calls made meanwhile; a process that was killed makes none any more."""
        before, self.function = self.function, function
        try:
            yield
        finally:
            self.function = before
            self.is_dead = False

    @contextmanager
    def unrecorded(self) -> Iterator[None]:
        """Leave the calls made meanwhile alone: they prepare a run."""
        before, self.is_recording = self.is_recording, False
        try:
            yield
        finally:
            self.is_recording = before
