"""Connecting to MySQL: as the user of a secret or of IAM, over TLS that verifies the server, with the ledger's session.

The timeouts are below those of the functions: see the arithmetic beside each Timeout in template.yaml.
"""

from functools import cache
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from firstcome.adapters import aws, trust
from firstcome.domain.errors import LedgerUnavailableError, LoginUnavailableError, SettingsError
from firstcome.settings import MysqlSettings

CONNECT_TIMEOUT_SECONDS = 3
READ_TIMEOUT_SECONDS = 8
"""To wait for each reply; above the lock waits of 3 and 5 s, below the functions' 29 and 30 s."""

SESSION_SQL = (
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION time_zone = '+00:00', SESSION innodb_lock_wait_timeout = 3",
)
"""Sent once per connection: no gap locks, UTC, and three waits for a lock fit into a function's time."""

_ACCESS_DENIED = 1045
"""ER_ACCESS_DENIED_ERROR."""


def connect(where: MysqlSettings) -> "Connection[Cursor]":
    """Open a connection, with autocommit off. A login that is refused is read again, once: it may have been rotated.

    Raises:
        pymysql.MySQLError: MySQL cannot be reached, is not the server it should be, or refuses the login.
        LedgerUnavailableError: AWS did not give the login.
        SettingsError: a setting or a secret is wrong.
    """
    login = _login(where, None)
    try:
        return _open(where, login)
    except pymysql.OperationalError as exc:
        is_refused = bool(exc.args) and exc.args[0] == _ACCESS_DENIED
        renewed = _login(where, login) if is_refused else login
        if renewed == login:
            raise
        return _open(where, renewed)


def _login(where: MysqlSettings, refused: aws.Login | None) -> aws.Login:
    try:
        if where.iam_user:
            # Another token would be refused too: each is made anew.
            return refused or aws.Login(where.iam_user, aws.rds_token(where.host, where.port, where.iam_user))
        login = aws.secret_login(where.secret_arn, refused)
    except LoginUnavailableError as exc:
        raise LedgerUnavailableError(str(exc)) from exc
    if not login.username:
        raise SettingsError("MYSQL_SECRET_ARN must name a secret with the JSON fields username and password")
    return login


def _open(where: MysqlSettings, login: aws.Login) -> "Connection[Cursor]":
    connection = _connect(
        host=where.host,
        port=where.port,
        user=login.username,
        password=login.password,
        database=where.database,
        charset="utf8mb4",
        autocommit=False,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        write_timeout=READ_TIMEOUT_SECONDS,
        # A context verifies the certificate and the name; PyMySQL's `ssl_ca` alone verifies nothing.
        ssl=_tls_context(where.host) if where.use_tls else None,
        ssl_disabled=not where.use_tls,
    )
    try:
        with connection.cursor() as cursor:
            for statement in SESSION_SQL:
                cursor.execute(statement)
    except BaseException:
        # Nobody else knows of it yet: left open, it would stay one of the few that MySQL has for the drain.
        connection.close()
        raise
    return connection


def _connect(**options: Any) -> "Connection[Cursor]":
    try:
        return pymysql.connect(**options)
    except RuntimeError as exc:
        # Without TLS, PyMySQL would encrypt the password for whoever answers, with a package that the layer leaves out.
        raise SettingsError("MYSQL_TLS must be true for a user of caching_sha2_password or sha256_password") from exc


_tls_context = cache(trust.context_for)
