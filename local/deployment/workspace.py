"""The folder of one stack: where its data, logs and builds go, and the lock that keeps two launchers apart."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalStackError
from local.services.processes import ROOT, stack_mark

# A launcher that was killed is still being cleaned up after for a moment.
LOCK_SECONDS = 15.0
SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Workspace:
    """Paths below one folder, and the environments of the programs that work there."""

    folder: Path

    @property
    def data(self) -> Path:
        """What the services store; emptied at each start."""
        return self.folder / "data"

    @property
    def temporary(self) -> Path:
        """The TMPDIR of every program, so that nothing is written outside the clone."""
        return self.folder / "tmp"

    def log(self, name: str) -> Path:
        """The log of the program called `name`."""
        return self.folder / "logs" / f"{name}.log"

    def empty(self) -> None:
        """Make the folders, without anything of an earlier stack."""
        self.discard_data()
        shutil.rmtree(self.folder / "logs", ignore_errors=True)
        for path in (self.data, self.temporary, self.folder / "logs"):
            path.mkdir(parents=True, mode=0o700)

    def discard_data(self) -> None:
        """Remove what the services stored; logs and builds stay."""
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.rmtree(self.temporary, ignore_errors=True)

    def service_environment(self) -> dict[str, str]:
        """The environment of a service: nothing of the user's that could change what it, or a function in it, does."""
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "USER") if name in os.environ}
        return {**kept, **stack_mark(), "PATH": search_path(), "TMPDIR": str(self.temporary), "TZ": "UTC"}

    def tool_environment(self) -> dict[str, str]:
        """The environment of a build tool: the user's (proxies, pip settings), without AWS accounts and make flags."""
        unwanted = ("AWS_", "SAM_CLI_", "__SAM_CLI_", "PYTHON", "MAKE", "MFLAGS")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
        direct = ",".join(filter(None, [kept.get("NO_PROXY", kept.get("no_proxy", "")), "127.0.0.1,localhost"]))
        return {
            **kept,
            **stack_mark(),
            "PATH": search_path(),
            "TMPDIR": str(self.temporary),
            "NO_PROXY": direct,
            "no_proxy": direct,
        }

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Keep other launchers out of this folder; yields the descriptor that holds the lock."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(descriptor, self.folder)
            yield descriptor
        finally:
            os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise LocalStackError(
                    f"Another command is at work in {folder}.", advice="Wait until it has finished, and try again."
                ) from None
            time.sleep(0.1)
        else:
            return


def search_path() -> str:
    """PATH with the virtual environment first, for `python3.13` and `sam`, and the folders of servers last."""
    return f"{ROOT / '.venv' / 'bin'}:{os.environ.get('PATH', os.defpath)}:{SYSTEM_FOLDERS}"
