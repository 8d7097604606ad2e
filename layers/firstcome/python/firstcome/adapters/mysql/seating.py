"""Which seat each claim gets, within the transaction of a cursor.

A claim gets the seat it was accepted for. If somebody else holds that seat, or it does not exist, the claim gets the
highest free one; if there is none, it is kept in overflow. A user never gets a second coupon, and a code is never given
twice. A claim that was erased is written under its pseudonym, however late it comes.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from pymysql.cursors import Cursor

from firstcome.adapters.mysql.statements import statement, to_claim, to_column
from firstcome.domain.claim import Claim, Overflow, OverflowReason, Settlement

RANGE = 10_000
"""Sequences that are counted together: reading one range takes milliseconds, however large the campaign is."""

_ROUNDS = 3
"""Times free seats are looked for, should other drains take them meanwhile."""

_PROBES = 20
"""Ranges that are searched for free seats at most; one that has none is counted anew."""


@dataclass(frozen=True, slots=True)
class OwnSeats:
    """Claims that have the seat they were accepted for, as its row has them, and those that have not."""

    issued: list[Claim]
    unseated: list[Claim]


class Seating:
    """Gives the claims of one campaign their rows, and keeps its counts; used for one transaction."""

    def __init__(self, cursor: Cursor, campaign_id: str) -> None:
        self._cursor = cursor
        self._campaign_id = campaign_id
        self._new_rows: Counter[int] = Counter()
        self._uncertain: set[int] = set()

    def seat(self, claims: Sequence[Claim]) -> OwnSeats:
        """Write the rows of claims whose own seat is free, or theirs already."""
        capacity, has_overflow, named = self._read(claims)
        issued = self._insert([claim for claim in named if claim.sequence <= capacity])
        if has_overflow and issued:
            self._mark_seated(issued)
        self._keep_counts()
        seated = set(issued)
        return OwnSeats(issued, [claim for claim, name in zip(claims, named, strict=True) if name not in seated])

    def reseat(self, unseated: Sequence[Claim]) -> Settlement:
        """Find free seats for claims that cannot have their own; keep those without one in overflow."""
        # One at a time looks for free seats, or two would find the same.
        self._cursor.execute(statement("lock_campaign"), (self._campaign_id,))
        capacity, _, left = self._read(unseated)
        reseated: list[Claim] = []
        overflow: list[Overflow] = []
        for _ in range(_ROUNDS):
            seated, refused, left = self._by_user(left)
            reseated += seated
            overflow += refused
            moved = [
                replace(claim, sequence=seat)
                for claim, seat in zip(left, self._free_seats(capacity, len(left)), strict=False)
            ]
            if not moved:
                break
            done = self._insert(moved)
            reseated += done
            # By user as well: a claim whose code another one has just got must not vanish with it.
            seated_now = {(claim.user_id, claim.coupon_code) for claim in done}
            left = [claim for claim in left if (claim.user_id, claim.coupon_code) not in seated_now]
            left, refused = self._without_taken_codes(left, moved)
            overflow += refused
        overflow += [Overflow(claim, OverflowReason.NO_SEAT) for claim in left]
        if reseated:
            self._mark_seated(reseated)
        if overflow:
            self._keep_overflow(overflow)
        self._keep_counts()
        return Settlement(issued=reseated, reseated=reseated, overflow=overflow)

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

    def _insert(self, claims: Sequence[Claim]) -> list[Claim]:
        """Insert claims that may be there already; returns those that now have their own row."""
        if not claims:
            return []
        rows = [
            (claim.campaign_id, claim.sequence, claim.user_id, claim.coupon_code, to_column(claim.accepted_at))
            for claim in claims
        ]
        written = self._cursor.executemany(statement("insert_coupons"), rows) or 0
        is_bent = self._cursor.warning_count > 0
        self._note_written(written, Counter(_range_of(claim.sequence) for claim in claims))
        if written == len(rows) and not is_bent:
            # All are new, so nothing of anybody else's was in the way; and IGNORE has bent none of them to fit.
            return list(claims)
        holders = self._holders(claim.sequence for claim in claims)
        return [claim for claim in claims if holders.get(claim.sequence) == (claim.user_id, claim.coupon_code)]

    def _note_written(self, written: int, rows: Counter[int]) -> None:
        """Note how many rows of each range an insert has written, given how many it was asked to."""
        if written == rows.total():
            self._new_rows += rows
        elif len(rows) == 1:
            self._new_rows += Counter(dict.fromkeys(rows, written))
        elif written:
            # Which of them were new is not known.
            self._uncertain.update(rows)

    def _keep_counts(self) -> None:
        """Bring the counts up to date. Last in a transaction: from here on, other drains of the campaign wait."""
        ranges = sorted({*self._new_rows, *self._uncertain})
        rows = [(self._campaign_id, range_no, self._new_rows[range_no]) for range_no in ranges]
        self._cursor.executemany(statement("add_to_counts"), rows)
        for range_no in sorted(self._uncertain):
            first, last = _bounds(range_no)
            self._cursor.execute(statement("count_range"), (self._campaign_id, first, last))
            (issued,) = self._cursor.fetchone() or (0,)
            self._cursor.execute(statement("set_count"), (issued, self._campaign_id, range_no))

    def _holders(self, sequences: Iterable[int]) -> dict[int, tuple[str, str]]:
        self._cursor.execute(statement("coupons_by_sequence"), (self._campaign_id, list(sequences)))
        return {sequence: (user_id, code) for sequence, user_id, code in self._cursor.fetchall()}

    def _by_user(self, claims: Sequence[Claim]) -> tuple[list[Claim], list[Overflow], list[Claim]]:
        """Part claims into those that have a row, those whose user has another coupon, and the rest, one per user."""
        if not claims:
            return [], [], []
        self._cursor.execute(statement("coupons_by_user"), (self._campaign_id, [claim.user_id for claim in claims]))
        held = {user_id: (sequence, code) for sequence, user_id, code in self._cursor.fetchall()}
        seated: list[Claim] = []
        refused: list[Overflow] = []
        rest: dict[str, Claim] = {}
        for claim in claims:
            sequence, code = held.get(claim.user_id, (0, ""))
            if code == claim.coupon_code:
                seated.append(replace(claim, sequence=sequence))
            elif code or claim.user_id in rest:
                refused.append(Overflow(claim, OverflowReason.USER_HAS_COUPON))
            else:
                rest[claim.user_id] = claim
        return seated, refused, list(rest.values())

    def _free_seats(self, capacity: int, wanted: int) -> list[int]:
        """Return free seats, the highest first, from the ranges whose count says that they have some."""
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

    def _without_taken_codes(self, left: Sequence[Claim], moved: Sequence[Claim]) -> tuple[list[Claim], list[Overflow]]:
        """Part off the claims that got no row though their seat stayed free: another claim has their coupon code."""
        tried = {claim.coupon_code: claim.sequence for claim in moved}
        if not left or not tried:
            return list(left), []
        holders = self._holders(tried.values())
        rest: list[Claim] = []
        refused: list[Overflow] = []
        for claim in left:
            seat = tried.get(claim.coupon_code)
            if seat is not None and seat not in holders:
                refused.append(Overflow(claim, OverflowReason.CODE_TAKEN))
            else:
                rest.append(claim)
        return rest, refused

    def _mark_seated(self, issued: Sequence[Claim]) -> None:
        codes = [claim.coupon_code for claim in issued]
        self._cursor.execute(statement("mark_seated"), (self._campaign_id, codes))

    def _keep_overflow(self, overflow: Sequence[Overflow]) -> None:
        rows = [
            (
                item.claim.campaign_id,
                item.claim.user_id,
                item.claim.coupon_code,
                item.claim.sequence,
                to_column(item.claim.accepted_at),
                item.reason.value,
            )
            for item in overflow
        ]
        self._cursor.executemany(statement("insert_overflow"), rows)


def _range_of(sequence: int) -> int:
    return (sequence - 1) // RANGE


def _bounds(range_no: int) -> tuple[int, int]:
    return range_no * RANGE + 1, (range_no + 1) * RANGE
