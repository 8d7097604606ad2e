"""A service in memory on one clock: what is accepted, sent, lost and healed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from firstcome.domain.campaign import Campaign
from firstcome.domain.claim import Admission, Claim, new_coupon_code
from firstcome.domain.refusal import Refused
from firstcome.service.rebuild import Rebuild, Rebuilt, StillUnderWay
from firstcome.service.reconcile import Reconcile
from firstcome.service.relay import Relay, RelayReport
from tests.factories import a_campaign, open_campaign
from tests.fakes import FakeClock, MemoryGate, MemoryLedger, MemoryQueue

QUIET_MS = 5_000
RUN_MS = 40_000


def plenty() -> bool:
    """There is always time."""
    return True


def times(number: int) -> Callable[[], bool]:
    """There is time for so many pages."""
    left = iter(range(number))
    return lambda: next(left, None) is not None


@dataclass
class Service:
    """The ports in memory, and the use cases that heal."""

    clock: FakeClock = field(default_factory=FakeClock)
    queue: MemoryQueue = field(default_factory=MemoryQueue)
    gate: MemoryGate = field(init=False)
    ledger: MemoryLedger = field(init=False)

    def __post_init__(self) -> None:
        self.gate = MemoryGate(self.clock)
        self.ledger = MemoryLedger(self.clock)
        self.gate.register([])

    @property
    def rebuild(self) -> Rebuild:
        """The use case."""
        return Rebuild(self.gate, self.ledger, self.queue, self.clock, QUIET_MS)

    @property
    def reconcile(self) -> Reconcile:
        """The use case."""
        return Reconcile(self.gate, self.ledger, self.queue, self.clock, QUIET_MS)

    def open(self, campaign_id: str = "demo", **changes: Any) -> Campaign:
        """Create a campaign of five coupons."""
        return open_campaign(self.ledger, self.gate, a_campaign(campaign_id, **{"capacity": 5, **changes}))

    def accept(self, *users: str, campaign_id: str = "demo") -> list[Claim]:
        """Let users apply, and leave their claims in the outbox."""
        claims = []
        for user in users:
            answer = self.gate.apply(campaign_id, user, new_coupon_code())
            assert isinstance(answer, Admission)
            claims.append(answer.claim)
        return claims

    def send(self, *users: str, campaign_id: str = "demo") -> list[Claim]:
        """Let users apply as the apply function does, up to the queue."""
        claims = self.accept(*users, campaign_id=campaign_id)
        self.queue.sent += claims
        self.gate.remove_from_outbox(claims)
        return claims

    def drain(self) -> None:
        """Bring what is in the queue into the ledger, as the drain does."""
        self.gate.mark_issued(self.ledger.issue(self.queue.sent).issued)
        self.queue.sent.clear()

    def issue(self, *users: str, campaign_id: str = "demo") -> list[Claim]:
        """Let users apply, up to the ledger."""
        claims = self.send(*users, campaign_id=campaign_id)
        self.drain()
        return claims

    def run_rebuild(self, patience_ms: int = QUIET_MS) -> Rebuilt | StillUnderWay | Refused:
        """Ask for a rebuild, with time for all of it."""
        return self.rebuild.run("demo", plenty, patience_ms)

    def relay(self, run_ms: int = RUN_MS) -> RelayReport:
        """Run the relay once."""
        ends_at = self.clock.now() + run_ms
        return Relay(
            self.gate,
            self.queue,
            self.ledger,
            self.rebuild,
            self.reconcile,
            self.clock,
            after_ms=1_000,
            time_left_ms=lambda: ends_at - self.clock.now(),
        ).run()
