"""The guarantees G1 to G5, checked after a rush: what the users were told against what the gate and the ledger hold."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from pymysql.connections import Connection
from redis import Redis

from verify.rush.answers import Answer


@dataclass(frozen=True)
class Row:
    """One issued coupon in the ledger."""

    sequence: int
    user: str
    coupon_code: str


@dataclass(frozen=True)
class Gate:
    """What the gate holds of a campaign: its counter, who has a claim, whose claim may not be queued yet."""

    accepted: int
    users: frozenset[str]
    outbox: frozenset[str]


@dataclass(frozen=True)
class Finding:
    """One guarantee, and everything found that breaks it."""

    guarantee: str
    promise: str
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing was found against it."""
        return not self.problems


@dataclass(frozen=True)
class Verdict:
    """The findings, and the counts they rest on."""

    findings: tuple[Finding, ...]
    rows: int
    distinct_users: int
    distinct_codes: int
    min_sequence: int | None
    max_sequence: int | None
    gaps: int
    answers_without_row: int
    rows_without_answer: int

    @property
    def holds(self) -> bool:
        """Whether every guarantee holds."""
        return all(finding.holds for finding in self.findings)


@dataclass(frozen=True)
class Evidence:
    """All that is known of one drained rush."""

    capacity: int
    users: int
    answers: Sequence[Answer]
    rows: Sequence[Row]
    gate: Gate

    @cached_property
    def asked(self) -> dict[str, list[Answer]]:
        """The answers of each user, in the order they came."""
        by_user: dict[str, list[Answer]] = defaultdict(list)
        for answer in self.answers:
            by_user[answer.user].append(answer)
        return dict(by_user)

    @cached_property
    def told(self) -> dict[str, set[tuple[int, str]]]:
        """Sequence and code each user was told; more than one is a fault."""
        by_user: dict[str, set[tuple[int, str]]] = defaultdict(set)
        for answer in self.answers:
            if answer.coupon:
                by_user[answer.user].add(answer.coupon[:2])
        return dict(by_user)

    @cached_property
    def issued(self) -> dict[str, list[tuple[int, str]]]:
        """Sequence and code of each row, by its user."""
        by_user: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for row in self.rows:
            by_user[row.user].append((row.sequence, row.coupon_code))
        return dict(by_user)

    @cached_property
    def sequences(self) -> list[int]:
        """The sequences in the ledger, in order."""
        return sorted(row.sequence for row in self.rows)

    @cached_property
    def without_row(self) -> list[str]:
        """Users who were told of a coupon that is not theirs in the ledger, exactly once and exactly so."""
        return [user for user, told in self.told.items() if sorted(told) != sorted(self.issued.get(user, []))]


def check(evidence: Evidence) -> Verdict:
    """Judge a rush."""
    sequences = evidence.sequences
    capacity = evidence.capacity
    return Verdict(
        findings=(
            _finding("G1", f"never more than {capacity:,} coupon{'s' * (capacity > 1)}", evidence, _too_many),
            _finding("G2", "at most one coupon a user", evidence, _doubles),
            _finding("G3", "every accepted answer is exactly one row in MySQL", evidence, _lost),
            _finding("G4", "no slot lost, no gap in the sequences", evidence, _lost_slots),
            _finding("G5", "the same user always gets the same answer", evidence, _disagreements),
        ),
        rows=len(evidence.rows),
        distinct_users=len(evidence.issued),
        distinct_codes=len({row.coupon_code for row in evidence.rows}),
        min_sequence=sequences[0] if sequences else None,
        max_sequence=sequences[-1] if sequences else None,
        gaps=len(_gaps(sequences)),
        answers_without_row=len(evidence.without_row),
        rows_without_answer=sum(row.user not in evidence.told for row in evidence.rows),
    )


def _finding(name: str, promise: str, evidence: Evidence, find: Callable[[Evidence], list[str]]) -> Finding:
    return Finding(name, promise, tuple(find(evidence)))


def _too_many(evidence: Evidence) -> list[str]:
    counted = {
        "rows in MySQL": len(evidence.rows),
        "accepted by the gate": evidence.gate.accepted,
        "claims in the gate": len(evidence.gate.users),
        "users told of a coupon": len(evidence.told),
    }
    return [f"{number:,} {what}" for what, number in counted.items() if number > evidence.capacity]


def _doubles(evidence: Evidence) -> list[str]:
    users = [f"{user} has {len(rows)} rows" for user, rows in evidence.issued.items() if len(rows) > 1]
    codes = Counter(row.coupon_code for row in evidence.rows)
    return users + [f"code {code} was issued {number} times" for code, number in codes.items() if number > 1]


def _lost(evidence: Evidence) -> list[str]:
    gate = evidence.gate
    untold = gate.users - evidence.told.keys()
    return [
        *(_wrong_row(user, evidence) for user in evidence.without_row),
        *(f"{user} has a claim in the gate and no row" for user in _missing(untold, evidence.issued)),
        *(f"{user} has a row and no claim in the gate" for user in _missing(evidence.issued, gate.users)),
        *(f"{user} has a row and never asked" for user in _missing(evidence.issued, evidence.asked)),
        *(f"the claim of {user} is still outbox" for user in sorted(gate.outbox)),
    ]


def _wrong_row(user: str, evidence: Evidence) -> str:
    rows = evidence.issued.get(user)
    found = f"has {_named(rows)} in MySQL" if rows else "has no row"
    return f"{user} was told {_named(evidence.told[user])} and {found}"


def _named(coupons: Iterable[tuple[int, str]]) -> str:
    return " and ".join(f"{code} (sequence {sequence})" for sequence, code in sorted(coupons))


def _lost_slots(evidence: Evidence) -> list[str]:
    expected = min(evidence.capacity, evidence.users)
    problems = [f"{len(evidence.rows):,} rows instead of {expected:,}"] if len(evidence.rows) != expected else []
    gate = evidence.gate
    if gate.accepted != len(gate.users):
        problems.append(f"the gate has counted to {gate.accepted:,} and holds {len(gate.users):,} claims")
    problems += [f"no row with sequence {sequence}" for sequence in _gaps(evidence.sequences)]
    numbers = Counter(evidence.sequences)
    problems += [f"{count} rows with sequence {sequence}" for sequence, count in numbers.items() if count > 1]
    return problems + [f"sequence {n} is outside 1 to {expected:,}" for n in numbers if not 1 <= n <= expected]


def _gaps(sequences: Sequence[int]) -> list[int]:
    present = set(sequences)
    return [number for number in range(1, max(present, default=0)) if number not in present]


def _disagreements(evidence: Evidence) -> list[str]:
    told = ((user, _disagreement(answers, evidence)) for user, answers in evidence.asked.items())
    return [f"{user} {problem}" for user, problem in told if problem]


def _disagreement(answers: Sequence[Answer], evidence: Evidence) -> str:
    coupons = {answer.coupon for answer in answers if answer.coupon}
    if len(coupons) > 1:
        return f"was told of {len(coupons)} different coupons"
    first = next((place for place, answer in enumerate(answers) if answer.coupon), None)
    if first is not None:
        denied = [answer.code for answer in answers[first:] if answer.status in (404, 409)]
        return f"was given a coupon, then told {denied[0]}" if denied else ""
    # Nobody gives a seat back, so "sold out" is final.
    sold_out = any(answer.code == "sold_out" for answer in answers)
    return "was told sold_out and has a row" if sold_out and answers[0].user in evidence.issued else ""


def _missing(users: Collection[str], present: Collection[str]) -> list[str]:
    return sorted(user for user in users if user not in present)


def count_rows(ledger: Connection, campaign: str) -> int:
    """How many coupons of `campaign` are in the ledger by now."""
    with ledger.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM coupon WHERE campaign_id = %s", (campaign,))
        found = cursor.fetchone()
    return int(found[0]) if found else 0


def read_rows(ledger: Connection, campaign: str) -> list[Row]:
    """All coupons of `campaign` in the ledger."""
    with ledger.cursor() as cursor:
        cursor.execute("SELECT sequence, user_id, coupon_code FROM coupon WHERE campaign_id = %s", (campaign,))
        return [Row(int(sequence), str(user), str(code)) for sequence, user, code in cursor.fetchall()]


def read_gate(redis: Redis, campaign: str) -> Gate:
    """What the gate holds of `campaign`; `redis` decodes its answers."""
    keys = f"firstcome:{{{campaign}}}"
    return Gate(
        accepted=int(redis.get(f"{keys}:accepted") or 0),
        users=frozenset(map(str, redis.hkeys(f"{keys}:claims"))),
        outbox=frozenset(map(str, redis.zrange(f"{keys}:outbox", 0, -1))),
    )
