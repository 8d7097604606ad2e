"""`make up`: start the stack and leave it running.

The environment variable CONTAINER_HOST names an address of this machine on which functions in containers reach it.
"""

from __future__ import annotations

import json
import os

from local.deployment.addresses import Stack
from local.deployment.container_door import container_host, open_door, service_ports
from local.deployment.sam_env_vars import deployed_variables, save
from local.deployment.stack import start_stack
from local.deployment.state_files import ADDRESSES, PROCESSES, VARIABLES, WORKSPACE
from local.deployment.warm_up import warm_up
from local.errors import LocalStackError, run_command
from local.progress import Progress
from local.services.processes import Processes, all_recorded_run, stop_recorded
from local.services.signals import signals_as_exceptions, signals_held_back

# A browser opens this many to one server, and asks for the console's files on all of them at once.
BROWSER_CONNECTIONS = 6


def main() -> None:
    """Start the stack, unless it is up."""
    host = container_host(os.environ)
    progress = Progress()
    with signals_as_exceptions(), WORKSPACE.locked() as lock:
        if ADDRESSES.exists() and all_recorded_run(PROCESSES):
            _refuse_another_door(host)
            print("The stack is up.")
        else:
            _start(progress, lock, host)
    _show(Stack.load(ADDRESSES))


def _refuse_another_door(host: str) -> None:
    variables = json.loads(VARIABLES.read_text(encoding="utf-8"))
    if host and variables["ApplyFunction"]["REDIS_HOST"] != host:
        raise LocalStackError(f"The stack is up, and not on {host}.", advice="Stop it first, with: make down")


def _start(progress: Progress, lock: int, host: str) -> None:
    ADDRESSES.unlink(missing_ok=True)
    VARIABLES.unlink(missing_ok=True)
    if stop_recorded(PROCESSES):
        progress.say("Stopped what was left of an earlier stack.")
    WORKSPACE.empty()
    processes = Processes(inherited=[lock])
    try:
        stack = start_stack(processes, WORKSPACE, progress, {})
        if host:
            open_door(processes, WORKSPACE, host, service_ports(stack))
        variables = deployed_variables(stack, WORKSPACE, host)
        with progress.step("Starting the console's workers"):
            warm_up(f"{stack.api_url}/console", BROWSER_CONNECTIONS)
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
  API      {stack.api_url}
  AWS      {stack.aws_endpoint_url}
  Redis    {stack.redis_url}
  MariaDB  {stack.mysql.host}:{stack.mysql.port}, database {stack.mysql.database}
  Logs     {WORKSPACE.folder / "logs"}
  All of it, passwords included: {ADDRESSES}

  make token SUB=alice                             a user's token
  make token SUB=op SCOPE=firstcome/operator       an operator's token
  make invoke FUNCTION=AdminFunction EVENT=events/put-campaign.json
                                                   a function without HTTP
  sam local invoke ApplyFunction -e events/apply.json --env-vars events/env.local.json
                                                   the same in a container, see README.md
  make down                                        stop the stack

Next: open {stack.api_url}/console
      sign in with any name, no password, and press "New campaign".""")


if __name__ == "__main__":
    run_command(main)
