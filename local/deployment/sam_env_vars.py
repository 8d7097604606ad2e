"""The functions' environment variables as deployed, in the form that `sam local invoke --env-vars` takes."""

from __future__ import annotations

import json
from pathlib import Path

from local.deployment.addresses import Stack
from local.deployment.container_door import seen_through, service_ports
from local.deployment.deploy import STACK_NAME
from local.deployment.workspace import Workspace
from local.services.ministack import client, tool_settings

type Variables = dict[str, dict[str, str]]
"""Logical ID -> name -> value."""

ENDPOINT_OF_SERVICE = "AWS_ENDPOINT_URL_"


def deployed_variables(stack: Stack, workspace: Workspace, container_host: str = "") -> Variables:
    """Ask the local endpoint for the variables of every function, and add what leads AWS's SDK to that endpoint.

    `sam local` hands on only what the template declares: those are the endpoints of single services. With a
    `container_host`, an address on which the stack's services listen too, they name it.
    """
    functions = client("lambda", stack.aws_endpoint_url)
    sdk = tool_settings(workspace, stack.aws_endpoint_url)
    found: Variables = {}
    for name, physical in deployed_functions(stack.aws_endpoint_url).items():
        configuration = functions.get_function_configuration(FunctionName=physical)
        declared = configuration.get("Environment", {}).get("Variables", {})
        endpoints = {each: stack.aws_endpoint_url for each in declared if each.startswith(ENDPOINT_OF_SERVICE)}
        variables = {**declared, **sdk, **endpoints}
        found[name] = seen_through(container_host, service_ports(stack), variables) if container_host else variables
    return found


def deployed_functions(endpoint_url: str) -> dict[str, str]:
    """The functions' names in template.yaml, with those they are deployed under."""
    resources = client("cloudformation", endpoint_url).describe_stack_resources(StackName=STACK_NAME)["StackResources"]
    return {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for resource in resources
        if resource["ResourceType"] == "AWS::Lambda::Function"
    }


def save(variables: Variables, path: Path) -> None:
    """Write them as JSON."""
    path.write_text(json.dumps(variables, indent=2) + "\n", encoding="utf-8")
