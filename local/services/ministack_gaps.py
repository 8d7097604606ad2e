"""Completes a deployment on MiniStack 1.5.33, with its own API and from the processed template.

MiniStack does not import an HTTP API's OpenAPI body, so the API has no routes. It does not set a function's reserved
concurrency. It keeps a queue mapping's limit as text where it later needs a number, so the mapping delivers nothing. It
points an alias to a version that later changes of the function do not reach. And where it enforces IAM, it requires
rights to send and to hide messages in batches, which AWS does not have.
"""

from __future__ import annotations

import json
from typing import Any

from local.deployment.template_values import DeployedTemplate
from local.services.ministack import client

INTEGRATION = "x-amazon-apigateway-integration"
AUTHORIZER = "x-amazon-apigateway-authorizer"
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "x-amazon-apigateway-any-method"}
NO_AUTHORIZATION = "NONE"
IN_BATCHES = ("sqs:SendMessage", "sqs:ChangeMessageVisibility")
"""Rights that are one right at AWS, for one message and for a batch."""


def complete_deployment(template: DeployedTemplate) -> None:
    """Complete every API, function, alias, role and queue mapping of the template."""
    for api_id, properties in template.of_type("AWS::ApiGatewayV2::Api").items():
        if "Body" in properties:
            _HttpApi(api_id, template).import_body(template.resolve(properties["Body"]))
    _limit_functions(template)
    _limit_queue_mappings(template)
    _follow_the_latest(template)
    _allow_batches(template)


class _HttpApi:
    """One HTTP API, to which the routes of an OpenAPI document are added."""

    def __init__(self, api_id: str, template: DeployedTemplate) -> None:
        self._api_id = api_id
        self._template = template
        self._gateway = client("apigatewayv2", template.endpoint_url)
        self._integrations: dict[str, str] = {}

    def import_body(self, body: dict[str, Any]) -> None:
        """Add the authorizers, the integrations and the routes of `body`, and the origins that may call them."""
        if "x-amazon-apigateway-cors" in body:
            cors = body["x-amazon-apigateway-cors"]
            names = {name[0].upper() + name[1:]: value for name, value in cors.items()}
            # The local endpoint lets SAM translate with the parameters' defaults.
            names["AllowOrigins"] = self._template.references["CorsOrigins"].split(",")
            self._gateway.update_api(ApiId=self._api_id, CorsConfiguration=names)
        schemes = body.get("components", {}).get("securitySchemes", {})
        authorizers = {name: self._add_authorizer(name, scheme[AUTHORIZER]) for name, scheme in schemes.items()}
        for path, operations in body.get("paths", {}).items():
            for method in METHODS & operations.keys():
                self._add_route(_route_key(method, path), operations[method], authorizers)

    def _add_authorizer(self, name: str, authorizer: dict[str, Any]) -> str:
        configuration = authorizer["jwtConfiguration"]
        created = self._gateway.create_authorizer(
            ApiId=self._api_id,
            Name=name,
            AuthorizerType=authorizer["type"].upper(),
            IdentitySource=_as_list(authorizer["identitySource"]),
            JwtConfiguration={"Issuer": configuration["issuer"], "Audience": _as_list(configuration["audience"])},
        )
        return str(created["AuthorizerId"])

    def _add_route(self, key: str, operation: dict[str, Any], authorizers: dict[str, str]) -> None:
        self._gateway.create_route(
            ApiId=self._api_id,
            RouteKey=key,
            Target=f"integrations/{self._integration(operation[INTEGRATION])}",
            **_authorization(operation.get("security", []), authorizers),
        )

    def _integration(self, integration: dict[str, Any]) -> str:
        uri = integration["uri"]
        if uri not in self._integrations:
            created = self._gateway.create_integration(
                ApiId=self._api_id,
                IntegrationType=integration["type"].upper(),
                IntegrationMethod=integration["httpMethod"],
                IntegrationUri=uri,
                PayloadFormatVersion=integration["payloadFormatVersion"],
                TimeoutInMillis=integration.get("timeoutInMillis", 30_000),
            )
            self._integrations[uri] = created["IntegrationId"]
        return self._integrations[uri]


def _route_key(method: str, path: str) -> str:
    verb = "ANY" if method.startswith("x-") else method.upper()
    return "$default" if path == "/$default" else f"{verb} {path}"


def _authorization(security: list[dict[str, list[str]]], authorizers: dict[str, str]) -> dict[str, Any]:
    required = [(name, scopes) for scheme in security for name, scopes in scheme.items() if name != NO_AUTHORIZATION]
    if not required:
        return {"AuthorizationType": NO_AUTHORIZATION}
    name, scopes = required[0]
    return {"AuthorizationType": "JWT", "AuthorizerId": authorizers[name], "AuthorizationScopes": scopes}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _limit_functions(template: DeployedTemplate) -> None:
    functions = client("lambda", template.endpoint_url)
    for name, properties in template.of_type("AWS::Lambda::Function").items():
        if "ReservedConcurrentExecutions" in properties:
            reserved = int(template.resolve(properties["ReservedConcurrentExecutions"]))
            functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)


def _limit_queue_mappings(template: DeployedTemplate) -> None:
    functions = client("lambda", template.endpoint_url)
    for uuid, properties in template.of_type("AWS::Lambda::EventSourceMapping").items():
        if "ScalingConfig" in properties:
            limit = int(template.resolve(properties["ScalingConfig"]["MaximumConcurrency"]))
            functions.update_event_source_mapping(UUID=uuid, ScalingConfig={"MaximumConcurrency": limit})


def _follow_the_latest(template: DeployedTemplate) -> None:
    """Point each alias to `$LATEST`, so that a change of a function's settings reaches the API.

    In the cloud it points to a version, and a deployment moves it.
    """
    functions = client("lambda", template.endpoint_url)
    for alias in template.of_type("AWS::Lambda::Alias"):
        function, _, name = alias.rpartition(":")
        functions.update_alias(FunctionName=function, Name=name, FunctionVersion="$LATEST")


def _allow_batches(template: DeployedTemplate) -> None:
    """Let each role that may send or hide messages do so in batches too: on AWS that is one right."""
    iam = client("iam", template.endpoint_url)
    for role in template.of_type("AWS::IAM::Role"):
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for statement in document["Statement"]:
                actions = _as_list(statement["Action"])
                statement["Action"] = [*actions, *(f"{action}Batch" for action in IN_BATCHES if action in actions)]
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))
