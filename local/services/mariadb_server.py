"""The ledger's server: a real MariaDB on a private port."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pymysql

from local.deployment.addresses import MysqlAddress
from local.deployment.workspace import Workspace
from local.services.ports import HOST
from local.services.processes import Processes, Program, wait_until_ready
from local.services.programs import find_program

LOG = "mariadbd"
DATABASE = "firstcome"
USER = "firstcome"
# A path relative to the data folder, the server's working folder: a socket's whole path may have 107 characters only.
SOCKET = "mariadb.sock"


def install_database(processes: Processes, workspace: Workspace) -> None:
    """Make the server's system tables in an empty data folder."""
    folder = workspace.data / "mariadb"
    folder.mkdir()
    options = ["--skip-test-db", "--skip-name-resolve", "--innodb-log-file-size=16M"]
    processes.run(_program(find_program("mariadb-install-db"), options, workspace, folder))


def start_mariadb(
    processes: Processes, workspace: Workspace, port: int, more_options: Sequence[str] = ()
) -> MysqlAddress:
    """Start MariaDB with one database, and one user who has rights on that database only."""
    address = MysqlAddress(HOST, port, USER, secrets.token_urlsafe(18), DATABASE)
    start_mariadb_again(processes, workspace, address, more_options)
    return address


def start_mariadb_again(
    processes: Processes, workspace: Workspace, address: MysqlAddress, more_options: Sequence[str] = ()
) -> None:
    """Start MariaDB on what its data folder holds, at the address it had. Of an option given twice, the last counts."""
    folder = workspace.data / "mariadb"
    options = [
        f"--port={address.port}",
        f"--bind-address={HOST}",
        f"--socket={SOCKET}",
        "--pid-file=mariadb.pid",
        f"--init-file={_write_first_statements(workspace, address)}",
        "--character-set-server=utf8mb4",
        "--default-time-zone=+00:00",
        "--skip-name-resolve",
        "--skip-log-bin",
        "--innodb-log-file-size=16M",
        "--innodb-buffer-pool-size=64M",
        *more_options,
    ]
    program = _program(find_program(LOG), options, workspace, folder)
    wait_until_ready(processes.start(program), program, lambda: _answers(address))


def _program(path: str, options: list[str], workspace: Workspace, folder: Path) -> Program:
    # As root, the server wants to be told that this is meant.
    user = ["--user=root"] if os.geteuid() == 0 else []
    # The data folder is the working folder: the installer takes a path with a space in it for two.
    command = [path, "--no-defaults", "--datadir=.", *user, *options]
    name = Path(path).name
    return Program(name, command, workspace.service_environment(), folder, workspace.log(name))


def _write_first_statements(workspace: Workspace, address: MysqlAddress) -> Path:
    path = workspace.data / "mariadb-first-statements.sql"
    path.touch(mode=0o600)
    # Each on one line, as --init-file wants it.
    path.write_text(
        f"CREATE DATABASE IF NOT EXISTS {address.database} CHARACTER SET utf8mb4;\n"
        f"CREATE OR REPLACE USER '{address.user}'@'{HOST}' IDENTIFIED BY '{address.password}';\n"
        f"GRANT ALL PRIVILEGES ON {address.database}.* TO '{address.user}'@'{HOST}';\n",
        encoding="utf-8",
    )
    return path


def _answers(address: MysqlAddress) -> bool:
    with suppress(pymysql.Error):
        pymysql.connect(
            host=address.host,
            port=address.port,
            user=address.user,
            password=address.password,
            database=address.database,
            connect_timeout=2,
        ).close()
        return True
    return False
