"""The folder of one stack: its data, logs and builds, and the lock that keeps two commands apart."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from local.errors import LocalStackError
from local.services.ports import HOST
from local.services.processes import ROOT

# The command before this one may still be stopping its stack.
LOCK_SECONDS = 30.0
SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Workspace:
    """Paths below one folder, and the environments of the programs that work there.

    Attributes:
        container_host: a further address for the services to listen on, which containers reach.
    """

    folder: Path
    container_host: str = ""

    @property
    def addresses(self) -> list[str]:
        """Where the services listen."""
        return [HOST, self.container_host] if self.container_host else [HOST]

    @property
    def data(self) -> Path:
        """The services' data; emptied at each start."""
        return self.folder / "data"

    @property
    def temporary(self) -> Path:
        """The TMPDIR of every program, so that nothing is written outside the clone."""
        return self.folder / "tmp"

    def log(self, name: str) -> Path:
        """The log of the program called `name`."""
        return self.folder / "logs" / f"{name}.log"

    def empty(self) -> None:
        """Make the folders, without the data and logs of an earlier stack."""
        self.discard_data()
        shutil.rmtree(self.folder / "logs", ignore_errors=True)
        for path in (self.data, self.temporary, self.folder / "logs"):
            path.mkdir(parents=True, mode=0o700)

    def discard_data(self) -> None:
        """Remove the services' data; logs and builds stay."""
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.rmtree(self.temporary, ignore_errors=True)

    def service_environment(self) -> dict[str, str]:
        """The environment of a service, without the user's settings: they could change what it or a function does."""
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "USER") if name in os.environ}
        return {**kept, "PATH": search_path(), "TMPDIR": str(self.temporary), "TZ": "UTC"}

    def tool_environment(self) -> dict[str, str]:
        """The environment of a build tool: the user's, with proxies and pip settings, without those of AWS and make."""
        unwanted = ("AWS_", "SAM_CLI_", "__SAM_CLI_", "PYTHON", "MAKE", "MFLAGS")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
        direct = ",".join(filter(None, [kept.get("NO_PROXY", kept.get("no_proxy", "")), "127.0.0.1,localhost"]))
        return {
            **kept,
            "PATH": search_path(),
            "TMPDIR": str(self.temporary),
            "NO_PROXY": direct,
            "no_proxy": direct,
        }

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands out of this folder. Raises `LocalStackError` if one is at work there and does not end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock_path.open("a+") as file:
            deadline = time.monotonic() + LOCK_SECONDS
            while not _try_lock(file):
                if time.monotonic() > deadline:
                    text = f"Another command is at work in {self.folder}."
                    raise LocalStackError(text, advice="Wait until it has finished, and try again.")
                time.sleep(0.1)
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def owner(self) -> int | None:
        """The process that has locked this folder, if one has."""
        try:
            with self._lock_path.open("r+") as file:
                return None if _try_lock(file) else int(file.read())
        except (OSError, ValueError):
            return None

    @property
    def _lock_path(self) -> Path:
        return self.folder / "lock"


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def search_path() -> str:
    """PATH with the virtual environment first, for `python3.13` and `sam`, and the folders of servers last."""
    return f"{ROOT / '.venv' / 'bin'}:{os.environ.get('PATH', os.defpath)}:{SYSTEM_FOLDERS}"
