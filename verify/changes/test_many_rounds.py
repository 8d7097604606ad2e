"""Two changes at once, 300 times, while MySQL ends sessions at random: the gate never has more than the ledger."""

import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pymysql
import pytest

from tests.conftest import MysqlTestServer, RedisTestServer
from tests.integration.test_concurrent_changes import Servers, put

ROUNDS = int(os.environ.get("ROUNDS", "300"))


@pytest.mark.timeout(900)
def test_the_gate_never_has_more_than_the_ledger(redis_server: RedisTestServer, mysql_server: MysqlTestServer) -> None:
    """GIVEN sessions that end at any moment, WHEN 6 and 3 coupons are asked for at once, THEN the gate never has more
    than the ledger; they agree where both were answered 200, and once the relay has aligned them in any case."""
    servers, chance = Servers(redis_server, mysql_server), random.Random(ROUNDS)  # noqa: S311 - a repeatable choice
    both = 0
    for number in range(ROUNDS):
        campaign, is_over = servers.open(), threading.Event()
        start = threading.Barrier(3, timeout=60)

        def change(capacity: int) -> bool:
            ledger = mysql_server.ledger()
            ledger.now()
            start.wait()  # noqa: B023 - the round's own
            return put(redis_server.gate(), ledger, campaign, capacity)  # noqa: B023

        with ThreadPoolExecutor(3) as pool:
            killer = pool.submit(_end_sessions, mysql_server, start, is_over, chance.random() / 50)
            saved = list(pool.map(change, (6, 3)))
            is_over.set()
            killer.result()
        at_gate, in_ledger = servers.capacities(campaign)
        assert at_gate <= in_ledger, number
        assert at_gate == in_ledger or not all(saved), number
        both += all(saved)
        servers.align(campaign)
        at_gate, in_ledger = servers.capacities(campaign)
        assert at_gate == in_ledger, number
    # Else either nothing was ended, or everything.
    assert 0 < both < ROUNDS


def _end_sessions(server: MysqlTestServer, start: threading.Barrier, is_over: threading.Event, after: float) -> None:
    """End every other session, once, a moment after the start."""
    with server.connect() as connection, connection.cursor() as cursor:
        start.wait()
        is_over.wait(after)
        cursor.execute("SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
        for (session,) in cursor.fetchall():
            with suppress(pymysql.MySQLError):
                cursor.execute(f"KILL {int(session)}")
