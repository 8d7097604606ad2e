"""The whole service, use case by use case, on a real gate and a real ledger: parts fail before or after they did
something, messages come late, twice and in any order, the gate is wiped and rolled back. Whoever was told a coupon gets
it, and in the end there are exactly N."""

from contextlib import suppress
from dataclasses import replace
from typing import cast

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from firstcome.adapters.mysql.ledger import MysqlLedger
from firstcome.adapters.redis.gate import GateKeys, RedisGate
from firstcome.domain.claim import Admission, Claim
from firstcome.domain.errors import FirstcomeError, GateUnavailableError, LedgerUnavailableError, QueueUnavailableError
from firstcome.domain.gate import GateState
from firstcome.domain.message import to_body
from firstcome.domain.refusal import Refused
from firstcome.service.apply import Applications
from firstcome.service.campaigns import Campaigns, Precondition
from firstcome.service.drain import Drain, Message
from firstcome.service.ports import ClaimQueue, ClaimSender, Gate, Ledger
from firstcome.service.rate_limit import RateLimit
from firstcome.service.rebuild import Rebuild
from firstcome.service.reconcile import Reconcile
from firstcome.service.relay import Relay
from firstcome.service.sold_out import SoldOutMemory
from tests.conftest import MysqlTestServer, RedisTestServer
from tests.factories import a_campaign
from tests.fakes import FakeClock, MemoryDeadLetters, MemoryQueue
from tests.property.flaky import Fault, Flaky
from tests.property.profile import run_machine

USERS = ("ann", "bob", "carl", "dora", "eve", "fred")
PLENTY_MS = 10**9

users = st.sampled_from(USERS)
capacities = st.integers(1, len(USERS))
faults = st.none() | st.builds(
    Fault, st.sampled_from(["gate", "queue", "ledger"]), call=st.integers(0, 8), takes_effect=st.booleans()
)
picks = st.lists(st.integers(0, 10), min_size=1, max_size=6)


class ServiceMachine(RuleBasedStateMachine):
    """One campaign from the users to the rows."""

    def __init__(self, server: RedisTestServer, gate: RedisGate, ledger: MysqlLedger) -> None:
        super().__init__()
        self.server = server
        self.real_gate, self.real_ledger, self.messages = gate, ledger, MemoryQueue()
        self.parts = {
            "gate": Flaky(gate, GateUnavailableError),
            "queue": Flaky(self.messages, QueueUnavailableError),
            "ledger": Flaky(ledger, LedgerUnavailableError),
        }
        self.gate = cast(Gate, self.parts["gate"])
        self.queue = cast(ClaimQueue, self.parts["queue"])
        self.sender = cast(ClaimSender, self.parts["queue"])
        self.ledger = cast(Ledger, self.parts["ledger"])
        self.clock, self.dead_letters = FakeClock(), MemoryDeadLetters()
        self.drain = Drain(
            self.ledger, self.gate, self.queue, self.dead_letters, RateLimit(1000, 2, self.clock), self.clock
        )
        self.rebuild = Rebuild(self.gate, self.ledger, self.queue, self.clock, quiet_ms=0)
        self.reconcile = Reconcile(self.gate, self.ledger, self.queue, self.clock, quiet_ms=0)
        self.relay = Relay(
            self.gate,
            self.queue,
            self.ledger,
            self.rebuild,
            self.reconcile,
            self.clock,
            after_ms=0,
            time_left_ms=lambda: PLENTY_MS,
        )
        self.operator = Campaigns(self.gate, self.ledger, self.clock, hold_ms=0)
        self.applications = Applications(self.gate, self.sender, SoldOutMemory(self.clock), self.clock)
        self.told: dict[str, Claim] = {}
        self.rows: dict[int, tuple[str, str]] = {}
        self.snapshot: dict[bytes | str, bytes] = {}
        self.purged: set[str] = set()
        self.gone: set[str] = set()
        """Codes of claims that were purged from the queue and are not at the gate either: two faults at once."""
        self.most_ever = 0
        self.is_honest = True
        """Whether nothing was rolled back behind everybody's back."""

    @initialize(capacity=capacities)
    def open(self, capacity: int) -> None:
        self.campaign = a_campaign(capacity=capacity)
        self.id = self.campaign.campaign_id
        self.server.client.flushall()
        self.operator.put(self.campaign, "olga", Precondition())
        self.take_snapshot()

    @rule(user=users, fault=faults, asks=st.booleans())
    def apply(self, *, user: str, fault: Fault | None, asks: bool) -> None:
        self._arm(fault)
        with suppress(FirstcomeError):
            if asks:
                answer: object = self.applications.my_coupon(self.id, user)
            else:
                answer = self.applications.apply(self.id, user)
            if isinstance(answer, Admission):
                if user in self.told and self.told[user].coupon_code in self.gone:
                    del self.told[user]
                claim = self.told.setdefault(user, answer.claim)
                assert claim.coupon_code == answer.claim.coupon_code or not self.is_honest

    @rule(picks=picks, again=st.booleans(), has_junk=st.booleans(), fault=faults)
    def deliver(self, *, picks: list[int], again: bool, has_junk: bool, fault: Fault | None) -> None:
        sent = self.messages.sent
        bodies = {str(pick): Message(to_body(sent[pick])) for pick in picks if pick < len(sent)}
        if has_junk:
            bodies["junk"] = Message("no claim")
        self._arm(fault)
        with suppress(LedgerUnavailableError):
            report = self.drain.drain(bodies, PLENTY_MS)
            assert not report.failed
            assert len(report.unreadable) == has_junk
            if not again:
                self.messages.sent = [claim for number, claim in enumerate(sent) if str(number) not in bodies]

    @rule(fault=faults)
    def run_relay(self, fault: Fault | None) -> None:
        self._arm(fault)
        with suppress(FirstcomeError):
            failures = self.relay.run().failures
            assert all(isinstance(failure.error, FirstcomeError) for failure in failures)

    @rule(capacity=capacities, fault=faults)
    def change(self, capacity: int, fault: Fault | None) -> None:
        self._arm(fault)
        with suppress(FirstcomeError):
            self.operator.put(replace(self.campaign, capacity=capacity), "olga", Precondition())

    @rule(paused=st.booleans(), fault=faults)
    def pause(self, *, paused: bool, fault: Fault | None) -> None:
        self._arm(fault)
        with suppress(FirstcomeError):
            (self.operator.pause if paused else self.operator.resume)(self.id, "olga")

    @rule()
    def purge(self) -> None:
        """Lose what is in the queue."""
        codes = {claim.coupon_code for claim in self.messages.sent} - {code for _, code in self.rows.values()}
        self.messages.sent.clear()
        self.purged |= codes
        self.gone |= codes - self._codes_at_gate()

    @rule()
    def wipe(self) -> None:
        self.server.client.flushall()
        self._forget_purged()

    @rule()
    def take_snapshot(self) -> None:
        """Let a replica catch up."""
        dumps = {key: self.server.client.dump(key) for key in self.server.client.keys("*")}
        self.snapshot = {key: dump for key, dump in dumps.items() if dump is not None}

    @rule(is_noticed=st.sampled_from([True, True, False]))
    def roll_back(self, *, is_noticed: bool) -> None:
        """Promote the replica. By its own run id it is known for another server; without, it is not."""
        self.server.client.flushall()
        for key, value in self.snapshot.items():
            self.server.client.restore(key, 0, value)
        self._forget_purged()
        campaign_key = GateKeys(self.id).campaign
        if is_noticed and self.server.client.exists(campaign_key):
            self.server.client.hset(campaign_key, "run_id", "another")
        self.is_honest &= is_noticed

    @invariant()
    def rows_are_only_added_and_never_too_many(self) -> None:
        self._arm(None)
        record = self.real_ledger.find(self.id)
        assert record
        self.most_ever = max(self.most_ever, record.campaign.capacity)
        found = [coupon.claim for coupon in self.real_ledger.coupons(self.id, 0, 1000)]
        rows = {claim.sequence: (claim.user_id, claim.coupon_code) for claim in found}
        assert self.rows.items() <= rows.items()
        assert len(rows) == len({claim.user_id for claim in found}) <= self.most_ever
        assert all(1 <= sequence <= self.most_ever for sequence in rows)
        self.rows = rows

    def teardown(self) -> None:
        if not self.most_ever:
            return
        self._settle()
        kept = {(claim.user_id, claim.coupon_code) for claim in self.real_ledger.overflow(self.id, "", 1000)}
        seated = set(self.rows.values())
        self.told = {user: claim for user, claim in self.told.items() if claim.coupon_code not in self.gone}
        assert {(claim.user_id, claim.coupon_code) for claim in self.told.values()} <= seated | kept
        if self.is_honest:
            assert not kept - seated
            self._rush()

    def _rush(self) -> None:
        """Let more users apply than there are coupons left."""
        self.operator.resume(self.id, "olga")
        record = self.real_ledger.find(self.id)
        assert record
        capacity = record.campaign.capacity
        self.operator.put(record.campaign, "olga", Precondition())
        for number in range(capacity + 1):
            last = self.applications.apply(self.id, f"late-{number}")
        assert isinstance(last, Refused)
        self._settle()
        assert sorted(self.rows) == list(range(1, capacity + 1))
        for claim in self.told.values():
            found = self.real_gate.find(self.id, claim.user_id)
            assert isinstance(found, Admission)
            assert (found.claim.coupon_code, found.is_issued) == (claim.coupon_code, True)

    def _settle(self) -> None:
        """Let everything run on without faults until nothing is under way any more."""
        self._arm(None)
        for _ in range(5):
            failures = self.relay.run().failures
            assert not failures, [repr(f.error) + repr(f.error.__cause__) for f in failures]
            while self.messages.sent:
                self.deliver(picks=list(range(11)), again=False, has_junk=False, fault=None)
        assert self.real_gate.state(self.id) is GateState.WHOLE
        assert self.real_gate.outbox(self.id, 0, 1) == []
        self.rows_are_only_added_and_never_too_many()

    def _codes_at_gate(self) -> set[str]:
        claims, position = self.real_gate.claims_page(self.id, "")
        assert position is None
        return {claim.coupon_code for claim in claims}

    def _forget_purged(self) -> None:
        """Give up what the gate has just forgotten and the queue had lost before."""
        kept = {code for _, code in self.rows.values()} | {claim.coupon_code for claim in self.messages.sent}
        self.gone |= self.purged - kept - self._codes_at_gate()

    def _arm(self, fault: Fault | None) -> None:
        for name, part in self.parts.items():
            part.arm(fault if fault and fault.part == name else None)


def test_the_service_keeps_its_word(redis_server: RedisTestServer, mysql_server: MysqlTestServer) -> None:
    gate, ledger = redis_server.gate(), mysql_server.ledger()
    run_machine(lambda: ServiceMachine(redis_server, gate, ledger), examples=20, steps=20)
    ledger.close()
