"""The migration of a ledger of the stack's own: as the owner of the database, who lets the functions' user in."""

from collections.abc import Callable
from dataclasses import dataclass

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from firstcome.adapters.mysql.migrate import TABLES, migrate
from firstcome.domain.errors import LedgerUnavailableError


@dataclass(frozen=True, slots=True)
class LedgerUser:
    """The user of the functions.

    Attributes:
        connections_max: connections it may have at a time (MAX_USER_CONNECTIONS).
    """

    name: str
    password: str
    connections_max: int


@dataclass(frozen=True, slots=True)
class MysqlOwner:
    """Brings the schema up to date, and makes or mends the functions' user; both may be repeated at any time.

    Attributes:
        connect: opens a connection as the owner.
    """

    connect: "Callable[[], Connection[Cursor]]"
    database: str
    user: LedgerUser

    def migrate(self) -> None:
        """Run the migration. Raises as `migrate` does, after which it may be run again."""
        migrate(self.connect)
        try:
            with self.connect() as connection, connection.cursor() as cursor:
                self._let_user_in(cursor)
        except pymysql.Error as exc:
            # Without its cause, which may quote the statement, and so the password.
            raise LedgerUnavailableError(f"the functions' user could not be made: MySQL error {exc.args[0]}") from None

    def _let_user_in(self, cursor: Cursor) -> None:
        # Made if it is not there, and then as the secret has it, whatever it was.
        for verb in ("CREATE USER IF NOT EXISTS", "ALTER USER"):
            cursor.execute(
                f"{verb} %s@'%%' IDENTIFIED BY %s REQUIRE SSL WITH MAX_USER_CONNECTIONS %s",
                (self.user.name, self.user.password, self.user.connections_max),
            )
        database = self.database.replace("`", "``")
        for table in TABLES:
            # No DELETE: nothing that is issued is ever taken away.
            cursor.execute(f"GRANT SELECT, INSERT, UPDATE ON `{database}`.{table} TO %s@'%%'", (self.user.name,))
