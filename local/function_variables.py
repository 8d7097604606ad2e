"""The functions' environment variables as deployed, in the form that `sam local invoke --env-vars` takes."""

from __future__ import annotations

import json
from pathlib import Path

from local.addresses import FunctionNames, Stack
from local.aws_endpoint import client, tool_settings
from local.workspace import Workspace

type Variables = dict[str, dict[str, str]]
"""Logical ID -> name -> value."""


def deployed_variables(stack: Stack, workspace: Workspace) -> Variables:
    """Ask the local endpoint for the variables of every function, and add what leads AWS's SDK to that endpoint."""
    functions = client("lambda", stack.aws_endpoint_url)
    sdk = tool_settings(workspace, stack.aws_endpoint_url)
    found: Variables = {}
    for name, physical in logical_ids(stack.functions).items():
        configuration = functions.get_function_configuration(FunctionName=physical)
        found[name] = {**configuration.get("Environment", {}).get("Variables", {}), **sdk}
    return found


def logical_ids(functions: FunctionNames) -> dict[str, str]:
    """The functions' names in template.yaml, with those they are deployed under."""
    return {
        "ApplyFunction": functions.apply,
        "DrainFunction": functions.drain,
        "RelayFunction": functions.relay,
        "AdminFunction": functions.admin,
    }


def save(variables: Variables, path: Path) -> None:
    """Write them as JSON."""
    path.write_text(json.dumps(variables, indent=2) + "\n", encoding="utf-8")
