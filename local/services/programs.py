"""Where the programs are that come with Debian packages (local/programs.txt) or with Python packages (.venv/bin)."""

from __future__ import annotations

import shutil

from local.deployment.workspace import SYSTEM_FOLDERS, search_path
from local.errors import LocalStackError


def find_program(*names: str) -> str:
    """The path of the first of these programs that there is: they do the same."""
    found = (shutil.which(name, path=search_path()) for name in names)
    path = next(filter(None, found), None)
    if path is None:
        raise LocalStackError(
            f"`{names[0]}` was found neither on PATH nor in {SYSTEM_FOLDERS}.",
            advice="Run `make install`; it installs what is missing, or says what to install.",
        )
    return path
