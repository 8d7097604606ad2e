"""The one checker of G1 to G7: what users were answered, against gate, ledger, overflow, dead letters and MySQL's load.

It is pure, and is called once everything is at rest: nothing queued, nothing in an outbox, every user answered.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pymysql.connections import Connection
from redis import Redis

from firstcome.domain.errors import UnreadableMessageError
from firstcome.domain.message import from_body
from firstcome.service.rate_limit import CHUNK_MS
from verify.rush.answers import UNKNOWN_OUTCOMES, Answer

PROMISES = {
    "G1": "never more than {capacity:,} coupons",
    "G2": "at most one coupon per user",
    "G3": "every accepted claim is exactly one row in MySQL",
    "G4": "no slot lost, no gap in the sequences",
    "G5": "the same user always gets the same answer",
    "G6": "MySQL sees a bounded number of connections and rows per second",
    "G7": "only unreadable messages are dead letters, each with its reason",
}
GUARANTEES = tuple(PROMISES)
OF_A_CAMPAIGN = GUARANTEES[:5]

type Seat = tuple[int, str]
"""Sequence and coupon code."""


@dataclass(frozen=True)
class Row:
    """A coupon in the ledger, or a claim in overflow."""

    sequence: int
    user: str
    coupon_code: str

    @property
    def seat(self) -> Seat:
        """Sequence and coupon code."""
        return self.sequence, self.coupon_code


@dataclass(frozen=True)
class Gate:
    """What the gate holds of a campaign.

    Attributes:
        accepted: its counter.
        claims: of each user.
        outbox: users whose claim may not be queued yet.
        free: sequences up to the counter that are still to be given.
        is_open: whether it admits.
    """

    accepted: int
    claims: Mapping[str, Seat]
    outbox: frozenset[str] = frozenset()
    free: int = 0
    is_open: bool = True


@dataclass(frozen=True)
class Evidence:
    """All that is known of one campaign at rest.

    Attributes:
        applicants: how many users applied, if that is known otherwise than from their answers.
        overflow_reported: how many claims without a seat the API reports, if it was asked.
        lost_writes: Redis forgot acknowledged claims and no replica had been asked to confirm them. Then a claim may
            have another seat, or be in overflow, and a user's answer may change.
    """

    campaign: str
    capacity: int
    answers: Sequence[Answer]
    rows: Sequence[Row]
    gate: Gate
    overflow: Sequence[Row] = ()
    applicants: int | None = None
    overflow_reported: int | None = None
    lost_writes: bool = False

    @cached_property
    def by_user(self) -> dict[str, list[Answer]]:
        """The answers of each user, in the order they came."""
        found: dict[str, list[Answer]] = defaultdict(list)
        for answer in self.answers:
            found[answer.user].append(answer)
        return dict(found)

    @cached_property
    def given(self) -> dict[str, list[Seat]]:
        """What each user was given by an answer; more than one seat is a fault."""
        found: dict[str, dict[Seat, None]] = defaultdict(dict)
        for answer in self.answers:
            if answer.coupon:
                found[answer.user][answer.coupon[:2]] = None
        return {user: list(seats) for user, seats in found.items()}

    @cached_property
    def issued(self) -> dict[str, list[Seat]]:
        """The seats of each user's rows."""
        found: dict[str, list[Seat]] = defaultdict(list)
        for row in self.rows:
            found[row.user].append(row.seat)
        return dict(found)

    @cached_property
    def without_seat(self) -> set[tuple[str, str]]:
        """User and code of each claim that is in overflow and has no row."""
        return {(row.user, row.coupon_code) for row in self.overflow} - {
            (row.user, row.coupon_code) for row in self.rows
        }

    @cached_property
    def unseated(self) -> set[str]:
        """Users who have a claim in overflow and no row at all."""
        return {user for user, _ in self.without_seat} - self.issued.keys()

    @cached_property
    def misplaced(self) -> dict[str, list[Seat]]:
        """What an answer or the gate gave each user that is not theirs in the ledger, exactly once and exactly so."""
        promised = {user: dict.fromkeys([seat]) for user, seat in self.gate.claims.items()}
        for user, seats in self.given.items():
            promised[user] = dict.fromkeys([*seats, *promised.get(user, ())])
        lost = {user: [seat for seat in seats if not self._is_kept(user, seat)] for user, seats in promised.items()}
        return {user: seats for user, seats in lost.items() if seats}

    def _is_kept(self, user: str, seat: Seat) -> bool:
        rows = self.issued.get(user, [])
        has_moved = seat[1] in {code for _, code in rows} or (user, seat[1]) in self.without_seat
        return rows.count(seat) == 1 or (self.lost_writes and has_moved)

    @cached_property
    def sequences(self) -> list[int]:
        """The sequences in the ledger, in order."""
        return sorted(row.sequence for row in self.rows)

    @cached_property
    def demand(self) -> int:
        """How many users wanted a coupon and know whether they have one."""
        if self.applicants is not None:
            return self.applicants
        latest = {answer.user: answer for answer in self.answers if answer.status not in UNKNOWN_OUTCOMES}
        return sum(bool(answer.coupon) or answer.code in {"sold_out", "no_coupon"} for answer in latest.values())


@dataclass(frozen=True)
class Load:
    """What MySQL saw.

    Attributes:
        rows: (instant in ms, rows) of each write.
        connections: by who made them: at most at a time, and how many are allowed.
        window_ms: rows are counted in every window of this length.
        early_chunks: chunks per worker that a window may hold beyond the rate: a worker writes a chunk and then waits
            for as long as its rows are worth.
    """

    rows: Sequence[tuple[int, int]]
    rows_per_second: int
    workers: int
    connections: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    window_ms: int = 1_000
    early_chunks: int = 1

    @property
    def most_rows(self) -> int:
        """The most rows within any window."""
        most = within = first = 0
        ordered = sorted(self.rows)
        for at, count in ordered:
            within += count
            while ordered[first][0] <= at - self.window_ms:
                within -= ordered[first][1]
                first += 1
            most = max(most, within)
        return most

    @property
    def rows_allowed(self) -> int:
        """How many rows a window may hold."""
        chunks = max(self.workers, self.rows_per_second * CHUNK_MS // 1000)
        return self.rows_per_second * self.window_ms // 1000 + self.early_chunks * chunks


@dataclass(frozen=True)
class DeadLetter:
    """A message in the dead-letter queue."""

    body: str
    reason: str = ""


def violations(
    campaigns: Sequence[Evidence],
    load: Load | None = None,
    dead_letters: Sequence[DeadLetter] = (),
    queued: int = 0,
) -> dict[str, list[str]]:
    """Return everything that breaks each guarantee; an empty list for one that holds."""
    found: dict[str, list[str]] = {name: [] for name in GUARANTEES}
    for evidence in campaigns:
        for guarantee, problems in _of_campaign(evidence).items():
            found[guarantee] += [f"{evidence.campaign}: {problem}" for problem in problems]
    if queued:
        found["G3"].append(f"{queued:,} messages are still queued")
    found["G6"] += _overload(load) if load else ()
    found["G7"] += _wrong_dead_letters(dead_letters)
    return found


def _of_campaign(evidence: Evidence) -> dict[str, list[str]]:
    rules = (_too_many, _doubles, _not_issued, _lost_slots, _other_answers)
    return {name: list(rule(evidence)) for name, rule in zip(OF_A_CAMPAIGN, rules, strict=True)}


def _too_many(evidence: Evidence) -> Iterator[str]:
    counted = {
        "rows in MySQL": len(evidence.rows),
        "seats given by the gate": evidence.gate.accepted - evidence.gate.free,
        "claims in the gate": len(evidence.gate.claims.keys() - evidence.unseated),
        "users given a coupon": len(evidence.given.keys() - evidence.unseated),
    }
    yield from (f"{number:,} {what}" for what, number in counted.items() if number > evidence.capacity)
    beyond = [number for number in evidence.sequences if not 1 <= number <= evidence.capacity]
    yield from (f"sequence {number} is outside 1 to {evidence.capacity:,}" for number in beyond)


def _doubles(evidence: Evidence) -> Iterator[str]:
    yield from (f"{user} has {len(rows)} rows" for user, rows in evidence.issued.items() if len(rows) > 1)
    codes = Counter(row.coupon_code for row in evidence.rows)
    yield from (f"code {code} was issued {number} times" for code, number in codes.items() if number > 1)


def _not_issued(evidence: Evidence) -> Iterator[str]:
    gate, issued = evidence.gate, evidence.issued
    for user, seats in evidence.misplaced.items():
        how = "was given" if user in evidence.given else "has in the gate"
        found = f"has {_named(issued[user])} in MySQL" if user in issued else "has no row"
        yield f"{user} {how} {_named(seats)} and {found}"
    yield from (f"{user} has a row and no claim in the gate" for user in sorted(issued.keys() - gate.claims.keys()))
    yield from (f"{user} has a row and never applied" for user in sorted(issued.keys() - evidence.by_user.keys()))
    yield from (f"the claim of {user} is still in the outbox" for user in sorted(gate.outbox))
    without_seat = len(evidence.without_seat)
    if without_seat and not evidence.lost_writes:
        yield f"{without_seat:,} claims found no seat"
    if evidence.overflow_reported not in {None, without_seat}:
        yield f"{without_seat:,} claims found no seat, and the API reports {evidence.overflow_reported:,}"


def _named(seats: Sequence[Seat]) -> str:
    return " and ".join(f"{code} (sequence {sequence})" for sequence, code in sorted(seats))


def _lost_slots(evidence: Evidence) -> Iterator[str]:
    gate, rows = evidence.gate, len(evidence.rows)
    expected = min(evidence.capacity, evidence.demand)
    if rows < expected:
        yield f"{rows:,} rows instead of {expected:,}"
    numbers = Counter(evidence.sequences)
    gaps = missing_sequences(evidence.sequences)
    if evidence.demand >= evidence.capacity or len(gaps) > gate.free:
        yield from (f"no row with sequence {number}" for number in gaps)
    yield from (f"{count} rows with sequence {number}" for number, count in numbers.items() if count > 1)
    given = gate.accepted - gate.free
    if given != len(gate.claims) and not evidence.lost_writes:
        yield f"the gate has given {given:,} seats and holds {len(gate.claims):,} claims"
    if not gate.is_open:
        yield "the gate admits nobody"


def missing_sequences(sequences: Sequence[int]) -> list[int]:
    """Return the numbers from 1 to the highest sequence that are not there."""
    present = set(sequences)
    return [number for number in range(1, max(present, default=0)) if number not in present]


def _other_answers(evidence: Evidence) -> Iterator[str]:
    if evidence.lost_writes:
        return
    for user, answers in evidence.by_user.items():
        yield from (f"{user} {problem}" for problem in _contradictions(answers))
        clear = [answer for answer in answers if answer.status not in UNKNOWN_OUTCOMES]
        if user in evidence.issued and clear and clear[-1].code == "sold_out" and user not in evidence.given:
            # No seat is ever given back, so "sold out" is final.
            yield f"{user} was answered sold_out last and has a row"
        held, given = evidence.gate.claims.get(user), evidence.given.get(user, ())
        if given and held not in given:
            yield f"{user} was given {_named(given)} and would now be given {_named([held]) if held else 'nothing'}"


def _contradictions(answers: Sequence[Answer]) -> Iterator[str]:
    """Find an answer that contradicts an earlier one of the same user."""
    latest: Answer | None = None
    for answer in answers:
        if answer.coupon:
            if latest and latest.coupon != answer.coupon:
                yield f"was given {latest.coupon} and later {answer.coupon}"
            if latest and (latest.coupon_status, answer.coupon_status) == ("issued", "accepted"):
                yield "was answered issued and later accepted"
            latest = answer
        elif latest and answer.status not in UNKNOWN_OUTCOMES:
            yield f"was given a coupon and later refused: {answer.code}"


def _overload(load: Load) -> Iterator[str]:
    for name, (most, allowed) in load.connections.items():
        if most > allowed:
            yield f"{most} connections of {name} at a time, {allowed} allowed"
    if load.most_rows > load.rows_allowed:
        yield f"{load.most_rows:,} rows within {load.window_ms / 1000:g} s, {load.rows_allowed:,} allowed"


def _wrong_dead_letters(letters: Sequence[DeadLetter]) -> Iterator[str]:
    for letter in letters:
        try:
            from_body(letter.body)
        except UnreadableMessageError as exc:
            if letter.reason != exc.reason:
                yield f"a dead letter has the reason {letter.reason!r} instead of {exc.reason!r}"
        else:
            yield f"a readable message is a dead letter: {letter.body}"


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
    """The findings on one campaign, and the counts they rest on."""

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


def check(evidence: Evidence) -> Verdict:
    """Check G1 to G5 of one campaign, and count."""
    found = _of_campaign(evidence)
    sequences = evidence.sequences
    return Verdict(
        findings=tuple(
            Finding(name, PROMISES[name].format(capacity=evidence.capacity), tuple(found[name]))
            for name in OF_A_CAMPAIGN
        ),
        rows=len(evidence.rows),
        distinct_users=len(evidence.issued),
        distinct_codes=len({row.coupon_code for row in evidence.rows}),
        min_sequence=sequences[0] if sequences else None,
        max_sequence=sequences[-1] if sequences else None,
        gaps=len(missing_sequences(sequences)),
        answers_without_row=len(evidence.misplaced.keys() & evidence.given.keys()),
        rows_without_answer=len([row for row in evidence.rows if row.user not in evidence.given]),
    )


def count_rows(ledger: Connection, campaign: str) -> int:
    """Count the coupons of `campaign` in the ledger by now."""
    with ledger.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM coupon WHERE campaign_id = %s", (campaign,))
        found = cursor.fetchone()
    return int(found[0]) if found else 0


def read_rows(ledger: Connection, campaign: str, table: str = "coupon") -> list[Row]:
    """Return the coupons of `campaign` in the ledger, or its claims in the table `overflow`."""
    with ledger.cursor() as cursor:
        cursor.execute(f"SELECT sequence, user_id, coupon_code FROM {table} WHERE campaign_id = %s", (campaign,))
        return [Row(int(sequence), str(user), str(code)) for sequence, user, code in cursor.fetchall()]


def read_gate(redis: Redis, campaign: str) -> Gate:
    """Return what the gate holds of `campaign`; `redis` decodes its answers."""
    keys = f"firstcome:{{{campaign}}}"
    claims = {str(user): str(claim).split(":") for user, claim in redis.hgetall(f"{keys}:claims").items()}
    return Gate(
        accepted=int(redis.get(f"{keys}:accepted") or 0),
        claims={user: (int(sequence), code) for user, (sequence, code, _) in claims.items()},
        outbox=frozenset(map(str, redis.zrange(f"{keys}:outbox", 0, -1))),
        free=sum(_length(str(seats)) for seats in redis.lrange(f"{keys}:free", 0, -1)),
        is_open=redis.hget(f"{keys}:campaign", "run_id") == redis.info("server")["run_id"],
    )


def _length(seats: str) -> int:
    """Count the seats of a range, "first-last"."""
    first, last = map(int, seats.split("-"))
    return last - first + 1
