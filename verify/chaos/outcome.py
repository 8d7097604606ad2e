"""The outcome of the long run: the numbers of `result.json`, and the short table a person reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

PROBLEMS_KEPT = 20
PROBLEMS_SHOWN = 3


@dataclass(frozen=True)
class LongPlan:
    """What the environment asks for."""

    minutes: int
    concurrency: int
    capacity: int
    replica_acks: int
    seed: int


@dataclass(frozen=True)
class Struck:
    """One fault that was made, and how the stack came out of it.

    Attributes:
        at_s: when, since the start of the run.
        recovery_s: from the end of the fault to the first new acceptance, and for a fault that loses claims or gates
            until all of them are whole again; None: that did not come.
    """

    kind: str
    detail: str
    at_s: float
    lasted_s: float
    recovery_s: float | None
    accepted_meanwhile: int


@dataclass(frozen=True)
class LongOutcome:
    """A long run that is over, drained and checked."""

    plan: LongPlan
    faults: Sequence[Struck]
    problems: Mapping[str, Sequence[str]]
    requests: int
    accepted: int
    unavailable: int
    unclear: int
    campaigns: int
    rows: int
    overflow: int
    dead_letters: int
    seconds_to_drain: float
    most_mysql_connections: int
    most_rows_in_10_s: int

    @property
    def holds(self) -> bool:
        """Whether every guarantee held, every fault was recovered from, and everybody got a clear answer."""
        recovered = all(fault.recovery_s is not None for fault in self.faults)
        return recovered and self.unclear == 0 and not any(self.problems.values())


def summarise(outcome: LongOutcome) -> dict[str, Any]:
    """The numbers of `result.json`."""
    numbers = asdict(outcome)
    plan, problems = numbers.pop("plan"), numbers.pop("problems")
    return {
        **plan,
        **numbers,
        "violations": {name: len(found) for name, found in problems.items()},
        "problems": {name: list(found[:PROBLEMS_KEPT]) for name, found in problems.items() if found},
        "holds": outcome.holds,
    }


def describe_struck(fault: Struck) -> str:
    """One fault in a line."""
    recovery = "NOT AT ALL" if fault.recovery_s is None else f"{fault.recovery_s:6.1f} s"
    minutes, seconds = divmod(int(fault.at_s), 60)
    return f"  {minutes:3}:{seconds:02}  {fault.kind:22} {fault.detail:30} recovered after {recovery}"


def describe(outcome: LongOutcome) -> str:
    """The outcome as a person reads it; the faults were shown as they were made."""
    lines = [
        f"{outcome.requests:,} requests, {outcome.accepted:,} accepted in {outcome.campaigns} campaigns, "
        f"{len(outcome.faults)} faults -> {'everything holds' if outcome.holds else 'BROKEN'}",
        "",
        "  fault                  times   recovery: median   longest",
        *_table(outcome.faults),
        "",
        f"  MySQL      {outcome.rows:,} rows, {outcome.overflow:,} in overflow, drained "
        f"{outcome.seconds_to_drain:.0f} s after the last answer; {outcome.dead_letters:,} dead letters",
        f"             at most {outcome.most_rows_in_10_s:,} rows within 10 s, "
        f"{outcome.most_mysql_connections} connections",
        f"  clients    {outcome.unavailable:,} times without a clear answer; {outcome.unclear:,} never got one",
        "",
    ]
    for name, problems in outcome.problems.items():
        lines.append(f"  {name} {'BROKEN' if problems else 'OK'}")
        lines += [f"       {problem}" for problem in problems[:PROBLEMS_SHOWN]]
        if len(problems) > PROBLEMS_SHOWN:
            lines.append(f"       and {len(problems) - PROBLEMS_SHOWN:,} more")
    return "\n".join(lines)


def _table(faults: Sequence[Struck]) -> list[str]:
    lines = []
    for kind in sorted({fault.kind for fault in faults}):
        of_kind = [fault.recovery_s for fault in faults if fault.kind == kind]
        times = [seconds for seconds in of_kind if seconds is not None]
        if len(times) < len(of_kind):
            lines.append(f"  {kind:22} {len(of_kind):5}   not every time")
        else:
            lines.append(f"  {kind:22} {len(of_kind):5}   {median(times):14.1f} s {max(times):7.1f} s")
    return lines
