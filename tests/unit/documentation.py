"""docs/openapi.yaml, and whether an answer of the service is as it says."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from firstcome.http_api import Answer

_PATH = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"

_METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}

PROBLEM = "application/problem+json"


@cache
def document() -> dict[str, Any]:
    """Read the document; a key given twice is an error."""
    read: dict[str, Any] = yaml.load(_PATH.read_text(encoding="utf-8"), Loader=_Strict)  # noqa: S506 - a SafeLoader
    return read


def resolved(node: Any) -> Any:
    """Follow a node's reference, if it is one."""
    while isinstance(node, dict) and "$ref" in node:
        node = at(node["$ref"])
    return node


def at(reference: str) -> Any:
    """Find what a reference within the document names."""
    node: Any = document()
    assert reference.startswith("#/"), reference
    for step in reference[2:].split("/"):
        node = node[step.replace("~1", "/").replace("~0", "~")]
    return node


def operations() -> dict[str, dict[str, Any]]:
    """Return all operations by route, such as `GET /campaigns`."""
    return {
        f"{method.upper()} {path}": operation
        for path, item in document()["paths"].items()
        for method, operation in item.items()
        if method in _METHODS
    }


def responses(route: str) -> dict[int, dict[str, Any]]:
    """Return the documented responses of a route by status."""
    return {int(status): resolved(response) for status, response in operations()[route]["responses"].items()}


def codes(route: str) -> dict[int, set[str]]:
    """Return the documented codes of a route by status: the names of its examples."""
    return {
        status: set(response["content"][PROBLEM]["examples"])
        for status, response in responses(route).items()
        if PROBLEM in response.get("content", {})
    }


def faults(schema: dict[str, Any], value: object) -> list[str]:
    """Return how a value breaks a schema of the document."""
    # The document's components stand beside the schema, so that its references lead somewhere.
    validator = Draft202012Validator({**schema, "components": document()["components"]})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def check(route: str, answer: Answer) -> None:
    """Fail unless the answer is documented: its status, type, headers, code and body."""
    response = responses(route).get(answer["statusCode"])
    assert response is not None, f"{route} answers {answer['statusCode']}"
    headers = dict(answer["headers"])
    content_type = headers.pop("Content-Type", "")
    code = ""
    if content_type or "content" in response:
        content = response["content"].get(content_type)
        assert content is not None, f"{route} {answer['statusCode']} answers another content type"
        body = json.loads(answer["body"]) if "json" in content_type else answer["body"]
        assert faults(content["schema"], body) == []
        code = body.get("code", "") if isinstance(body, dict) else ""
    if code:
        assert code in content["examples"], f"{route} {answer['statusCode']} answers {code}"
    documented = {name: resolved(header) for name, header in response["headers"].items()}
    if code in {"sold_out", "closed", "paused", "campaign_open"}:
        del documented["Retry-After"]
    if "Link" not in headers:
        # Only where there is a next page, and only with CSV.
        documented.pop("Link", None)
    assert headers.keys() == documented.keys()
    for name, header in documented.items():
        assert faults(header["schema"], headers[name]) == []


class _Strict(yaml.SafeLoader):
    """YAML that does not let a key stand twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.YAMLError(f"twice: {sorted(twice)}")
        return super().construct_mapping(node, deep)
