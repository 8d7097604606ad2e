"""template.yaml with its short forms (!Ref, !GetAtt, ...) read as their long ones."""

from functools import cache
from pathlib import Path
from typing import Any

from samcli.yamlhelper import yaml_parse

_ROOT = Path(__file__).resolve().parents[2]

SERVICE = ["ApplyFunction", "DrainFunction", "RelayFunction", "AdminFunction"]
"""The functions that do the work."""

FUNCTIONS = [*SERVICE, "ConsoleFunction"]
"""All of them; the console's serves pages, and knows nothing of the others."""


@cache
def template() -> dict[str, Any]:
    """Read the template."""
    return _read("template.yaml")


@cache
def nested(name: str) -> dict[str, Any]:
    """Read one of the templates in `infra`."""
    return _read(f"infra/{name}.yaml")


def _read(path: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml_parse((_ROOT / path).read_text(encoding="utf-8"))
    return read


def properties(logical_id: str) -> dict[str, Any]:
    """Return a resource's properties; a function's with what all functions share."""
    resource = template()["Resources"][logical_id]
    own: dict[str, Any] = resource.get("Properties", {})
    if resource["Type"] != "AWS::Serverless::Function":
        return own
    return {**_shared(logical_id), **own}


def variables(logical_id: str) -> dict[str, Any]:
    """Return a function's environment variables, the shared ones included."""
    shared: dict[str, Any] = _shared(logical_id).get("Environment", {}).get("Variables", {})
    own: dict[str, Any] = properties(logical_id).get("Environment", {}).get("Variables", {})
    return {**shared, **own}


def _shared(logical_id: str) -> dict[str, Any]:
    ignored = template()["Resources"][logical_id].get("IgnoreGlobals", [])
    return {name: value for name, value in template()["Globals"]["Function"].items() if name not in ignored}


def routes(logical_id: str) -> dict[str, dict[str, Any]]:
    """Return the events of a function's routes, by route."""
    events = properties(logical_id).get("Events", {}).values()
    return {
        f"{event['Properties']['Method']} {event['Properties']['Path']}": event["Properties"]
        for event in events
        if event["Type"] == "HttpApi"
    }
