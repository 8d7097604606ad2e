"""The gate on a real Redis against a model of a few lines: whatever happens in whatever order, both say the same."""

from dataclasses import dataclass, field, replace

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from firstcome.adapters.redis.gate import GateKeys
from firstcome.domain.campaign import Phase
from firstcome.domain.claim import Admission, Claim, new_coupon_code
from firstcome.domain.errors import GateLostError
from firstcome.domain.gate import ConfigureResult, GateState, GateView
from firstcome.domain.refusal import Refusal, Refused
from firstcome.service.rebuild import Rebuild, Rebuilt
from tests.conftest import RedisTestServer
from tests.factories import FAR_AHEAD, LONG_AGO, a_campaign, open_campaign
from tests.fakes import FakeClock, MemoryLedger, MemoryQueue
from tests.property.profile import run_machine

USERS = ("ann", "Ann", "bob", "carl", "dora", "eve", "fred:1:x", "göran")
QUIET_MS = 5_000
WINDOWS = {
    Phase.OPEN: (LONG_AGO, FAR_AHEAD),
    Phase.NOT_OPEN: (FAR_AHEAD - 1, FAR_AHEAD),
    Phase.CLOSED: (LONG_AGO, LONG_AGO + 1),
}

users = st.sampled_from(USERS)
capacities = st.integers(1, len(USERS) + 1)


@dataclass
class GateModel:
    """What a gate must know, and the one decision it takes."""

    capacity: int
    window: Phase = Phase.OPEN
    paused: bool = False
    state: GateState = GateState.WHOLE
    is_wiped: bool = False
    highest: int = 0
    free: list[int] = field(default_factory=list)
    claims: dict[str, Claim] = field(default_factory=dict)
    outbox: set[str] = field(default_factory=set)
    issued: set[str] = field(default_factory=set)

    def answer(self, user: str) -> Claim | Refusal | GateState | int:
        """Tell what the user must get: their claim, a refusal, no answer (the gate's state), or this sequence."""
        if user in self.claims and not self.is_wiped:
            return self.claims[user]
        if self.state is not GateState.WHOLE:
            return self.state
        if self.paused or self.window is not Phase.OPEN:
            return Refusal.PAUSED if self.paused else Refusal(self.window.value)
        if not self.free and self.highest >= self.capacity:
            return Refusal.SOLD_OUT
        return self.free[0] if self.free else self.highest + 1

    def admit(self, claim: Claim) -> None:
        """Take note of the claim that was made."""
        if self.free:
            self.free.pop(0)
        self.highest = max(self.highest, claim.sequence)
        self.claims[claim.user_id] = claim
        self.outbox.add(claim.user_id)

    def restore(self, claims: list[Claim]) -> None:
        """Be what a rebuild makes of what is in the ledger."""
        self.claims = {claim.user_id: claim for claim in claims}
        self.outbox, self.issued = set(), set(self.claims)
        taken = {claim.sequence for claim in claims}
        self.highest = max(taken, default=0)
        self.free = sorted(set(range(1, self.highest)) - taken)
        self.state, self.is_wiped = GateState.WHOLE, False


class GateMachine(RuleBasedStateMachine):
    """Two connections to one gate, with a ledger and a queue in memory to rebuild it from."""

    def __init__(self, server: RedisTestServer) -> None:
        super().__init__()
        self.server = server
        self.gates = [server.gate(), server.gate()]
        self.clock = FakeClock()
        self.ledger = MemoryLedger(self.clock)
        self.queue = MemoryQueue()
        self.told: dict[str, str] = {}

    @initialize(capacity=capacities)
    def open(self, capacity: int) -> None:
        self.server.client.flushall()
        self.campaign = open_campaign(self.ledger, self.gates[0], a_campaign(capacity=capacity))
        self.id = self.campaign.campaign_id
        self.keys = GateKeys(self.id)
        self.model = GateModel(capacity)

    @rule(user=users, through=st.integers(0, 1))
    def apply(self, user: str, through: int) -> None:
        expected, code = self.model.answer(user), new_coupon_code()
        try:
            answer = self.gates[through].apply(self.id, user, code)
        except GateLostError:
            assert isinstance(expected, GateState)
            return
        if isinstance(answer, Refused):
            assert answer.refusal == expected
            return
        if isinstance(expected, Claim):
            assert answer == self._admission(expected)
        else:
            assert isinstance(expected, int)
            assert answer.claim == Claim(self.id, user, expected, code, answer.claim.accepted_at)
            assert (answer.is_new, answer.is_in_outbox, answer.is_issued) == (True, True, False)
            self.model.admit(answer.claim)

    @rule(user=users, through=st.integers(0, 1))
    def find(self, user: str, through: int) -> None:
        claim = self.model.claims.get(user)
        # A fenced gate may have forgotten a claim, so it does not say that there is none.
        is_unsure = self.model.is_wiped or (self.model.state is not GateState.WHOLE and claim is None)
        try:
            found = self.gates[through].find(self.id, user)
        except GateLostError:
            assert is_unsure
            return
        assert not is_unsure
        assert found == (self._admission(claim) if claim else None)

    @precondition(lambda self: not self.model.is_wiped)
    @rule(some=st.sets(users))
    def send(self, some: set[str]) -> None:
        claims = [self.model.claims[user] for user in sorted(some & self.model.outbox)]
        self.gates[0].remove_from_outbox(self.queue.send_all(claims))
        self.model.outbox -= some
        self.told.update({claim.user_id: claim.coupon_code for claim in claims})

    @rule(most=st.integers(1, len(USERS)))
    def drain(self, most: int) -> None:
        start = self.queue.delivered
        claims = self.queue.sent[start : start + most]
        settlement = self.ledger.issue(claims)
        assert settlement.issued == sorted(claims, key=lambda claim: claim.sequence)
        self.queue.delivered += len(claims)
        self.gates[1].mark_issued(settlement.issued)
        if self.model.state is not GateState.LOST:
            self.model.issued |= {claim.user_id for claim in claims}

    @rule(capacity=capacities, window=st.sampled_from(list(WINDOWS)), paused=st.booleans(), creates=st.booleans())
    def configure(self, *, capacity: int, window: Phase, paused: bool, creates: bool) -> None:
        opens_at, closes_at = WINDOWS[window]
        changed = replace(
            self.campaign,
            name=window.value,
            capacity=capacity,
            paused=paused,
            opens_at=opens_at,
            closes_at=closes_at,
            version=self.campaign.version + 1,
        )
        # A lost gate is never made anew: `create` is for a campaign that the ledger has only just got.
        change = self.gates[0].create if creates and self.model.state is GateState.WHOLE else self.gates[0].change
        result = change(changed)
        if self.model.state is not GateState.WHOLE:
            assert result.value == self.model.state.value
            return
        is_done = result is ConfigureResult.DONE
        assert is_done == (capacity >= self.model.highest)
        if is_done:
            self.campaign = changed
            record = self.ledger.find(self.id)
            assert record
            self.ledger.update(changed, record.campaign.version)
            self.model.capacity, self.model.window, self.model.paused = capacity, window, paused

    @rule(connections=st.booleans())
    def forget(self, *, connections: bool) -> None:
        """Do what must make no difference."""
        if connections:
            self.server.client.client_kill_filter(_type="normal", skipme=True)
        else:
            self.server.client.script_flush()

    @precondition(lambda self: self.model.state is GateState.WHOLE)
    @rule(is_failover=st.booleans())
    def close(self, *, is_failover: bool) -> None:
        if is_failover:
            self.server.client.hset(self.keys.campaign, "run_id", "another")
        else:
            assert self.gates[0].fence(self.id).highest == self.model.highest
        self.model.state = GateState.FENCED

    @precondition(lambda self: self.model.state is GateState.WHOLE and self.model.claims)
    @rule(is_wipe=st.booleans())
    def lose(self, *, is_wipe: bool) -> None:
        if is_wipe:
            self.server.client.flushall()
        else:
            self.server.client.delete(self.keys.accepted)
        self.model.state, self.model.is_wiped = GateState.LOST, is_wipe

    @rule()
    def rebuild(self) -> None:
        rebuild = Rebuild(self.gates[0], self.ledger, self.queue, self.clock, QUIET_MS)
        found = self.model.state
        outcome = rebuild.run(self.id, lambda: True, QUIET_MS)
        for _ in range(2):
            if found is not GateState.WHOLE and not isinstance(outcome, Rebuilt):
                self.drain(len(USERS))
                outcome = rebuild.run(self.id, lambda: True, QUIET_MS)
        assert isinstance(outcome, Rebuilt)
        # The first call has fenced what was lost.
        assert outcome.found in {found, GateState.FENCED}
        assert (outcome.found is GateState.WHOLE) == (found is GateState.WHOLE)
        if found is not GateState.WHOLE:
            self.model.restore([coupon.claim for coupon in self.ledger.coupons(self.id, 0, 100)])
            assert (outcome.highest, outcome.free) == (self.model.highest, len(self.model.free))

    @invariant()
    def whoever_was_told_a_code_has_it(self) -> None:
        claims = self.model.claims
        lost = [user for user, code in self.told.items() if user not in claims or claims[user].coupon_code != code]
        assert not lost or self.model.is_wiped

    @invariant()
    def the_gate_shows_what_the_model_has(self) -> None:
        gate, model = self.gates[1], self.model
        assert gate.state(self.id) is model.state
        if model.state is GateState.LOST:
            return
        view = gate.show(self.id)
        assert isinstance(view, GateView)
        assert (view.campaign, view.accepted, view.outbox) == (self.campaign, len(model.claims), len(model.outbox))
        assert view.is_available == (model.state is GateState.WHOLE)
        assert view.remaining == (max(0, model.capacity - len(model.claims)) if view.is_available else None)
        by_age = sorted((model.claims[user] for user in model.outbox), key=_age)
        assert sorted(gate.outbox(self.id, 0, 100), key=_age) == by_age
        assert gate.campaign_ids() == [self.id]

    @invariant()
    def each_sequence_is_given_once_and_none_beyond_the_capacity(self) -> None:
        given = [claim.sequence for claim in self.model.claims.values()]
        assert len(set(given)) == len(given) <= self.model.capacity
        assert set(given) | set(self.model.free) == set(range(1, self.model.highest + 1))

    def _admission(self, claim: Claim) -> Admission:
        return Admission(
            claim,
            is_new=False,
            is_in_outbox=claim.user_id in self.model.outbox,
            is_issued=claim.user_id in self.model.issued,
        )


def _age(claim: Claim) -> tuple[int, bytes]:
    return claim.accepted_at, claim.user_id.encode()


def test_gate_and_model_agree(redis_server: RedisTestServer) -> None:
    run_machine(lambda: GateMachine(redis_server), examples=40, steps=30)
