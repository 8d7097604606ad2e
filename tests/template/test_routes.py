"""The routes: who may call them, and that template, functions and documentation have the same ones."""

import pytest

from firstcome.http_api import OPERATOR_SCOPE
from functions.admin import app as admin
from functions.apply import app as apply
from functions.console import app as console
from tests.template.cloudformation import FUNCTIONS, properties, routes
from tests.template.forms import GIVEN, Form
from tests.unit import documentation

_PUBLIC = "GET /campaigns/{campaign_id}"


def test_each_function_has_the_routes_it_handles() -> None:
    assert routes("ApplyFunction").keys() == apply._ROUTES.keys()
    assert routes("AdminFunction").keys() == admin._ROUTES.keys()
    assert routes("ConsoleFunction").keys() == console._ROUTES.keys()
    assert routes("DrainFunction") == routes("RelayFunction") == {}


def test_the_routes_are_those_that_are_documented() -> None:
    found = [route for function in FUNCTIONS for route in routes(function)]
    assert sorted(found) == sorted(documentation.operations())


_ALL = {route: event for function in FUNCTIONS for route, event in routes(function).items()}


@pytest.mark.parametrize("route", sorted(_ALL))
def test_who_may_call_a_route_is_as_documented(route: str) -> None:
    auth = _ALL[route].get("Auth", {})
    in_template = [] if auth.get("Authorizer") == "NONE" else [{"Jwt": auth.get("AuthorizationScopes", [])}]
    default = documentation.document()["security"]
    assert documentation.operations()[route].get("security", default) == in_template


@pytest.mark.parametrize("route", sorted(routes("AdminFunction")))
def test_every_operators_route_asks_for_the_scope(route: str) -> None:
    assert routes("AdminFunction")[route]["Auth"] == {
        "Authorizer": "Operators",
        "AuthorizationScopes": [OPERATOR_SCOPE],
    }


@pytest.mark.parametrize("route", sorted(routes("ApplyFunction")))
def test_only_the_campaign_itself_is_public(route: str) -> None:
    expected = {"Authorizer": "NONE"} if route == _PUBLIC else None
    assert routes("ApplyFunction")[route].get("Auth") == expected


@pytest.mark.parametrize("route", sorted(routes("ConsoleFunction")))
def test_the_pages_are_public_and_only_read(route: str) -> None:
    assert routes("ConsoleFunction")[route]["Auth"] == {"Authorizer": "NONE"}
    assert route.startswith("GET ")


def test_every_route_is_on_the_one_api_whose_default_is_a_verified_token() -> None:
    for function in FUNCTIONS:
        for properties_of_route in routes(function).values():
            assert properties_of_route["ApiId"] == {"Ref": "HttpApi"}
            assert properties_of_route.get("PayloadFormatVersion", "2.0") == "2.0"
    auth = Form(**GIVEN | {"JwtAudience": "shop"}).resources["HttpApi"]["Properties"]["Auth"]
    assert auth["DefaultAuthorizer"] == "Jwt"
    assert auth["Authorizers"].keys() == {"Jwt", "Operators"}
    for authorizer in auth["Authorizers"].values():
        assert authorizer["IdentitySource"] == "$request.header.Authorization"
        assert authorizer["JwtConfiguration"] == {"issuer": GIVEN["JwtIssuer"], "audience": ["shop"]}


def test_no_function_is_called_by_anything_else() -> None:
    kinds = {function: {event["Type"] for event in properties(function)["Events"].values()} for function in FUNCTIONS}
    assert kinds == {
        "ApplyFunction": {"HttpApi"},
        "AdminFunction": {"HttpApi"},
        "ConsoleFunction": {"HttpApi"},
        "DrainFunction": {"SQS"},
        "RelayFunction": {"ScheduleV2"},
    }
    assert not [function for function in FUNCTIONS if "FunctionUrlConfig" in properties(function)]
