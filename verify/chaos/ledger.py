"""What the ledger holds and feels: the rows at the end, and how many connections MySQL had meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from types import TracebackType
from typing import Self

import pymysql
from pymysql.connections import Connection

from local.deployment.addresses import MysqlAddress
from verify.rush.rush import connect

LOOK_SECONDS = 0.5


class ConnectionWatch:
    """Counts the functions' connections to MySQL, now and then, from a thread of its own."""

    def __init__(self, mysql: MysqlAddress) -> None:
        """Nothing seen yet."""
        self.most = 0
        self._mysql = mysql
        self._away = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Start counting."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop counting."""
        self._over.set()

    @contextmanager
    def looking_away(self) -> Iterator[None]:
        """Count nothing while the server itself is broken: it keeps connections whose clients are dead."""
        self._away = True
        try:
            yield
        finally:
            self._away = False

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                with closing(connect(self._mysql)) as connection:
                    self._count(connection)
            except (pymysql.MySQLError, OSError):
                self._over.wait(LOOK_SECONDS)

    def _count(self, connection: Connection) -> None:
        while not self._over.wait(LOOK_SECONDS):
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT COUNT(*) FROM information_schema.processlist WHERE user = %s AND id <> CONNECTION_ID()",
                    (self._mysql.user,),
                )
                found = cursor.fetchone()
            if found and not self._away:
                self.most = max(self.most, int(found[0]))


def read_issue_times(ledger: Connection) -> list[datetime]:
    """When each coupon was written, of all campaigns."""
    with ledger.cursor() as cursor:
        cursor.execute("SELECT issued_at FROM coupon")
        return [moment for (moment,) in cursor.fetchall()]
