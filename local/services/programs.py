"""Where the programs are that come with Debian packages (local/programs.txt) or with Python packages (.venv/bin)."""

from __future__ import annotations

import shutil

from local.deployment.workspace import SYSTEM_FOLDERS, search_path
from local.errors import LocalStackError


def find_program(name: str) -> str:
    """The path of the program called `name`."""
    path = shutil.which(name, path=search_path())
    if path is None:
        raise LocalStackError(
            f"`{name}` was found neither on PATH nor in {SYSTEM_FOLDERS}.",
            advice="Run `make install`; it installs what is missing, or says what to install.",
        )
    return path
