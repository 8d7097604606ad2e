"""The stack that `make up` leaves running in this clone: where it is written down."""

from __future__ import annotations

from local.deployment.workspace import Workspace
from local.services.processes import ROOT

FOLDER = ROOT / ".local"
WORKSPACE = Workspace(FOLDER / "up")
ADDRESSES = FOLDER / "stack.json"
PROCESSES = FOLDER / "up" / "processes.json"
BUILD = WORKSPACE.folder / "build"
VARIABLES = ROOT / "events" / "env.local.json"
