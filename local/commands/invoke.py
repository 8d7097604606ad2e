"""`make invoke`: run a built function on the stack of `make up`, as `sam local invoke` does, but without Docker.

Reads FUNCTION and EVENT from the environment, where make puts them. The answer goes to standard output, the function's
log to standard error.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.deployment.lambda_emulator import BuiltFunction, Invocation, built_functions, started
from local.deployment.stack import running_processes
from local.deployment.state_files import BUILD, FOLDER, VARIABLES, require_stack
from local.deployment.workspace import Workspace
from local.errors import LocalStackError, run_command
from local.progress import Progress
from local.services.processes import Processes


@dataclass(frozen=True)
class Ran:
    """A run of a function: what it answered, and what it logged."""

    invocation: Invocation
    log: str

    @property
    def answer(self) -> str:
        """The answer as JSON, also when the emulator answered in its own words."""
        invocation = self.invocation
        return invocation.payload if invocation.is_json else json.dumps({"errorMessage": invocation.payload})


def main() -> None:
    """Run the function once; leave with status 1 when it failed."""
    name = _required("FUNCTION", "the function's name in template.yaml")
    event = read_event(Path(_required("EVENT", "a file with the event")))
    require_stack()
    function = find_function(BUILD, name)
    variables = json.loads(VARIABLES.read_text(encoding="utf-8"))[name]
    with running_processes(FOLDER / "invoke", Progress(io.StringIO())) as (processes, workspace):
        ran = run_function(processes, workspace, function, event, variables)
    print(ran.log, end="", file=sys.stderr)
    print(ran.answer)
    sys.exit(ran.invocation.failed)


def read_event(path: Path) -> str:
    """The text of an event file."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise LocalStackError(f"EVENT cannot be read: {path}: {error.strerror}.") from None
    try:
        json.loads(text)
    except ValueError as error:
        raise LocalStackError(f"EVENT holds no JSON: {path}: {error}.") from None
    return text


def find_function(build: Path, name: str) -> BuiltFunction:
    """The function of a build with this logical ID."""
    functions = built_functions(build)
    if name not in functions:
        raise LocalStackError(f"There is no function {name}.", advice=f"FUNCTION is one of: {', '.join(functions)}")
    return functions[name]


def run_function(
    processes: Processes, workspace: Workspace, function: BuiltFunction, event: str, variables: Mapping[str, str]
) -> Ran:
    """Run a function once, in an execution environment of its own."""
    with started(processes, workspace, function, variables) as environment:
        invocation = environment.invoke(event)
        return Ran(invocation, environment.function_log)


def _required(name: str, meaning: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        example = "For instance: make invoke FUNCTION=ApplyFunction EVENT=events/apply.json"
        raise LocalStackError(f"{name}, {meaning}, is missing.", advice=example)
    return value


if __name__ == "__main__":
    run_command(main)
