"""What the handlers' tests share: the ports in memory in place of the real ones, and the log.

Whatever a handler answers on these ports must be documented in docs/openapi.yaml.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from firstcome import bootstrap, http_api
from firstcome.adapters.logs import logger
from firstcome.adapters.metrics import Metrics
from firstcome.domain.campaign import Campaign
from firstcome.http_api import Answer, Event, Handler
from firstcome.service.answers import AnswerCounts
from firstcome.service.apply import Applications
from firstcome.service.campaigns import Campaigns
from firstcome.service.drain import Drain
from firstcome.service.lifecycle import Lifecycle
from firstcome.service.lookup import Lookup
from firstcome.service.rate_limit import RateLimit
from firstcome.service.sold_out import SoldOutMemory
from tests.factories import a_campaign, open_campaign
from tests.fakes import FakeClock, MemoryDeadLetters, MemoryGate, MemoryLedger, MemoryQueue
from tests.unit import documentation

CLAIM_AGE_MS = 900_000
"""Milliseconds after which a claim that is not in the ledger is alarmed on."""


@dataclass
class World:
    """All ports in memory, on one clock."""

    clock: FakeClock = field(default_factory=FakeClock)
    gate: MemoryGate = field(init=False)
    ledger: MemoryLedger = field(init=False)
    queue: MemoryQueue = field(default_factory=MemoryQueue)
    dead_letters: MemoryDeadLetters = field(default_factory=MemoryDeadLetters)
    metrics: Callable[[], str] = lambda: ""

    def __post_init__(self) -> None:
        self.gate = MemoryGate(self.clock)
        self.ledger = MemoryLedger(self.clock)
        self.gate.register([])

    def counted(self) -> list[dict[str, Any]]:
        """Read the metrics written since the last call, without what says how to read them."""
        return [_plain(json.loads(line)) for line in self.metrics().splitlines()]

    @property
    def campaigns(self) -> Campaigns:
        """What changes campaigns, without a time that raises are held back."""
        return Campaigns(self.gate, self.ledger, self.clock, 0)

    def open(self, campaign_id: str = "demo", **changes: Any) -> Campaign:
        """Make a campaign, in the ledger and at the gate."""
        return open_campaign(self.ledger, self.gate, a_campaign(campaign_id, **changes))


def _plain(line: dict[str, Any]) -> dict[str, Any]:
    """A line of metrics, each with its one value."""
    return {name: value[0] if isinstance(value, list) else value for name, value in line.items() if name != "_aws"}


@dataclass(frozen=True)
class Log:
    """What the functions have logged."""

    stream: io.StringIO

    @property
    def text(self) -> str:
        """All of it, as written."""
        return self.stream.getvalue()

    @property
    def entries(self) -> list[dict[str, Any]]:
        """One a line."""
        return [json.loads(line) for line in self.text.splitlines()]

    def of(self, message: str) -> list[dict[str, Any]]:
        """Those with this message."""
        return [entry for entry in self.entries if entry["message"] == message]


@pytest.fixture(scope="session", autouse=True)
def _logger() -> None:
    """The logger keeps the stdout that it finds: it must not be one test's."""
    logger()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> World:
    """The ports in memory, where `bootstrap` would build the real ones."""
    made = World(metrics=lambda: capsys.readouterr().out)
    monkeypatch.setattr(bootstrap, "gate", lambda: made.gate)
    monkeypatch.setattr(bootstrap, "ledger", lambda: made.ledger)
    monkeypatch.setattr(bootstrap, "claim_queue", lambda: made.queue)
    monkeypatch.setattr(bootstrap, "claim_sender", lambda: made.queue)
    applications = Applications(made.gate, made.queue, SoldOutMemory(made.clock), made.clock)
    monkeypatch.setattr(bootstrap, "applications", lambda: applications)
    monkeypatch.setattr(bootstrap, "dead_letters", lambda: made.dead_letters)
    drain = Drain(made.ledger, made.gate, made.queue, made.dead_letters, RateLimit(200, 2, made.clock), made.clock)
    monkeypatch.setattr(bootstrap, "drain", lambda: drain)
    monkeypatch.setattr(bootstrap, "campaigns", lambda: made.campaigns)
    monkeypatch.setattr(bootstrap, "lifecycle", lambda: Lifecycle(made.gate, made.ledger))
    monkeypatch.setattr(bootstrap, "lookup", lambda: Lookup(made.gate, made.ledger, made.dead_letters, CLAIM_AGE_MS))
    answers = AnswerCounts(made.gate, made.clock)
    monkeypatch.setattr(bootstrap, "answer_counts", lambda: answers)
    metrics = Metrics(made.clock, "Firstcome/trial")
    monkeypatch.setattr(bootstrap, "metrics", lambda: metrics)
    monkeypatch.setattr(bootstrap, "MonotonicClock", lambda: made.clock)
    monkeypatch.setenv("RELAY_AFTER_SECONDS", "10")
    monkeypatch.setenv("REBUILD_QUIET_SECONDS", "6")
    monkeypatch.setattr(http_api, "route", _documented_route)
    return made


_route = http_api.route


def _documented_route(event: Event, handlers: Mapping[str, Handler]) -> Answer:
    answer = _route(event, handlers)
    documentation.check(event["routeKey"], answer)
    return answer


@pytest.fixture
def log() -> Iterator[Log]:
    """The functions' log, caught behind its formatter."""
    caught = Log(io.StringIO())
    handler = logger().registered_handler
    assert hasattr(handler, "setStream")
    before = handler.setStream(caught.stream)
    yield caught
    handler.setStream(before)
