"""A real MySQL or MariaDB whose certificate a test chooses, and which can be left without TLS."""

import getpass
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import psutil
import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from local.deployment.addresses import MysqlAddress
from local.deployment.workspace import Workspace
from local.services.mariadb_server import SOCKET, install_database, start_mariadb
from local.services.ports import free_port
from local.services.processes import Processes
from tests.integration.certificates import Certificate
from tests.integration.tls import LOCALHOST, PASSWORD, USER

_NAMES = ("ca", "cert", "key")

DATABASE = "firstcome_tls_test"


class TlsServer(Protocol):
    """What the tests need of either."""

    port: int

    def show(self, certificate: Certificate) -> None:
        """Show this certificate to new connections."""

    def close(self) -> None:
        """Leave nothing behind."""


class MariadbTlsServer:
    """A MariaDB of the tests' own."""

    def __init__(self, folder: Path) -> None:
        self._workspace, self._processes = Workspace(folder), Processes()
        self._workspace.empty()
        _write(LOCALHOST, self._workspace.data)
        options = ["--ssl", *(f"--ssl-{name}={_path(self._workspace.data, name)}" for name in ("cert", "key"))]
        install_database(self._processes, self._workspace)
        address = start_mariadb(self._processes, self._workspace, free_port(), options)
        self.port = address.port
        self._run(
            f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4",
            f"CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}' REQUIRE SSL",
            f"GRANT ALL PRIVILEGES ON {DATABASE}.* TO {USER}@'%'",
        )

    def show(self, certificate: Certificate) -> None:
        _write(certificate, self._workspace.data)
        self._run("FLUSH SSL")

    def close(self) -> None:
        self._processes.stop()

    def _run(self, *statements: str) -> None:
        socket = str(self._workspace.data / "mariadb" / SOCKET)
        # Who runs the server is let in by its socket.
        _run(pymysql.connect(unix_socket=socket, user=getpass.getuser()), statements)


@dataclass
class MysqlTlsServer:
    """The MySQL that MYSQL_URL names, which runs on this machine: its folder is found through its process."""

    owner: MysqlAddress

    def __post_init__(self) -> None:
        self.port = self.owner.port
        ((folder,),) = self._ask("SELECT @@datadir")
        listening = [link for link in psutil.net_connections("tcp") if link.status == "LISTEN"]
        (process,) = {link.pid for link in listening if link.laddr[1:] == (self.port,)}
        # As the server sees it, and as we do: it may have a root of its own.
        self._inside, self._outside = Path(folder), Path(f"/proc/{process}/root{folder}")
        self._before = {name: self._ask(f"SELECT @@global.ssl_{name}")[0][0] or "" for name in _NAMES}
        self._run(
            f"CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4",
            f"DROP USER IF EXISTS {USER}@'%'",
            f"CREATE USER {USER}@'%' IDENTIFIED WITH caching_sha2_password BY '{PASSWORD}'",
            f"GRANT ALL PRIVILEGES ON {DATABASE}.* TO {USER}@'%'",
        )

    def show(self, certificate: Certificate) -> None:
        _write(certificate, self._outside)
        self._set(*(str(_path(self._inside, name)) for name in _NAMES))
        self._run("ALTER INSTANCE RELOAD TLS")

    def forget_logins(self) -> None:
        """Let the next login be a full one: a password that is set is no longer a known one."""
        self._run(f"ALTER USER {USER}@'%' IDENTIFIED WITH caching_sha2_password BY '{PASSWORD}'")

    def go_plain(self) -> None:
        """Offer no TLS: what MySQL does when its certificate cannot be loaded and it is told to go on."""
        self._set(*(f"/nowhere/{name}.pem" for name in _NAMES))
        self._run("ALTER INSTANCE RELOAD TLS NO ROLLBACK ON ERROR")

    def close(self) -> None:
        self._set(*self._before.values())
        self._run("ALTER INSTANCE RELOAD TLS", f"DROP USER {USER}@'%'", f"DROP DATABASE {DATABASE}")
        for name in _NAMES:
            _path(self._outside, name).unlink(missing_ok=True)

    def _set(self, *paths: str) -> None:
        self._run(*(f"SET GLOBAL ssl_{name} = '{path}'" for name, path in zip(_NAMES, paths, strict=True)))

    def _ask(self, query: str) -> Sequence[tuple[str, ...]]:
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def _run(self, *statements: str) -> None:
        _run(self._connect(), statements)

    def _connect(self) -> "Connection[Cursor]":
        owner = self.owner
        return pymysql.connect(host=owner.host, port=owner.port, user=owner.user, password=owner.password)


def _run(connection: "Connection[Cursor]", statements: Sequence[str]) -> None:
    with connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _write(certificate: Certificate, folder: Path) -> None:
    for name, content in asdict(certificate).items():
        _path(folder, name).write_bytes(content)


def _path(folder: Path, name: str) -> Path:
    return folder / f"firstcome-tls-test-{name}.pem"
