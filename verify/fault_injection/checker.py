"""The one judge of a run: G1 to G7 over what clients were told, the ledger, the gate and the dead letters.

It is called at quiescence: the queue is empty, nothing is outbox, every client has its answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from firstcome.domain.errors import UnreadableMessageError
from firstcome.domain.message import from_body
from verify.fault_injection.history import Coupon, History

GUARANTEES = ("G1", "G2", "G3", "G4", "G5", "G6", "G7")


@dataclass(frozen=True)
class Row:
    """A coupon in the ledger, or a claim in overflow."""

    sequence: int
    user: str
    coupon_code: str


@dataclass(frozen=True)
class DeadLetter:
    """A message in the dead-letter queue."""

    body: str
    reason: str = ""


@dataclass(frozen=True)
class Load:
    """What MySQL saw of the drain, and of the apply path.

    Attributes:
        rows: (when, rows) of every commit, in virtual ms.
    """

    most_drain_connections: int = 0
    apply_connections: int = 0
    rows: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True)
class Limits:
    """What the run was set up with.

    Attributes:
        capacity: N at the end of the run.
        is_rolled_back: Redis forgot acknowledged claims, and no replica had been asked to confirm them: then a claim
            may lose its seat, to overflow.
        burst_rows: rows by which a second may exceed the pace: a worker writes a chunk first and holds its time then,
            so a second has room for one chunk more, a worker.
        is_paced: whether the pace can be held: a killed worker cannot hold its rows' time.
    """

    capacity: int
    is_rolled_back: bool = False
    drain_concurrency: int = 2
    rows_per_second: int = 100_000
    burst_rows: int = 0
    is_paced: bool = True


@dataclass(frozen=True)
class Outcome:
    """A run at its end.

    Attributes:
        claims: the gate's, user to (sequence, code).
    """

    history: History
    rows: Sequence[Row]
    limits: Limits
    overflow: Sequence[Row] = ()
    dead_letters: Sequence[DeadLetter] = ()
    claims: Sequence[Row] = ()
    outbox: int = 0
    queued: int = 0
    load: Load = field(default_factory=Load)


@dataclass(frozen=True)
class Violation:
    """A guarantee that does not hold."""

    guarantee: str
    detail: str


def check(outcome: Outcome) -> list[Violation]:
    """Return every violation."""
    rules = (_never_more, _one_a_user, _accepted_is_issued, _no_slot_lost, _same_answer, _bounded, _nothing_dead)
    return [
        Violation(guarantee, detail)
        for guarantee, rule in zip(GUARANTEES, rules, strict=True)
        for detail in rule(outcome)
    ]


def _never_more(outcome: Outcome) -> list[str]:
    capacity = outcome.limits.capacity
    found = [f"{len(outcome.rows)} rows for {capacity} coupons"] if len(outcome.rows) > capacity else []
    beyond = [row.sequence for row in outcome.rows if not 1 <= row.sequence <= capacity]
    return found + ([f"rows outside 1 to {capacity}: {beyond}"] if beyond else [])


def _one_a_user(outcome: Outcome) -> list[str]:
    by_user = Counter(row.user for row in outcome.rows)
    by_code = Counter(row.coupon_code for row in outcome.rows)
    found = [f"{user} has {count} rows" for user, count in by_user.items() if count > 1]
    return found + [f"code {code} has {count} rows" for code, count in by_code.items() if count > 1]


def _accepted_is_issued(outcome: Outcome) -> list[str]:
    found = []
    for user in outcome.history.users():
        for coupon in dict.fromkeys(_identities(outcome.history.told(user))):
            found += _not_kept(outcome, Row(coupon[0], user, coupon[1]), "was told of")
    for claim in outcome.claims:
        found += _not_kept(outcome, claim, "has at the gate")
    if outcome.outbox:
        found.append(f"{outcome.outbox} claims are still outbox")
    if outcome.queued:
        found.append(f"{outcome.queued} messages are still queued")
    return found


def _not_kept(outcome: Outcome, claim: Row, how: str) -> list[str]:
    same = [row for row in outcome.rows if row.user == claim.user and row.coupon_code == claim.coupon_code]
    if len(same) == 1 and same[0].sequence == claim.sequence:
        return []
    if outcome.limits.is_rolled_back and (len(same) == 1 or _is_in(claim, outcome.overflow)):
        return []
    at = [row.sequence for row in same]
    return [f"{claim.user} {how} {claim.sequence} {claim.coupon_code}: {len(same)} rows {at}"]


def _is_in(claim: Row, rows: Sequence[Row]) -> bool:
    return any((row.user, row.coupon_code) == (claim.user, claim.coupon_code) for row in rows)


def _no_slot_lost(outcome: Outcome) -> list[str]:
    capacity = outcome.limits.capacity
    demand = len(outcome.history.applicants())
    sequences = sorted(row.sequence for row in outcome.rows)
    if demand < capacity or sequences == list(range(1, capacity + 1)):
        return []
    return [f"{demand} users for {capacity} coupons, and sequences {sequences[:20]}"]


def _same_answer(outcome: Outcome) -> list[str]:
    if outcome.limits.is_rolled_back:
        return []
    found = []
    for user in outcome.history.users():
        told = outcome.history.told(user)
        if len({(coupon.sequence, coupon.coupon_code, coupon.accepted_at) for coupon in told}) > 1:
            found.append(f"{user} was told {told}")
        found += _taken_back(outcome.history, user)
    return found


def _taken_back(history: History, user: str) -> list[str]:
    """Find refusals, and a status that goes backwards, after the user had been told of a coupon."""
    found = []
    latest: Coupon | None = None
    for request in history.of(user):
        if latest and request.code and request.status < 500:
            found.append(f"{user} had {latest.coupon_code} and was refused: {request.code}")
        if latest and request.coupon and (latest.status, request.coupon.status) == ("issued", "accepted"):
            found.append(f"{user} was told issued, then accepted")
        latest = request.coupon or latest
    return found


def _bounded(outcome: Outcome) -> list[str]:
    limits, load = outcome.limits, outcome.load
    found = []
    if load.most_drain_connections > limits.drain_concurrency:
        found.append(f"{load.most_drain_connections} connections of {limits.drain_concurrency} drains")
    if load.apply_connections:
        found.append(f"{load.apply_connections} connections from the apply path")
    most = most_in_a_second(load.rows)
    if limits.is_paced and most > limits.rows_per_second + limits.burst_rows:
        found.append(f"{most} rows within a second, {limits.rows_per_second} + {limits.burst_rows} allowed")
    return found


def most_in_a_second(rows: Sequence[tuple[int, int]]) -> int:
    """Return the most rows within any 1,000 ms."""
    most = within = first = 0
    ordered = sorted(rows)
    for at, count in ordered:
        within += count
        while ordered[first][0] <= at - 1_000:
            within -= ordered[first][1]
            first += 1
        most = max(most, within)
    return most


def _nothing_dead(outcome: Outcome) -> list[str]:
    found = []
    for letter in outcome.dead_letters:
        try:
            from_body(letter.body)
        except UnreadableMessageError as exc:
            if letter.reason != exc.reason:
                found.append(f"dead-lettered with reason {letter.reason!r} instead of {exc.reason!r}")
        else:
            found.append(f"a readable message was dead-lettered: {letter.body}")
    return found


def _identities(coupons: Sequence[Coupon]) -> list[tuple[int, str]]:
    return [(coupon.sequence, coupon.coupon_code) for coupon in coupons]
