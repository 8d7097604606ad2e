"""MariaDB's own count of what it was asked to do."""

from __future__ import annotations

from dataclasses import dataclass

import psutil
from pymysql.connections import Connection
from pymysql.cursors import Cursor

_NAMES = ("Questions", "Com_commit")
_READ = f"SHOW GLOBAL STATUS WHERE Variable_name IN {_NAMES}"


@dataclass(frozen=True)
class Counters:
    """Readings of the server's counters, or what happened between two of them.

    Attributes:
        statements: sent by all clients, logins aside; reading the counters is one.
        cpu_seconds: of the server's process.
    """

    statements: int
    commits: int
    cpu_seconds: float

    def since(self, before: Counters) -> Counters:
        """What happened since, without the reading itself."""
        return Counters(
            statements=self.statements - before.statements - 1,
            commits=self.commits - before.commits,
            cpu_seconds=self.cpu_seconds - before.cpu_seconds,
        )


def read_counters(connection: Connection[Cursor], pid: int) -> Counters:
    """Read them."""
    with connection.cursor() as cursor:
        cursor.execute(_READ)
        values = {str(name): int(value) for name, value in cursor.fetchall()}
    times = psutil.Process(pid).cpu_times()
    statements, commits = (values[name] for name in _NAMES)
    return Counters(statements, commits, times.user + times.system)
