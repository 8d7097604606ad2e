"""`make down`: stop the stack that `make up` left running."""

from __future__ import annotations

from local.deployment.state_files import ADDRESSES, PROCESSES, VARIABLES, WORKSPACE
from local.errors import run_command
from local.services.processes import stop_recorded
from local.services.signals import signals_as_exceptions


def main() -> None:
    """Stop the stack, if there is one."""
    with signals_as_exceptions(), WORKSPACE.locked():
        stopped = stop_recorded(PROCESSES)
        ADDRESSES.unlink(missing_ok=True)
        VARIABLES.unlink(missing_ok=True)
        WORKSPACE.discard_data()
    print("The stack is down." if stopped else "Nothing is up.")


if __name__ == "__main__":
    run_command(main)
