"""Which seat each claim gets, within the transaction of a cursor.

A claim gets the seat it was accepted for. If somebody else holds that seat, or it does not exist, the claim gets the
highest free one; if there is none, it is kept in overflow. A user never gets a second coupon, and a code is never given
twice. A claim that was erased is written under its pseudonym, however late it comes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from pymysql.cursors import Cursor

from firstcome.adapters.mysql.statements import statement, to_claim, to_column
from firstcome.domain.claim import Claim, Overflow, OverflowReason, Settlement

RANGE = 10_000
"""Sequences that are counted together: reading one range takes milliseconds, however large the campaign is."""

_ROUNDS = 3
"""Times free seats are looked for, should other drains take them meanwhile."""

_PROBES = 20
"""Ranges that are searched for free seats at most; one that has none is counted anew."""


class Seats(NamedTuple):
    """What became of claims, as their rows have them, and what can never become of others."""

    held: list[Claim]
    refused: list[Overflow]
    left: list[Claim]


class Seating:
    """Gives the claims of one campaign their rows, and keeps its counts; used for one transaction."""

    def __init__(self, cursor: Cursor, campaign_id: str) -> None:
        self._cursor = cursor
        self._campaign_id = campaign_id
        self._new_rows: Counter[int] = Counter()
        self._uncertain: set[int] = set()

    def seat(self, claims: Sequence[Claim]) -> tuple[list[Claim], list[Claim]]:
        """Write the rows of claims whose own seat is free; return those that have a row, and those that have none."""
        capacity, has_overflow, named = self._read(claims)
        own = [claim for claim in named if claim.sequence <= capacity]
        are_all_new = self._insert(own) and len(own) == len(named)
        held = named if are_all_new else self._look_up(named).held
        if has_overflow and held:
            self._mark_seated(held)
        self._keep_counts()
        seated = {(claim.user_id, claim.coupon_code) for claim in held}
        # As they came: a pseudonym is looked up anew in the next transaction.
        pairs = zip(claims, named, strict=True)
        return held, [claim for claim, name in pairs if (name.user_id, name.coupon_code) not in seated]

    def reseat(self, unseated: Sequence[Claim]) -> Settlement:
        """Find free seats for claims that cannot have their own; keep those without one in overflow."""
        # One at a time looks for free seats, or two would find the same.
        self._cursor.execute(statement("lock_campaign"), (self._campaign_id,))
        capacity, _, left = self._read(unseated)
        held, overflow, left = self._look_up(left)
        for _ in range(_ROUNDS):
            seats = self._free_seats(capacity, len(left))
            if not seats:
                break
            self._insert([replace(claim, sequence=seat) for claim, seat in zip(left, sorted(seats), strict=False)])
            now_held, refused, left = self._look_up(left)
            held += now_held
            overflow += refused
        overflow += [Overflow(claim, OverflowReason.NO_SEAT) for claim in left]
        if held:
            self._mark_seated(held)
        self._keep_overflow(overflow)
        self._keep_counts()
        return Settlement(issued=held, reseated=held, overflow=overflow)

    def reseat_overflow(self, limit: int) -> Settlement:
        """Give the claims that have waited longest for a seat those that are free now."""
        self._cursor.execute(statement("waiting_for_seats"), (self._campaign_id, limit))
        waiting = [to_claim(row) for row in self._cursor.fetchall()]
        return self.reseat(waiting) if waiting else Settlement([], [], [])

    def recount(self, range_no: int) -> None:
        """Count the rows of one range anew."""
        self._uncertain.add(range_no)
        self._keep_counts()

    def _read(self, claims: Sequence[Claim]) -> tuple[int, bool, list[Claim]]:
        """Return the campaign's capacity, whether it has overflow, and the claims, those erased under a pseudonym."""
        self._cursor.execute(statement("campaign_seats"), ([claim.coupon_code for claim in claims], self._campaign_id))
        rows = self._cursor.fetchall()
        if not rows:
            # A campaign that is not in the ledger has no seats: its claims go to overflow.
            return 0, False, list(claims)
        pseudonyms = {code: pseudonym for _, _, code, pseudonym in rows if code}
        named = [replace(claim, user_id=pseudonyms.get(claim.coupon_code, claim.user_id)) for claim in claims]
        return rows[0][0], bool(rows[0][1]), named

    def _insert(self, claims: Sequence[Claim]) -> bool:
        """Insert claims that may be there already; whether all are new."""
        rows = [
            (claim.campaign_id, claim.sequence, claim.user_id, claim.coupon_code, to_column(claim.accepted_at))
            for claim in claims
        ]
        written = self._cursor.executemany(statement("insert_coupons"), rows) or 0
        ranges = Counter(_range_of(claim.sequence) for claim in claims)
        if written == len(rows):
            self._new_rows += ranges
        elif written:
            # Which of them were new is not known.
            self._uncertain.update(ranges)
        return written == len(rows)

    def _look_up(self, claims: Sequence[Claim]) -> Seats:
        """Part claims into those that have a row, those whose user or code has another one, and the rest."""
        users, codes = [claim.user_id for claim in claims], [claim.coupon_code for claim in claims]
        if not claims:
            return Seats([], [], [])
        self._cursor.execute(statement("coupons_of_claims"), (self._campaign_id, users, codes))
        rows = self._cursor.fetchall()
        by_user = {user_id: (sequence, code) for sequence, user_id, code in rows}
        taken = {code for _, _, code in rows}
        seats = Seats([], [], [])
        for claim in claims:
            sequence, code = by_user.get(claim.user_id, (0, ""))
            if code == claim.coupon_code:
                seats.held.append(replace(claim, sequence=sequence))
            elif code or claim.coupon_code in taken:
                reason = OverflowReason.USER_HAS_COUPON if code else OverflowReason.CODE_TAKEN
                seats.refused.append(Overflow(claim, reason))
            else:
                seats.left.append(claim)
        return seats

    def _free_seats(self, capacity: int, wanted: int) -> list[int]:
        """Return the highest free seats, from the ranges whose count says that they have some."""
        if not wanted:
            return []
        self._cursor.execute(statement("ranges"), (self._campaign_id,))
        issued = Counter(dict(self._cursor.fetchall())) + self._new_rows
        wanted = min(wanted, capacity - issued.total())
        with_seats = (number for number in range(_range_of(capacity), -1, -1) if issued[number] < RANGE)
        seats: list[int] = []
        for range_no in islice(with_seats, _PROBES):
            if len(seats) >= wanted:
                break
            found = self._free_seats_of(range_no, capacity, wanted - len(seats))
            if not found:
                self._uncertain.add(range_no)
            seats += found
        return seats

    def _free_seats_of(self, range_no: int, capacity: int, wanted: int) -> list[int]:
        first, last = _bounds(range_no)
        values = {"campaign_id": self._campaign_id, "first": first, "last": min(last, capacity), "limit": wanted}
        self._cursor.execute(statement("free_seats_of_range"), values)
        seats = (seat for low, high in self._cursor.fetchall() for seat in range(int(high), int(low) - 1, -1))
        return list(islice(seats, wanted))

    def _mark_seated(self, issued: Sequence[Claim]) -> None:
        codes = [claim.coupon_code for claim in issued]
        self._cursor.execute(statement("mark_seated"), (self._campaign_id, codes))

    def _keep_overflow(self, overflow: Sequence[Overflow]) -> None:
        rows = [
            (
                claim.campaign_id,
                claim.user_id,
                claim.coupon_code,
                claim.sequence,
                to_column(claim.accepted_at),
                reason.value,
            )
            for claim, reason in ((item.claim, item.reason) for item in overflow)
        ]
        self._cursor.executemany(statement("insert_overflow"), rows)

    def _keep_counts(self) -> None:
        """Bring the counts up to date. Last in a transaction: from here on, other drains of the campaign wait."""
        ranges = sorted({*self._new_rows, *self._uncertain})
        rows = [(self._campaign_id, range_no, self._new_rows[range_no]) for range_no in ranges]
        self._cursor.executemany(statement("add_to_counts"), rows)
        for range_no in sorted(self._uncertain):
            self._cursor.execute(statement("count_range"), (self._campaign_id, *_bounds(range_no)))
            ((issued,),) = self._cursor.fetchall()
            self._cursor.execute(statement("set_count"), (issued, self._campaign_id, range_no))


def _range_of(sequence: int) -> int:
    return (sequence - 1) // RANGE


def _bounds(range_no: int) -> tuple[int, int]:
    return range_no * RANGE + 1, (range_no + 1) * RANGE
