"""The ledger's server: a real MariaDB on a private port."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from local.deployment.addresses import MysqlAddress
from local.deployment.workspace import Workspace
from local.services.ports import HOST
from local.services.processes import Processes, Program
from local.services.programs import find_program

LOG = "mariadbd"
FOLDER = "mariadb"
DATABASE = "firstcome"
USER = "firstcome"
# Relative to the data folder, which is the working folder: a socket's path has at most 107 characters.
SOCKET = "mariadb.sock"


def install_database(processes: Processes, workspace: Workspace) -> None:
    """Make the server's system tables in an empty data folder."""
    (workspace.data / FOLDER).mkdir()
    options = ["--skip-test-db", "--skip-name-resolve", "--innodb-log-file-size=16M"]
    processes.run(_program(find_program("mariadb-install-db"), options, workspace))


def start_mariadb(
    processes: Processes, workspace: Workspace, port: int, more_options: Sequence[str] = ()
) -> MysqlAddress:
    """Start MariaDB with one database, and one user with rights on that database only."""
    address = MysqlAddress(HOST, port, USER, secrets.token_urlsafe(18), DATABASE)
    start_mariadb_again(processes, workspace, address, more_options)
    return address


def start_mariadb_again(
    processes: Processes, workspace: Workspace, address: MysqlAddress, more_options: Sequence[str] = ()
) -> None:
    """Start MariaDB on its data folder, at the address it had. Of an option given twice, the last one counts."""
    options = [
        f"--port={address.port}",
        f"--bind-address={','.join(workspace.addresses)}",
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
    processes.start(_program(find_program(LOG), options, workspace, address.port))


def _program(path: str, options: list[str], workspace: Workspace, port: int = 0) -> Program:
    # Without this option the server refuses to run as root.
    user = ["--user=root"] if os.geteuid() == 0 else []
    # The data folder is the working folder: the installer splits a path at a space.
    command = [path, "--no-defaults", "--datadir=.", *user, *options]
    name = Path(path).name
    return Program(name, command, workspace.service_environment(), workspace.data / FOLDER, workspace.log(name), port)


def _write_first_statements(workspace: Workspace, address: MysqlAddress) -> Path:
    path = workspace.data / "mariadb-first-statements.sql"
    path.touch(mode=0o600)
    # One statement per line: --init-file reads them so.
    path.write_text(
        f"CREATE DATABASE IF NOT EXISTS {address.database} CHARACTER SET utf8mb4;\n"
        f"CREATE OR REPLACE USER '{address.user}'@'%' IDENTIFIED BY '{address.password}';\n"
        f"GRANT ALL PRIVILEGES ON {address.database}.* TO '{address.user}'@'%';\n",
        encoding="utf-8",
    )
    return path
