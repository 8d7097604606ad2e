"""PyMySQL on the wire: each round trip of a connection, connecting included, is one call.

Its class is extended where it reaches the server, so it does not matter how the product makes its statements.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, ClassVar

import pymysql
import pymysql.connections

from verify.fault_injection.faults import NEVER_LATE, CallErrors, Killed, Kind, Wire

_DEADLOCK = 1213
_INTERRUPTED = 1317

ERRORS = CallErrors(
    request_lost=lambda: pymysql.OperationalError(2006, "injected: gone before it was applied"),
    refused=lambda: pymysql.OperationalError(_DEADLOCK, "injected: deadlock"),
    failed_after=lambda: pymysql.OperationalError(_INTERRUPTED, "injected: interrupted after it was applied"),
    reply_lost=lambda: pymysql.OperationalError(2013, "injected: lost connection while waiting for the reply"),
)

CONNECT_ERRORS = CallErrors(
    request_lost=lambda: pymysql.OperationalError(2003, "injected: cannot connect"),
    refused=lambda: pymysql.OperationalError(1045, "injected: access denied, the password was rotated"),
    failed_after=lambda: pymysql.OperationalError(1040, "injected: too many connections"),
    reply_lost=lambda: pymysql.OperationalError(2013, "injected: lost connection during the handshake"),
)

# The class itself; `Any`, because its stubs lack what is needed to close a socket without a word.
_Connection: Any = pymysql.connections.Connection


class WiredMysql(_Connection):  # type: ignore[misc]
    """A connection on the wire of its subclass, see `wired_mysql`."""

    wire: ClassVar[Wire]
    passed_ms: ClassVar[Callable[[], int]]
    on_open: ClassVar[Callable[[Any], None]]
    on_commit: ClassVar[Callable[[int], None]]
    _rows = 0
    _is_locked = False
    _clock_ms = 0

    def connect(self, sock: Any = None) -> None:
        """Connect and log in."""
        self._call("connect", lambda: super(WiredMysql, self).connect(sock), CONNECT_ERRORS)
        self._is_locked, self._clock_ms = False, 0
        type(self).on_open(self)

    def query(self, sql: Any, *options: Any) -> int:
        """Run a statement."""
        name = statement_name(sql)
        rows: int = self._call(name, lambda: self._query_now(sql, *options))
        if name == "INSERT coupon":
            self._rows += rows
        # Not known for sure when the statement fails, and it need not be: then the session is given up.
        self._is_locked = name == "SELECT GET_LOCK" or (self._is_locked and name != "SELECT RELEASE_LOCK")
        return rows

    def commit(self) -> None:
        """Commit, and report how many coupon rows that wrote."""
        self._call("COMMIT", self._commit_now)

    def rollback(self) -> None:
        """Roll back."""
        self._rows = 0
        self._call("ROLLBACK", super().rollback)

    def close(self) -> None:
        """Close politely; a dead process does not, the system closes its sockets."""
        if self.wire.is_dead:
            self._force_close()
            raise Killed
        super().close()

    def _query_now(self, sql: Any, *options: Any) -> int:
        passed_ms = type(self).passed_ms()
        if passed_ms != self._clock_ms:
            self._clock_ms = passed_ms
            super().query(f"SET timestamp = {time.time() + passed_ms / 1000:.6f}")
        rows: int = super().query(sql, *options)
        return rows

    def _commit_now(self) -> None:
        super().commit()
        type(self).on_commit(self._rows)
        self._rows = 0

    def _call(self, name: str, do: Callable[[], Any], errors: CallErrors = ERRORS) -> Any:
        kinds = (*NEVER_LATE, Kind.LOCK_LOST) if self._is_locked and self.wire.meanwhile else NEVER_LATE
        before = len(self.wire.fired)
        try:
            return self.wire.call(f"mysql {name}", kinds, errors, do)
        except pymysql.OperationalError as exc:
            if str(exc.args[1]).startswith("injected"):
                self._suffer(self.wire.fired[before][1])
            raise
        except Killed:
            self._force_close()
            raise

    def _suffer(self, kind: Kind) -> None:
        """Do to the connection what goes with an injected error."""
        if kind is Kind.REFUSED:
            # The server has rolled back the transaction it chose.
            super().rollback()
            self._rows = 0
        elif kind is not Kind.FAILED_AFTER:
            self._force_close()
        if kind is Kind.LOCK_LOST and self.wire.meanwhile:
            with self.wire.set(is_recording=False):
                self.wire.meanwhile()


def wired_mysql(
    wire: Wire, passed_ms: Callable[[], int], on_open: Callable[[Any], None], on_commit: Callable[[int], None]
) -> type[WiredMysql]:
    """Make the class of connections on this wire.

    Args:
        passed_ms: how far the server's clock is to be ahead.
        on_open: gets each connection that was opened.
        on_commit: gets how many coupon rows each commit wrote.
    """
    members = {"wire": wire, "passed_ms": passed_ms, "on_open": on_open, "on_commit": on_commit}
    as_static = {name: staticmethod(part) if callable(part) else part for name, part in members.items()}
    return type("WiredMysqlConnection", (WiredMysql,), as_static)


def statement_name(sql: Any) -> str:
    """Name a statement by its verb and its first table, or the lock it handles; never by its values."""
    text = sql.decode("utf-8", "replace") if isinstance(sql, bytes | bytearray) else str(sql)
    words = re.sub(r"--[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL).split()
    found = re.search(r"(\w+_LOCK)\(|\b(?:INTO|FROM|UPDATE|TABLE(?: IF NOT EXISTS)?) `?(\w+)", " ".join(words))
    return f"{words[0]} {found[1] or found[2]}" if found else " ".join(words[:2])
