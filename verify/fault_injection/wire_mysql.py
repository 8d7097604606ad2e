"""PyMySQL on the wire: each round trip of a connection, connecting included, is one call."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar

import pymysql
import pymysql.connections

from firstcome.adapters.mysql.statements import statement
from verify.fault_injection.faults import WITHOUT_LATE, CallErrors, Killed, Wire

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
    on_open: ClassVar[Callable[[Any], None]]
    on_commit: ClassVar[Callable[[int], None]]
    _rows = 0

    def connect(self, sock: Any = None) -> None:
        """Connect and log in."""
        self._call("connect", lambda: super(WiredMysql, self).connect(sock), CONNECT_ERRORS)
        type(self).on_open(self)

    def query(self, sql: Any, unbuffered: Any = None) -> int:
        """Run a statement."""
        name = _statement_name(sql)
        rows: int = self._call(name, lambda: super(WiredMysql, self).query(sql, bool(unbuffered)))
        if name == "insert_coupons":
            self._rows += rows
        return rows

    def commit(self) -> None:
        """Commit, and tell how many coupon rows that wrote."""
        self._call("COMMIT", self._commit_now)

    def rollback(self) -> None:
        """Roll back."""
        self._rows = 0
        self._call("ROLLBACK", super().rollback)

    def close(self) -> None:
        """Say good-bye; a dead process does not, the system closes its sockets."""
        if self.wire.is_dead:
            self._force_close()
            raise Killed
        super().close()

    def _commit_now(self) -> None:
        super().commit()
        type(self).on_commit(self._rows)
        self._rows = 0

    def _call(self, name: str, do: Callable[[], Any], errors: CallErrors = ERRORS) -> Any:
        try:
            return self.wire.call(f"mysql {name}", WITHOUT_LATE, errors, do)
        except pymysql.OperationalError as exc:
            if str(exc.args[1]).startswith("injected"):
                self._suffer(exc.args[0])
            raise
        except Killed:
            self._force_close()
            raise

    def _suffer(self, code: int) -> None:
        """Do to the connection what goes with an injected error."""
        if code == _DEADLOCK:
            # The server has rolled back the transaction it chose.
            super().rollback()
            self._rows = 0
        elif code != _INTERRUPTED:
            self._force_close()


def wired_mysql(wire: Wire, on_open: Callable[[Any], None], on_commit: Callable[[int], None]) -> type[WiredMysql]:
    """Make the class of connections on this wire.

    Args:
        on_open: is told each connection that was opened.
        on_commit: is told how many coupon rows each commit wrote.
    """
    members = {"wire": wire, "on_open": staticmethod(on_open), "on_commit": staticmethod(on_commit)}
    return type("WiredMysqlConnection", (WiredMysql,), members)


@cache
def _templates() -> list[tuple[str, re.Pattern[str]]]:
    """Make a pattern of each of the product's statements, with anything in place of its values."""
    folder = files("firstcome.adapters.mysql").joinpath("sql")
    names = sorted(file.name.removesuffix(".sql") for file in folder.iterdir())
    return [
        (name, re.compile(".+?".join(map(re.escape, re.split(r"%s|%\(\w+\)s", statement(name)))), re.DOTALL))
        for name in names
    ]


def _statement_name(sql: Any) -> str:
    """Name a statement: by its file, or by its first words; never by its values."""
    text = sql.decode("utf-8", "replace") if isinstance(sql, bytes | bytearray) else str(sql)
    fits = [name for name, pattern in _templates() if pattern.fullmatch(text)]
    if fits:
        return fits[0]
    words = re.findall(r"[A-Za-z_]+", text)
    count = {"CREATE": 6, "SET": 3}.get(words[0], 2)
    return " ".join(words[:count])
