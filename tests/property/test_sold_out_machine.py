"""Environments that remember what is sold out, beside an operator who raises, lowers, pauses and resumes.

The real scripts on a real Redis whose clock stands still between the steps. The rule is the shortest there is: what an
environment answers by itself, the gate would have answered too.
"""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from firstcome.domain.refusal import SoldOut
from firstcome.service.sold_out import REMEMBER_MS, SoldOutMemory
from tests.conftest import RedisTestServer
from tests.fakes import NOW, FakeClock
from tests.integration.test_gate_edges import Scripts
from tests.property.profile import run_machine

USERS = [f"user-{number}" for number in range(12)]

users = st.sampled_from(USERS)
environments = st.integers(0, 2)


class SoldOutMachine(RuleBasedStateMachine):
    """One campaign, three environments."""

    def __init__(self, server: RedisTestServer) -> None:
        super().__init__()
        self.scripts = Scripts(server)
        self.scripts.remember = REMEMBER_MS
        self.clock = FakeClock()
        self.memories = [SoldOutMemory(self.clock) for _ in range(3)]
        self.capacity, self.raised_at, self.is_paused = 1, 0, False

    @initialize(capacity=st.integers(1, 3))
    def open(self, capacity: int) -> None:
        self.scripts.client.flushall()
        self.capacity = capacity
        self.scripts.create(capacity=capacity, closes_at=NOW + 10**9)

    @rule(user=users, environment=environments, delay_ms=st.sampled_from([0, 1, 300, 700]))
    def apply(self, *, user: str, environment: int, delay_ms: int) -> None:
        """Ask; the reply may be a long time on its way."""
        memory = self.memories[environment]
        if memory.refuses("demo", user):
            self._check_refusal(user)
            return
        asked_at = self.clock.now()
        outcome, *seen = self._ask(user)
        self._pass(delay_ms)
        if outcome == b"sold_out":
            memory.note("demo", user, SoldOut(*seen), asked_at)

    def _check_refusal(self, user: str) -> None:
        """Nobody is refused who has a coupon, nor after the raise of a second ago."""
        claims = self.scripts.client.hgetall(self.scripts.keys.claims)
        assert user.encode() not in claims
        is_left = len(claims) < self.capacity
        assert not is_left or self.clock.now() < self.raised_at + 1_000

    def _ask(self, user: str) -> Any:
        self.scripts.now = self.clock.now()
        return self.scripts.apply(user)

    @rule(by=st.integers(-2, 3), paused=st.booleans())
    def change(self, *, by: int, paused: bool) -> None:
        capacity = max(1, self.capacity + by)
        self.scripts.now = self.clock.now()
        outcome = self.scripts.change(capacity, closes_at=NOW + 10**9, state="paused" if paused else "active")
        if outcome == b"done":
            if capacity > self.capacity:
                self.raised_at = self.clock.now()
            self.capacity = capacity

    @rule(milliseconds=st.sampled_from([1, 99, 100, 101, 499, 500, 501, 599, 600, 601]))
    def wait(self, milliseconds: int) -> None:
        self._pass(milliseconds)

    def _pass(self, milliseconds: int) -> None:
        self.clock.sleep(milliseconds)


def test_nobody_is_refused_from_memory_who_has_or_could_have_a_coupon(redis_server: RedisTestServer) -> None:
    run_machine(lambda: SoldOutMachine(redis_server), examples=60, steps=40)
