"""One run of RelayFunction in a process of its own, on a site's servers, with an empty queue.

`python -m verify.scale.relay_run ARGUMENTS`, with the JSON that `verify.scale.healing` gives; prints the answer.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from firstcome import bootstrap
from firstcome.adapters.mysql.connect import SESSION_SQL
from firstcome.adapters.mysql.ledger import MysqlLedger
from functions.relay.app import lambda_handler
from tests.fakes import MemoryQueue


class Context:
    """Lambda's context."""

    def __init__(self, timeout_seconds: float) -> None:
        self._ends_at = time.monotonic() + timeout_seconds

    def get_remaining_time_in_millis(self) -> int:
        """Tell how long the invocation may still take."""
        return int((self._ends_at - time.monotonic()) * 1000)


def main() -> None:
    """Run the relay once."""
    given: dict[str, Any] = json.loads(sys.argv[1])
    os.environ.update(given["environment"])

    def connect() -> Connection[Cursor]:
        where = {name: given["mysql"][name] for name in ("host", "port", "user", "password", "database")}
        connection = pymysql.connect(**where, charset="utf8mb4", read_timeout=8)
        with connection.cursor() as cursor:
            for statement in SESSION_SQL:
                cursor.execute(statement)
        return connection

    ledger, queue = MysqlLedger(connect), MemoryQueue()
    setattr(bootstrap, "ledger", lambda: ledger)  # noqa: B010 - the one way that mypy lets pass
    setattr(bootstrap, "claim_queue", lambda: queue)  # noqa: B010
    print(json.dumps(lambda_handler({}, Context(given["timeout_seconds"]))))


if __name__ == "__main__":
    main()
