"""`make up`: start the stack and leave it running.

This process starts `python -m local.commands.up --serve` and waits until the stack runs. That one runs on, in a session
of its own; it stops the stack on SIGTERM and when a part of it ends, and the kernel stops the stack if it is killed.

The environment variable CONTAINER_HOST is a further address of this machine for the services to listen on, for
functions in containers.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

from local.deployment.addresses import Stack
from local.deployment.sam_env_vars import container_host, deployed_variables, save
from local.deployment.stack import running_processes, start_stack
from local.deployment.state_files import ADDRESSES, VARIABLES, WORKSPACE, is_up
from local.deployment.warm_up import warm_up
from local.errors import LocalStackError, run_command
from local.progress import Progress

LOOK_SECONDS = 1.0
READY = "ready\n"
# A browser opens this many to one server, and asks for the console's files on all of them at once.
BROWSER_CONNECTIONS = 6


def main() -> None:
    """Start the stack, unless it is up."""
    host = container_host(os.environ)
    if is_up():
        _require_host(host)
        print("The stack is up.")
    else:
        _start()
    _show(Stack.load(ADDRESSES))


def serve() -> None:
    """Run the stack until SIGTERM."""
    progress = Progress()
    with running_processes(WORKSPACE.folder, progress, container_host(os.environ)) as (processes, workspace):
        stack = start_stack(processes, workspace, progress, {})
        with progress.step("Starting the console's workers"):
            warm_up(f"{stack.api_url}/console", BROWSER_CONNECTIONS)
        save(deployed_variables(stack, workspace), VARIABLES)
        stack.save(ADDRESSES)
        try:
            _report_ready()
            while True:
                processes.check()
                time.sleep(LOOK_SECONDS)
        finally:
            ADDRESSES.unlink(missing_ok=True)
            VARIABLES.unlink(missing_ok=True)


def _start() -> None:
    command = [sys.executable, "-m", "local.commands.up", "--serve"]
    # Without make's variable, by which a command ends with its `make`: see `run_command`.
    environment = {name: value for name, value in os.environ.items() if name != "MAKELEVEL"}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as server:
        try:
            ready = server.stdout is not None and server.stdout.readline() == READY
        except BaseException:
            server.send_signal(signal.SIGTERM)
            raise
        if not ready:
            sys.exit(server.wait())
        # Not waited for: it runs on.
        server.returncode = 0


def _report_ready() -> None:
    """Say so to the command that waits, and leave its terminal; ends in an error if that command is gone."""
    sys.stdout.write(READY)
    sys.stdout.flush()
    log = os.open(WORKSPACE.log("up"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log, stream.fileno())


def _require_host(host: str) -> None:
    variables = json.loads(VARIABLES.read_text(encoding="utf-8"))
    if host and variables["ApplyFunction"]["REDIS_HOST"] != host:
        raise LocalStackError("The stack is up with another CONTAINER_HOST.", advice="Stop it first, with: make down")


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
  sam build --parameter-overrides LambdaArchitecture=x86_64
  sam local invoke ApplyFunction -e events/apply.json --env-vars events/env.local.json
                                                   the same in a container
  make down                                        stop the stack

Next: open {stack.api_url}/console
      sign in with any name, no password, and press "New campaign".""")


if __name__ == "__main__":
    run_command(serve if sys.argv[1:] == ["--serve"] else main)
