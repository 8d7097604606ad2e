"""`make validate`: check the template with `sam validate --lint`, without a look at the internet."""

from __future__ import annotations

import subprocess
import sys

from local.deploy import sam_environment
from local.errors import run_command
from local.processes import ROOT
from local.programs import find_program
from local.standing import FOLDER
from local.workspace import Workspace


def main() -> None:
    """Run the check, and leave with its status."""
    workspace = Workspace(FOLDER / "validate")
    workspace.temporary.mkdir(parents=True, exist_ok=True)
    command = [find_program("sam"), "validate", "--lint"]
    sys.exit(subprocess.run(command, cwd=ROOT, env=sam_environment(workspace), check=False).returncode)


if __name__ == "__main__":
    run_command(main)
