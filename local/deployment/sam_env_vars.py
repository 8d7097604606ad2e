"""The functions' environment variables as deployed, in the form that `sam local invoke --env-vars` takes."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from pathlib import Path

from local.deployment.addresses import Stack
from local.deployment.deploy import STACK_NAME
from local.deployment.workspace import Workspace
from local.errors import LocalStackError
from local.services.ministack import client, tool_settings
from local.services.ports import HOST

type Variables = dict[str, dict[str, str]]
"""Logical ID -> name -> value."""

ENDPOINT_OF_SERVICE = "AWS_ENDPOINT_URL_"
FOR_BROWSERS = {"OIDC_ISSUER"}
"""Variables that a function only passes on to a browser, which runs on this machine and not in a container."""


def deployed_variables(stack: Stack, workspace: Workspace) -> Variables:
    """Ask the local endpoint for the variables of every function, and add what leads AWS's SDK to that endpoint.

    `sam local` passes on only what the template declares: the endpoints of single services. With a container host the
    addresses of all services are those that a container reaches.
    """
    functions = client("lambda", stack.aws_endpoint_url)
    sdk = tool_settings(workspace, stack.aws_endpoint_url)
    found: Variables = {}
    for name, physical in deployed_functions(stack.aws_endpoint_url).items():
        configuration = functions.get_function_configuration(FunctionName=physical)
        declared = configuration.get("Environment", {}).get("Variables", {})
        endpoints = {each: stack.aws_endpoint_url for each in declared if each.startswith(ENDPOINT_OF_SERVICE)}
        found[name] = _for_container({**declared, **sdk, **endpoints}, workspace.container_host or HOST)
    return found


def deployed_functions(endpoint_url: str) -> dict[str, str]:
    """The functions' names in template.yaml, with their names as deployed."""
    resources = client("cloudformation", endpoint_url).describe_stack_resources(StackName=STACK_NAME)["StackResources"]
    return {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for resource in resources
        if resource["ResourceType"] == "AWS::Lambda::Function"
    }


def container_host(environment: Mapping[str, str]) -> str:
    """The address in CONTAINER_HOST; empty for none. Raises `LocalStackError` for one that is not private."""
    text = environment.get("CONTAINER_HOST", "").strip()
    if text in ("", HOST):
        return ""
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        address = ipaddress.IPv4Address(0)
    if not address.is_private or address.is_unspecified:
        raise LocalStackError(
            f"CONTAINER_HOST={text[:60]}: give a private IPv4 address of this machine; the services have no password.",
            advice="The container bridge's, for instance: ip -4 address show docker0 (or podman0).",
        )
    return text


def save(variables: Variables, path: Path) -> None:
    """Write them as JSON."""
    path.write_text(json.dumps(variables, indent=2) + "\n", encoding="utf-8")


def _for_container(variables: Mapping[str, str], host: str) -> dict[str, str]:
    return {name: value if name in FOR_BROWSERS else value.replace(HOST, host) for name, value in variables.items()}
