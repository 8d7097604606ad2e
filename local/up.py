"""`make up`: start the stack and leave it running."""

from __future__ import annotations

from local.addresses import Stack
from local.errors import run_command
from local.function_variables import deployed_variables, save
from local.processes import Processes, all_recorded_run, stop_recorded
from local.progress import Progress
from local.signals import signals_as_exceptions, signals_held_back
from local.stack import start_stack
from local.standing import ADDRESSES, PROCESSES, VARIABLES, WORKSPACE


def main() -> None:
    """Start the stack, unless it is up."""
    progress = Progress()
    with signals_as_exceptions(), WORKSPACE.locked() as lock:
        if ADDRESSES.exists() and all_recorded_run(PROCESSES):
            print("The stack is up.")
        else:
            _start(progress, lock)
    _show(Stack.load(ADDRESSES))


def _start(progress: Progress, lock: int) -> None:
    ADDRESSES.unlink(missing_ok=True)
    VARIABLES.unlink(missing_ok=True)
    if stop_recorded(PROCESSES):
        progress.say("Stopped what was left of an earlier stack.")
    WORKSPACE.empty()
    processes = Processes(inherited=[lock])
    try:
        stack = start_stack(processes, WORKSPACE, progress, {})
        variables = deployed_variables(stack, WORKSPACE)
        with signals_held_back():
            processes.leave_running(PROCESSES)
            save(variables, VARIABLES)
            stack.save(ADDRESSES)
    except BaseException:
        with signals_held_back():
            processes.stop()
            WORKSPACE.discard_data()
        raise


def _show(stack: Stack) -> None:
    print(f"""
  Console  {stack.api_url}/console
           (press "Sign in" there; any name will do, and no password)
  API      {stack.api_url}
  AWS      {stack.aws_endpoint_url}
  Redis    {stack.redis_url}
  MariaDB  {stack.mysql.host}:{stack.mysql.port}, database {stack.mysql.database}
  Logs     {WORKSPACE.folder / "logs"}
  All of it, passwords included: {ADDRESSES}

Next:
  make token SUB=alice                             a user's token
  make token SUB=op SCOPE=firstcome/operator       an operator's token
  make invoke FUNCTION=AdminFunction EVENT=events/put-campaign.json
                                                   a function without HTTP
  make down                                        stop the stack""")


if __name__ == "__main__":
    run_command(main)
