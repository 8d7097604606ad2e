"""The ledger on a real server: batches with every kind of conflict, in any order, again and again."""

import itertools
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from firstcome.adapters.mysql.ledger import MysqlLedger
from firstcome.domain.claim import Claim, Overflow, OverflowReason, Settlement
from tests.conftest import MysqlTestServer
from tests.factories import a_campaign, a_claim
from tests.property.profile import run_machine

SEATS = 8
USERS = ("ann", "Ann", "ann ", "bob", "carl", "dora", "eve", "göran")

# Mostly a code of the claim's own, as in life; now and then one that others have too.
own_codes = st.just("")
shared_codes = st.sampled_from(["x", "y"])
wishes = st.tuples(st.integers(1, SEATS + 1), st.sampled_from(USERS), own_codes | own_codes | shared_codes)


def _who(claim: Claim) -> tuple[str, str]:
    """Name a claim whatever seat it has."""
    return claim.user_id, claim.coupon_code


@dataclass
class LedgerModel:
    """What a ledger must keep: rows are only added, and a claim has one or is in overflow."""

    capacity: int
    rows: dict[int, Claim] = field(default_factory=dict)
    overflow: set[tuple[str, str]] = field(default_factory=set)

    def check(self, batch: set[Claim], settlement: Settlement, rows: dict[int, Claim]) -> None:
        """Compare what became of a batch with what may become of it, and take note of it."""
        before, self.rows = self.rows, rows
        assert before.items() <= rows.items()
        issued = {_who(claim): claim for claim in settlement.issued}
        overflow = {_who(item.claim) for item in settlement.overflow}
        assert set(issued) | overflow == {_who(claim) for claim in batch}
        assert not set(issued) & overflow
        assert all(rows[claim.sequence] == claim for claim in settlement.issued)
        assert {_who(claim) for claim in rows.values()} <= set(issued) | {_who(claim) for claim in before.values()}
        assert set(settlement.reseated) <= set(settlement.issued)
        for claim in batch:
            assert (_who(claim) in issued) == (_who(claim) in {_who(row) for row in rows.values()})
            # Nobody loses a seat to a claim that needed another one.
            rivals = [rival for rival in [*before.values(), *batch] if rival != claim and _conflict(rival, claim)]
            assert rivals or claim.sequence > self.capacity or rows[claim.sequence] == claim
        for item in settlement.overflow:
            assert self._explains(item, batch)
        self.overflow |= overflow

    def _explains(self, item: Overflow, batch: set[Claim]) -> bool:
        if item.reason is OverflowReason.NO_SEAT:
            return all(seat in self.rows for seat in range(1, self.capacity + 1))
        if item.reason is OverflowReason.CODE_TAKEN:
            return any(row.coupon_code == item.claim.coupon_code for row in self.rows.values())
        # Of two unseated claims of one user, only one is ever tried.
        others = [claim for claim in [*self.rows.values(), *batch] if claim != item.claim]
        return any(claim.user_id == item.claim.user_id for claim in others)


def _conflict(one: Claim, other: Claim) -> bool:
    return one.sequence == other.sequence or one.user_id == other.user_id or one.coupon_code == other.coupon_code


class LedgerMachine(RuleBasedStateMachine):
    """One campaign of a real ledger; another one beside it must not notice."""

    def __init__(self, ledger: MysqlLedger, administrator: "Connection[Cursor]") -> None:
        super().__init__()
        self.ledger = ledger
        self.administrator = administrator
        self.is_dropped = False
        self.delivered: list[Claim] = []
        self.codes = itertools.count()
        self.most_ever = 0

    @initialize(capacity=st.integers(1, SEATS))
    def open(self, capacity: int) -> None:
        self.campaign, other = a_campaign(capacity=capacity), a_campaign()
        self.id = self.campaign.campaign_id
        self.model = LedgerModel(capacity)
        self.most_ever = capacity
        assert self.ledger.create(self.campaign)
        assert self.ledger.create(other)
        self.beside = [a_claim(other.campaign_id, 1, "ann"), a_claim(other.campaign_id, 3, "bob")]
        self.ledger.issue(self.beside)

    @rule(wanted=st.lists(wishes, max_size=10), again=st.integers(0, 3))
    def issue(self, wanted: list[tuple[int, str, str]], again: int) -> None:
        known = {_who(claim) for claim in self.delivered}
        claims: list[Claim] = []
        for sequence, user, code in wanted:
            # Codes are unique across campaigns, so also across examples.
            claim = a_claim(self.id, sequence, user, f"{self.id}-{code or next(self.codes)}")
            # The gate never makes the same claim for two seats.
            if _who(claim) not in known:
                claims.append(claim)
            known.add(_who(claim))
        self._deliver([*claims, *self.delivered[:again], *claims[:again]])

    @rule(numbers=st.lists(st.integers(0, 30), max_size=6))
    def deliver_again(self, numbers: list[int]) -> None:
        before = dict(self.model.rows)
        claims = [self.delivered[number] for number in numbers if number < len(self.delivered)]
        had_rows = {_who(row): row for row in before.values()}
        settlement = self._deliver(claims)
        # Who had a row has the same one.
        assert {_who(claim): had_rows[_who(claim)] for claim in claims if _who(claim) in had_rows}.items() <= {
            _who(claim): claim for claim in settlement.issued
        }.items()

    @rule(capacity=st.integers(1, SEATS + 2))
    def change(self, capacity: int) -> None:
        # As the gate sees to it: never below what was accepted.
        self.model.capacity = max([capacity, *self.model.rows])
        self.most_ever = max(self.most_ever, self.model.capacity)
        self.campaign = replace(self.campaign, capacity=self.model.capacity)
        record = self.ledger.update(self.campaign, self.campaign.version)
        assert record
        self.campaign = record.campaign

    @rule(limit=st.integers(1, SEATS))
    def reseat(self, limit: int) -> None:
        waiting = set(self.ledger.overflow(self.id, "", 1000))
        settlement = self.ledger.reseat_overflow(self.id, limit)
        seated = {_who(claim) for claim in settlement.issued}
        assert len(settlement.issued) + len(settlement.overflow) <= limit
        assert seated <= {_who(claim) for claim in waiting}
        before, self.model.rows = self.model.rows, self._rows()
        assert before.items() <= self.model.rows.items()
        assert seated == {_who(claim) for claim in self.model.rows.values()} - {_who(row) for row in before.values()}

    # Once an example: opening a connection takes longer than all other steps together.
    @precondition(lambda self: not self.is_dropped)
    @rule(is_closed=st.booleans())
    def drop(self, *, is_closed: bool) -> None:
        self.is_dropped = True
        if is_closed:
            self.ledger.close()
        elif self.ledger._connection:  # noqa: SLF001 - what the server would do to it
            with self.administrator.cursor() as cursor:
                cursor.execute(f"KILL {self.ledger._connection.thread_id()}")  # type: ignore[no-untyped-call]

    @invariant()
    def no_more_rows_than_ever_were_allowed(self) -> None:
        rows = self.model.rows.values()
        assert len(rows) <= self.most_ever
        assert all(1 <= claim.sequence <= self.most_ever for claim in rows)
        assert len({claim.user_id for claim in rows}) == len({claim.coupon_code for claim in rows}) == len(rows)

    @invariant()
    def it_reports_what_it_has(self) -> None:
        counts = self.ledger.counts(self.id)
        seated = {_who(claim) for claim in self.model.rows.values()}
        assert (counts.issued, counts.overflow) == (len(seated), len(self.model.overflow - seated))
        kept = [_who(claim) for claim in self.ledger.overflow(self.id, "", 1000)]
        assert set(kept) == self.model.overflow - seated
        codes = {claim.coupon_code for claim in self.delivered}
        assert self.ledger.settled_codes(self.id, self.delivered) == codes

    def teardown(self) -> None:
        if hasattr(self, "beside"):
            beside = self.ledger.coupons(self.beside[0].campaign_id, 0, 10)
            assert [coupon.claim for coupon in beside] == self.beside

    def _deliver(self, claims: list[Claim]) -> Settlement:
        settlement = self.ledger.issue(claims)
        self.model.check(set(claims), settlement, self._rows())
        self.delivered += [claim for claim in claims if claim not in self.delivered]
        return settlement

    def _rows(self) -> dict[int, Claim]:
        return {coupon.claim.sequence: coupon.claim for coupon in self.ledger.coupons(self.id, 0, 1000)}


def test_ledger_and_model_agree(mysql_server: MysqlTestServer) -> None:
    ledger = mysql_server.ledger()
    with mysql_server.connect() as administrator:
        run_machine(lambda: LedgerMachine(ledger, administrator), examples=20, steps=15)
    ledger.close()
