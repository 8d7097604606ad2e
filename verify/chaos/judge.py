"""The guarantees G1 to G7 over a whole run of several campaigns: the check of `make run`, and what faults add to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from verify.guarantees import Evidence, Gate, Row, check
from verify.rush.answers import Answer

GUARANTEES = ("G1", "G2", "G3", "G4", "G5", "G6", "G7")
# Rows are counted over this many seconds: workers may each write a chunk at the same moment, and then rest.
PACE_SECONDS = 10


@dataclass(frozen=True)
class CampaignEvidence:
    """All that is known of one campaign at the end."""

    campaign: str
    capacity: int
    answers: Sequence[Answer]
    rows: Sequence[Row]
    gate: Gate
    # What the gate would answer each user: sequence and code.
    claims: Mapping[str, tuple[int, str]]
    is_whole: bool
    # Users whose claim found no seat, with its code; and how many of them the API tells.
    overflow: Mapping[str, str]
    overflow_told: int


@dataclass(frozen=True)
class LedgerLoad:
    """What MySQL felt."""

    issued_at: Sequence[datetime]
    most_connections: int
    rows_per_second: int
    connections_allowed: int


def judge(
    campaigns: Sequence[CampaignEvidence],
    load: LedgerLoad,
    dead_letters: int,
    left_in_queue: int,
    *,
    may_overflow: bool,
) -> dict[str, list[str]]:
    """Everything found against each guarantee.

    With `may_overflow`, a claim without a seat is no violation if it is in `overflow` and told by the API: Redis went
    back in time and nobody had asked for replicas to confirm.
    """
    found: dict[str, list[str]] = {name: [] for name in GUARANTEES}
    for evidence in campaigns:
        for guarantee, problem in _problems(evidence, may_overflow=may_overflow):
            found[guarantee].append(f"{evidence.campaign}: {problem}")
    found["G6"] += _overload(load)
    if dead_letters:
        found["G7"].append(f"{dead_letters:,} dead letters")
    if left_in_queue:
        found["G7"].append(f"{left_in_queue:,} messages were never drained")
    return found


def _problems(evidence: CampaignEvidence, *, may_overflow: bool) -> Iterator[tuple[str, str]]:
    overflow = evidence.overflow
    # A user who has a row all the same was served; the other claim is history.
    unseated = overflow.keys() - {row.user for row in evidence.rows} if may_overflow else frozenset[str]()
    verdict = check(_without(evidence, unseated))
    for finding in verdict.findings:
        yield from ((finding.guarantee, problem) for problem in finding.problems)
    if overflow and not may_overflow:
        yield "G3", f"{len(overflow):,} claims found no seat"
    if len(overflow) != evidence.overflow_told:
        yield "G3", f"{len(overflow):,} claims in overflow, and the API tells {evidence.overflow_told:,}"
    if not evidence.is_whole:
        yield "G4", "the gate still admits nobody"
    yield from (("G3", f"{user} was told another code than overflow has") for user in sorted(_misnamed(evidence)))
    yield from (("G5", problem) for problem in _changed(evidence))


def _without(evidence: CampaignEvidence, users: Collection[str]) -> Evidence:
    """What `make run` would check, without these users; who never got a clear answer did not count there either."""
    answers = [answer for answer in evidence.answers if answer.user not in users]
    clear = {answer.user for answer in answers if not answer.retried}
    gate = evidence.gate
    gone = gate.users & frozenset(users)
    kept = replace(gate, accepted=gate.accepted - len(gone), users=gate.users - gone)
    return Evidence(evidence.capacity, len(clear), answers, evidence.rows, kept)


def _misnamed(evidence: CampaignEvidence) -> Iterator[str]:
    issued = {row.coupon_code for row in evidence.rows}
    for answer in evidence.answers:
        code = evidence.overflow.get(answer.user)
        if code and answer.coupon and answer.coupon_code != code and answer.coupon_code not in issued:
            yield answer.user


def _changed(evidence: CampaignEvidence) -> Iterator[str]:
    """Users to whom the gate would now say something else than it did; and answers that were wrong when they came."""
    told = {answer.user: answer.coupon[:2] for answer in evidence.answers if answer.coupon}
    for user, coupon in told.items():
        if evidence.claims.get(user) != coupon:
            yield f"{user} was told {coupon} and would now be told {evidence.claims.get(user)}"
    faults = Counter(answer.fault for answer in evidence.answers if answer.fault)
    yield from (f"{number:,} answers were wrong: {fault}" for fault, number in faults.items())


def _overload(load: LedgerLoad) -> Iterator[str]:
    most = most_within(load.issued_at, PACE_SECONDS)
    # One second more: a chunk is worth a second, and may begin at the end of the window.
    allowed = load.rows_per_second * (PACE_SECONDS + 1)
    if most > allowed:
        yield f"{most:,} rows within {PACE_SECONDS} s, {allowed:,} allowed"
    if load.most_connections > load.connections_allowed:
        yield f"{load.most_connections} connections at a time, {load.connections_allowed} allowed"


def most_within(moments: Sequence[datetime], seconds: float) -> int:
    """The most moments that lie within so many seconds of each other."""
    ordered = [moment.timestamp() for moment in sorted(moments)]
    most = first = 0
    for place, moment in enumerate(ordered):
        while moment - ordered[first] >= seconds:
            first += 1
        most = max(most, place - first + 1)
    return most
