"""The stack that `make up` leaves running in this clone: where its state is, and whether it runs."""

from __future__ import annotations

from local.deployment.workspace import Workspace
from local.errors import LocalStackError
from local.services.processes import ROOT

FOLDER = ROOT / ".local"
WORKSPACE = Workspace(FOLDER / "up")
ADDRESSES = FOLDER / "stack.json"
BUILD = WORKSPACE.folder / "build"
VARIABLES = ROOT / "events" / "env.local.json"


def is_up() -> bool:
    """Whether the stack is up."""
    return ADDRESSES.exists() and WORKSPACE.owner() is not None


def require_stack() -> None:
    """Raise `LocalStackError` unless the stack is up."""
    if not is_up():
        raise LocalStackError("The stack is not up.", advice="Start it with: make up")
