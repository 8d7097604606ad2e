"""The migration of a ledger of the stack's own: as the owner of the database, who lets the functions' user in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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


class MysqlOwner:
    """Brings the schema up to date, and makes or mends the functions' user; both may be repeated at any time.

    Args:
        connect: opens a connection as the owner.
    """

    def __init__(self, connect: "Callable[[], Connection[Cursor]]", database: str, user: LedgerUser) -> None:
        self._connect = connect
        self._database = database
        self._user = user

    def migrate(self) -> None:
        """Run the migration.

        Raises:
            LedgerSchemaError: as `migrate` does.
            LedgerUnavailableError: it may have been run in part; run it again.
        """
        migrate(self._connect)
        try:
            self._let_user_in()
        except pymysql.Error as exc:
            # Without its cause, which may quote the statement, and so the password.
            raise LedgerUnavailableError(f"the functions' user could not be made: MySQL error {exc.args[0]}") from None

    def _let_user_in(self) -> None:
        connection = self._connect()
        try:
            with connection.cursor() as cursor:
                for statement, values in self._statements():
                    cursor.execute(statement, values)
        finally:
            connection.close()

    def _statements(self) -> list[tuple[str, tuple[Any, ...]]]:
        user = self._user
        # Made if it is not there, and then as the secret has it, whatever it was.
        account = "%s@'%%' IDENTIFIED BY %s REQUIRE SSL WITH MAX_USER_CONNECTIONS %s"
        values = (user.name, user.password, user.connections_max)
        database = self._database.replace("`", "``")
        return [
            (f"CREATE USER IF NOT EXISTS {account}", values),
            (f"ALTER USER {account}", values),
            # No DELETE: nothing that is issued is ever taken away.
            *((f"GRANT SELECT, INSERT, UPDATE ON `{database}`.{table} TO %s@'%%'", (user.name,)) for table in TABLES),
        ]
