"""`make down`: stop the stack that `make up` left running."""

from __future__ import annotations

from contextlib import suppress

import psutil

from local.deployment.state_files import ADDRESSES, VARIABLES, WORKSPACE
from local.errors import run_command

STOP_SECONDS = 60


def main() -> None:
    """Stop the stack, if there is one."""
    owner = WORKSPACE.owner()
    if owner is not None:
        with suppress(psutil.NoSuchProcess):
            server = psutil.Process(owner)
            server.terminate()
            server.wait(STOP_SECONDS)
    # What a server leaves behind that was killed.
    ADDRESSES.unlink(missing_ok=True)
    VARIABLES.unlink(missing_ok=True)
    print("Nothing is up." if owner is None else "The stack is down.")


if __name__ == "__main__":
    run_command(main)
