"""The outcome of the long run: the numbers of `result.json`, and the short table a person reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    acks: int
    seed: int


@dataclass(frozen=True)
class Struck:
    """One fault that was made, and how the stack came out of it; times in seconds since the start."""

    kind: str
    detail: str
    at: float
    lasted: float
    # From the end of the fault to the first new acceptance; None: it did not come.
    recovery: float | None
    accepted_meanwhile: int

    def numbers(self) -> dict[str, Any]:
        """The fault's part of `result.json`."""
        return {
            "kind": self.kind,
            "detail": self.detail,
            "at_s": round(self.at, 1),
            "lasted_s": round(self.lasted, 2),
            "recovery_s": None if self.recovery is None else round(self.recovery, 2),
            "accepted_meanwhile": self.accepted_meanwhile,
        }


@dataclass(frozen=True)
class LongOutcome:
    """A long run that is over, drained and judged."""

    plan: LongPlan
    struck: Sequence[Struck]
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
    # What MySQL felt.
    most_connections: int
    most_rows_in_10_s: int

    @property
    def holds(self) -> bool:
        """Whether every guarantee held, every fault was recovered from, and everybody got a clear answer."""
        recovered = all(fault.recovery is not None for fault in self.struck)
        return recovered and self.unclear == 0 and not any(self.problems.values())


def summarise(outcome: LongOutcome) -> dict[str, Any]:
    """The numbers of `result.json`."""
    plan = outcome.plan
    return {
        "minutes": plan.minutes,
        "concurrency": plan.concurrency,
        "capacity": plan.capacity,
        "replica_acks": plan.acks,
        "seed": plan.seed,
        "requests": outcome.requests,
        "accepted": outcome.accepted,
        "unavailable": outcome.unavailable,
        "unclear": outcome.unclear,
        "campaigns": outcome.campaigns,
        "faults": [fault.numbers() for fault in outcome.struck],
        "violations": {name: len(problems) for name, problems in outcome.problems.items()},
        "problems": {name: list(problems[:PROBLEMS_KEPT]) for name, problems in outcome.problems.items() if problems},
        "rows": outcome.rows,
        "overflow": outcome.overflow,
        "dead_letters": outcome.dead_letters,
        "seconds_to_drain": round(outcome.seconds_to_drain, 1),
        "most_mysql_connections": outcome.most_connections,
        "most_rows_in_10_s": outcome.most_rows_in_10_s,
        "holds": outcome.holds,
    }


def describe_struck(fault: Struck) -> str:
    """One fault in a line."""
    recovery = "NO NEW ACCEPTANCE" if fault.recovery is None else f"{fault.recovery:6.1f} s"
    minutes, seconds = divmod(int(fault.at), 60)
    return f"  {minutes:3}:{seconds:02}  {fault.kind:22} {fault.detail:26} accepts again after {recovery}"


def describe(outcome: LongOutcome) -> str:
    """The outcome as a person reads it; the faults were shown as they were made."""
    lines = [
        f"{outcome.requests:,} requests, {outcome.accepted:,} accepted in {outcome.campaigns} campaigns, "
        f"{len(outcome.struck)} faults -> {'everything holds' if outcome.holds else 'BROKEN'}",
        "",
        "  fault                  times   recovery: median   longest",
        *_table(outcome.struck),
        "",
        f"  MySQL      {outcome.rows:,} rows, {outcome.overflow:,} in overflow, drained "
        f"{outcome.seconds_to_drain:.0f} s after the last answer; {outcome.dead_letters:,} dead letters",
        f"             at most {outcome.most_rows_in_10_s:,} rows within 10 s, {outcome.most_connections} connections",
        f"  clients    {outcome.unavailable:,} times without a clear answer; {outcome.unclear:,} never got one",
        "",
    ]
    for name, problems in outcome.problems.items():
        lines.append(f"  {name} {'BROKEN' if problems else 'OK'}")
        lines += [f"       {problem}" for problem in problems[:PROBLEMS_SHOWN]]
        if len(problems) > PROBLEMS_SHOWN:
            lines.append(f"       and {len(problems) - PROBLEMS_SHOWN:,} more")
    return "\n".join(lines)


def _table(struck: Sequence[Struck]) -> list[str]:
    lines = []
    for kind in sorted({fault.kind for fault in struck}):
        of_kind = [fault.recovery for fault in struck if fault.kind == kind]
        times = [seconds for seconds in of_kind if seconds is not None]
        if len(times) < len(of_kind):
            lines.append(f"  {kind:22} {len(of_kind):5}   not every time")
        else:
            lines.append(f"  {kind:22} {len(of_kind):5}   {median(times):14.1f} s {max(times):7.1f} s")
    return lines
