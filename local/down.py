"""`make down`: stop the stack that `make up` left running."""

from __future__ import annotations

from local.errors import run_command
from local.processes import stop_recorded
from local.signals import signals_as_exceptions
from local.standing import ADDRESSES, PROCESSES, VARIABLES, WORKSPACE


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
