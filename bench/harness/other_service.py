"""The bystander: another service that uses the same MySQL, for its own tables, at a steady rate."""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.harness.servers import Servers

if TYPE_CHECKING:
    from pymysql.cursors import Cursor

ORDERS = 20_000
KINDS = ("point read", "small insert", "small update")

_TABLE = """CREATE TABLE IF NOT EXISTS shop_order (
  order_id   BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  customer   VARCHAR(36) CHARACTER SET ascii NOT NULL,
  cents      INT UNSIGNED NOT NULL,
  state      VARCHAR(16) CHARACTER SET ascii NOT NULL,
  changed_at DATETIME(3) NOT NULL,
  KEY by_customer (customer)
) ENGINE=InnoDB"""
_ADD = "INSERT INTO shop_order (customer, cents, state, changed_at) VALUES (%s, %s, 'new', UTC_TIMESTAMP(3))"
_READ = "SELECT customer, cents, state FROM shop_order WHERE order_id = %s"
_CHANGE = "UPDATE shop_order SET state = 'paid', cents = cents + 1, changed_at = UTC_TIMESTAMP(3) WHERE order_id = %s"


@dataclass
class Waits:
    """How long each query took, by kind, in seconds."""

    by_kind: dict[str, array[float]] = field(default_factory=lambda: {kind: array("d") for kind in KINDS})

    def all_ms(self) -> list[float]:
        """All of them, in milliseconds."""
        return [seconds * 1000 for some in self.by_kind.values() for seconds in some]

    def add(self, others: Waits) -> None:
        """Add those of another window."""
        for kind, some in others.by_kind.items():
            self.by_kind[kind].extend(some)


def make_orders(servers: Servers) -> None:
    """Make the other service's table, with some orders in it."""
    connection = servers.connect_to_mysql(autocommit=False)
    with connection, connection.cursor() as cursor:
        cursor.execute(_TABLE)
        for number in range(ORDERS):
            cursor.execute(_ADD, (f"customer-{number}", number))
        connection.commit()


def use_mysql(servers: Servers, start: float, end: float, every: float) -> Waits:
    """Send a query every so many seconds from `start` to `end`, the three kinds in turn.

    A query counts from when it is sent; one that was due while the one before still waited counts from when it was due,
    so that a stall is felt by all who would have met it.
    """
    chance = random.Random(start)
    waits = Waits()
    with servers.connect_to_mysql(autocommit=True) as connection, connection.cursor() as cursor:
        queries = _queries(cursor, chance)
        time.sleep(max(0.0, start - time.monotonic()))
        due, free_since, number = start, start, 0
        while due < end:
            time.sleep(max(0.0, due - time.monotonic()))
            began = due if due < free_since else time.monotonic()
            queries[number % len(KINDS)]()
            free_since = time.monotonic()
            waits.by_kind[KINDS[number % len(KINDS)]].append(free_since - began)
            due += every
            number += 1
    return waits


def _queries(cursor: Cursor, chance: random.Random) -> Sequence[Callable[[], object]]:
    def read() -> object:
        cursor.execute(_READ, (chance.randint(1, ORDERS),))
        return cursor.fetchone()

    def add() -> object:
        return cursor.execute(_ADD, (f"customer-{chance.randint(1, ORDERS)}", chance.randint(1, 10_000)))

    def change() -> object:
        return cursor.execute(_CHANGE, (chance.randint(1, ORDERS),))

    return (read, add, change)
