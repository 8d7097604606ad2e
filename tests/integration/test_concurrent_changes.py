"""Two operators change one campaign at once, and a session that holds the lock is ended: the gate never has more than
the ledger. On real servers; verify/changes/test_many_rounds.py does it at random, 300 times."""

import itertools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, cast

import pytest

from firstcome.adapters.mysql.ledger import MysqlLedger
from firstcome.domain.campaign import Campaign
from firstcome.domain.errors import FirstcomeError
from firstcome.domain.gate import GateView
from firstcome.service.alignment import Alignment
from firstcome.service.campaigns import Campaigns, Precondition, Saved
from firstcome.service.ports import Gate, Ledger
from tests.conftest import MysqlTestServer, RedisTestServer
from tests.factories import a_campaign
from tests.fakes import FakeClock


class Servers:
    """Redis and MySQL with one campaign of five coupons, and what both have of it."""

    def __init__(self, redis_server: RedisTestServer, mysql_server: MysqlTestServer) -> None:
        self.redis, self.mysql = redis_server, mysql_server
        self.ledger = mysql_server.ledger()
        self.gate = redis_server.gate()

    def open(self) -> Campaign:
        """Create a campaign of its own."""
        campaign = a_campaign(capacity=5)
        Campaigns(self.gate, self.ledger, FakeClock(), 0).put(campaign, "olga", Precondition())
        return campaign

    def capacities(self, campaign: Campaign) -> tuple[int, int]:
        """Return what gate and ledger have."""
        view = self.gate.show(campaign.campaign_id)
        record = self.ledger.find(campaign.campaign_id)
        assert isinstance(view, GateView)
        assert view.campaign
        assert record
        return view.campaign.capacity, record.campaign.capacity

    def align(self, campaign: Campaign) -> None:
        """Do what a run of the relay does with a campaign that is quiet."""
        with self.ledger.campaign_lock(campaign.campaign_id):
            Alignment(self.gate, self.ledger).run(campaign.campaign_id)

    def end_session(self, ledger: MysqlLedger) -> None:
        """End a ledger's session, as a failover does."""
        if ledger._connection is not None:
            with suppress(Exception):
                self.mysql.rows("KILL %s", ledger._connection.thread_id())  # type: ignore[no-untyped-call]


class Interrupted:
    """A port at whose n-th call something happens before the call is made."""

    def __init__(self, port: object, calls: "itertools.count[int]", at: int, happen: Callable[[], None]) -> None:
        self._port, self._calls, self._at, self._happen = port, calls, at, happen

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._port, name)

        def call(*values: Any, **named: Any) -> Any:
            if next(self._calls) == self._at:
                self._happen()
            return real(*values, **named)

        return call


@pytest.mark.parametrize(("first", "second"), [(6, 3), (3, 6), (6, 7), (3, 2)])
def test_a_lock_that_is_lost_at_any_call_lets_no_gate_have_more_than_the_ledger(
    redis_server: RedisTestServer, mysql_server: MysqlTestServer, first: int, second: int
) -> None:
    """GIVEN a change under way, WHEN its session ends at its n-th call and another one runs to its end, THEN at once
    the gate has no more than the ledger, both answered 200 only if they agree, and later they agree."""
    servers = Servers(redis_server, mysql_server)
    for at in itertools.count():
        campaign, calls = servers.open(), itertools.count()
        ledger = mysql_server.ledger()
        between: list[bool] = []
        interrupt = partial(_interrupt, servers, ledger, campaign, second, between)
        gate = Interrupted(redis_server.gate(), calls, at, interrupt)
        is_saved = put(cast(Gate, gate), cast(Ledger, Interrupted(ledger, calls, at, interrupt)), campaign, first)
        if not between:
            assert is_saved
            break
        at_gate, in_ledger = servers.capacities(campaign)
        assert at_gate <= in_ledger, at
        assert at_gate == in_ledger or not (is_saved and between == [True]), at
        servers.align(campaign)
        at_gate, in_ledger = servers.capacities(campaign)
        assert at_gate == in_ledger, at
    assert at > 10


def _interrupt(servers: Servers, ledger: MysqlLedger, campaign: Campaign, capacity: int, between: list[bool]) -> None:
    servers.end_session(ledger)
    between.append(put(servers.redis.gate(), servers.mysql.ledger(), campaign, capacity))


def put(gate: Gate, ledger: Ledger, campaign: Campaign, capacity: int) -> bool:
    """Change the capacity; returns whether it is answered 200."""
    try:
        changed = replace(campaign, capacity=capacity)
        return isinstance(Campaigns(gate, ledger, FakeClock(), 0).put(changed, "olga", Precondition()), Saved)
    except FirstcomeError:
        return False
    finally:
        ledger.close()
