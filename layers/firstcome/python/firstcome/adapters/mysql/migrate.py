"""Bringing the tables up to date: the numbered files of the folder `migrations`, by yoyo, once each and recorded.

Only the migration imports this. DDL is not transactional, so each file is one statement that may be repeated; and each
table has a comment that says whose it is, so that a table of the same name in a shared database is never adopted.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor
from yoyo import read_migrations
from yoyo.backends.core.mysql import MySQLBackend
from yoyo.connections import DatabaseURI

from firstcome.adapters.mysql.statements import statement
from firstcome.domain.errors import CampaignLockedError, LedgerSchemaError, LedgerUnavailableError

TABLES = ("campaign", "coupon", "coupon_count", "overflow", "campaign_event", "erasure")
"""What the functions' user reads and writes."""

RECORD = "firstcome_migration"
"""Where yoyo notes which migrations were applied."""

_WAIT_SECONDS = 5
"""For another migration that is under way."""


def migrate(connect: Callable[[], "Connection[Cursor]"]) -> None:
    """Apply the migrations that have not been; may be repeated, ended anywhere, and run twice at once.

    Args:
        connect: opens a connection of a user who may create tables.

    Raises:
        LedgerSchemaError: there is a table of the same name that is not ours; nothing was changed.
        LedgerUnavailableError: some migrations may have been applied; run it again.
    """
    try:
        with _Backend(connect) as backend, backend.lock():
            _refuse_tables_of_others(backend)
            backend.apply_migrations(backend.to_apply(read_migrations(_folder())))
    except pymysql.MySQLError as exc:
        raise LedgerUnavailableError("the migration was not confirmed") from exc


def pending(connect: Callable[[], "Connection[Cursor]"]) -> list[str]:
    """Return the names of the migrations that have not been applied.

    Raises:
        LedgerSchemaError: there is a table of the same name that is not ours.
        LedgerUnavailableError: MySQL did not answer.
    """
    try:
        with _Backend(connect) as backend:
            _refuse_tables_of_others(backend)
            return [migration.id for migration in backend.to_apply(read_migrations(_folder()))]
    except pymysql.MySQLError as exc:
        raise LedgerUnavailableError("MySQL did not tell which migrations were applied") from exc


class _Backend(MySQLBackend):  # type: ignore[misc]
    """yoyo's own, on connections of ours, with one table for its record, and with a lock that ends with its session."""

    def __init__(self, connect: Callable[[], "Connection[Cursor]"]) -> None:
        self._open = connect
        super().__init__(DatabaseURI("mysql", None, None, None, None, None, {}), RECORD)
        self.has_transactional_ddl = False

    def connect(self, dburi: DatabaseURI) -> "Connection[Cursor]":  # noqa: ARG002 - yoyo's signature
        return self._open()

    def copy(self) -> "_Backend":
        return _Backend(self._open)

    def ensure_internal_schema_updated(self) -> None:
        """Make the table of the record, and none of yoyo's other three."""
        self.execute(statement("create_record"))

    def log_migration(self, migration: object, operation: str) -> None:
        """Keep no log besides the record: it would need a table of its own, and the name of this machine."""

    @contextmanager
    def lock(self, timeout: float = _WAIT_SECONDS) -> Iterator[None]:
        """Hold off other migrations. yoyo's lock is a row, which would stay when a migration is ended by force."""
        with self.cursor() as cursor:
            cursor.execute(statement("take_lock"), {"campaign_id": "", "wait_seconds": timeout})
            if cursor.fetchone() != (1,):
                raise CampaignLockedError("another migration is under way")
            yield


def _refuse_tables_of_others(backend: _Backend) -> None:
    with backend.cursor() as cursor:
        cursor.execute(statement("tables_of_others"), ([*TABLES, RECORD],))
        for schema, table in cursor.fetchall():
            raise LedgerSchemaError(
                f"the database {schema} has a table named {table} that Firstcome did not make, and will not use:"
                " rename that table, or give Firstcome a database of its own"
            )


def _folder() -> str:
    return str(files("firstcome.adapters.mysql").joinpath("migrations"))
