"""docs/openapi.yaml says exactly what the functions do."""

import ast
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from firstcome.domain.campaign import Campaign, Phase, is_campaign_id, is_campaign_name
from firstcome.domain.claim import is_coupon_code, is_user_id
from firstcome.domain.gate import GateState
from firstcome.domain.refusal import Refusal
from firstcome.domain.times import from_rfc3339, to_rfc3339
from functions.admin import app as admin
from functions.apply import app as apply
from functions.console import app as console
from tests.unit import documentation
from tests.unit.api_events import an_event, an_operators_event, without_token
from tests.unit.conftest import World

_APPLY = "POST /campaigns/{campaign_id}/coupons"
_MINE = "GET /campaigns/{campaign_id}/coupons/mine"
_SHOW = "GET /campaigns/{campaign_id}"
_PUT = "PUT /campaigns/{campaign_id}"
_LIST = "GET /campaigns"
_PAUSE = "POST /campaigns/{campaign_id}/pause"
_RESUME = "POST /campaigns/{campaign_id}/resume"
_STATS = "GET /campaigns/{campaign_id}/stats"
_COUPONS = "GET /campaigns/{campaign_id}/coupons"
_REBUILD = "POST /campaigns/{campaign_id}/rebuild"
_ARCHIVE = "DELETE /campaigns/{campaign_id}"
_LOOKUP = "GET /campaigns/{campaign_id}/coupons/lookup"
_EVENTS = "GET /campaigns/{campaign_id}/events"
_ERASE = "POST /campaigns/{campaign_id}/erase"
_RECONCILE = "POST /campaigns/{campaign_id}/reconcile"

_OPERATORS = [_PUT, _LIST, _PAUSE, _RESUME, _STATS, _COUPONS, _REBUILD, _RECONCILE, _ARCHIVE, _LOOKUP, _EVENTS, _ERASE]
_ALL = [_APPLY, _MINE, _SHOW, *_OPERATORS]
"""The API's. What the pages' routes answer is in test_console_handler.py."""

_BY_THE_GATEWAY = {401, 429, 500}

_CAMPAIGN = json.dumps(
    {"name": "Demo", "capacity": 1, "opens_at": "2020-01-01T00:00:00Z", "closes_at": "2099-01-01T00:00:00Z"}
)

_USUAL: dict[str, dict[str, Any]] = {
    _PUT: {"body": _CAMPAIGN},
    _LOOKUP: {"query": {"user_id": "alice"}},
    _ERASE: {"body": '{"user_id":"alice"}'},
}
"""What a request needs besides its path."""


def _event(route: str, **parts: Any) -> dict[str, Any]:
    if route == _SHOW:
        return without_token(an_event(route, **parts))
    if route in _OPERATORS:
        return an_operators_event(route, **_USUAL.get(route, {}) | parts)
    return an_event(route, **parts)


def _answer(event: dict[str, Any]) -> dict[str, Any]:
    app: Any = apply if event["routeKey"] in apply._ROUTES else admin
    answer: dict[str, Any] = app.lambda_handler(event, None)
    return answer


def _break_everything(world: World) -> None:
    world.open()
    for port in (world.gate, world.ledger, world.queue, world.dead_letters):
        port.is_down = True


def _sell_out(world: World) -> None:
    world.open(capacity=1)
    world.gate.apply("demo", "bob", "B" * 16)


def _claim(world: World) -> None:
    world.open()
    world.gate.apply("demo", "alice", "A" * 16)


def _issue(world: World) -> None:
    _claim(world)
    claims = list(world.gate.states["demo"].claims.values())
    world.gate.remove_from_outbox(claims)
    world.ledger.issue(claims)
    world.gate.mark_issued(claims)


def _oversubscribe(world: World) -> None:
    world.open(capacity=2)
    for user in ("bob", "carol"):
        world.gate.apply("demo", user, user[0].upper() * 16)


def _lose(world: World) -> None:
    _issue(world)
    world.gate.lose()


def _lose_with_a_claim_under_way(world: World) -> None:
    _claim(world)
    world.queue.send(world.gate.states["demo"].claims["alice"])
    world.gate.lose()


def _pause_issued(world: World) -> None:
    _issue(world)
    world.campaigns.pause("demo", "olga")


def _archive(world: World) -> None:
    _pause_issued(world)
    world.ledger.archive("demo")
    world.gate.archive("demo")


def _pause_with_a_claim_under_way(world: World) -> None:
    _claim(world)
    world.campaigns.pause("demo", "olga")


def _nothing(_: World) -> None:
    pass


def _open(world: World) -> None:
    world.open()


@dataclass(frozen=True)
class Scene:
    """A request and the answer it gets; `code` is empty where there is none."""

    route: str
    status: int
    code: str
    prepare: Callable[[World], object]
    parts: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.route} {self.status} {self.code}"


_EDGE = [
    *(Scene(route, 413, "body_too_large", _open, {"body": "x" * 10_001}) for route in _ALL),
    *(Scene(route, 400, "invalid_campaign_id", _open, {"campaign_id": "De Mo"}) for route in _ALL if route != _LIST),
    *(Scene(route, 400, "invalid_parameter", _open, {"query": {"limit": "0"}}) for route in (_LIST, _COUPONS, _EVENTS)),
    Scene(_LOOKUP, 400, "invalid_parameter", _open, {"query": {}}),
    Scene(_ERASE, 400, "invalid_parameter", _open, {"body": "{}"}),
    *(Scene(route, 403, "missing_scope", _open, {"scope": "openid"}) for route in _OPERATORS),
    *(Scene(route, 403, "invalid_subject", _open, {"sub": ""}) for route in (_APPLY, _MINE, *_OPERATORS)),
    *(Scene(route, 503, "unavailable", _break_everything) for route in _ALL),
]

_GOOD = [
    *(Scene(route, 200, "", _issue) for route in _ALL if route != _ARCHIVE),
    *(Scene(route, 200, "", _archive) for route in (_ARCHIVE, _STATS, _COUPONS, _LOOKUP, _EVENTS, _ERASE, _LIST)),
    Scene(_ARCHIVE, 200, "", _pause_issued),
    Scene(_COUPONS, 200, "", _issue, {"headers": {"accept": "text/csv"}, "query": {"limit": "1"}}),
    Scene(_SHOW, 200, "", _lose),
    Scene(_SHOW, 304, "", _open, {"headers": {"if-none-match": '"1-open-10"'}}),
    *(Scene(route, 200, "", _claim) for route in (_APPLY, _MINE)),
    Scene(_APPLY, 202, "", _open),
    Scene(_PUT, 201, "", _nothing),
    Scene(_REBUILD, 200, "", _lose),
    Scene(_LIST, 200, "", _lose),
]

_REFUSED = [
    *(Scene(route, 404, "campaign_not_found", _nothing) for route in (_APPLY, _MINE, _SHOW)),
    *(Scene(route, 404, "campaign_not_found", _nothing) for route in _OPERATORS if route not in {_PUT, _LIST}),
    *(Scene(route, 410, "archived", _archive) for route in (_APPLY, _MINE, _SHOW, _PUT, _PAUSE, _RESUME)),
    *(Scene(route, 410, "archived", _archive) for route in (_REBUILD, _RECONCILE)),
    Scene(_APPLY, 409, "sold_out", _sell_out),
    Scene(_APPLY, 409, "not_open", lambda world: world.open(opens_at=from_rfc3339("2098-01-01T00:00:00Z"))),
    Scene(_APPLY, 409, "closed", lambda world: world.open(closes_at=from_rfc3339("2021-01-01T00:00:00Z"))),
    Scene(_APPLY, 409, "paused", lambda world: world.open(paused=True)),
    *(Scene(route, 404, "no_coupon", _open) for route in (_MINE, _ERASE)),
    Scene(_ARCHIVE, 409, "campaign_open", _open),
    Scene(_ARCHIVE, 409, "queue_not_empty", _pause_with_a_claim_under_way),
    Scene(_ERASE, 409, "queue_not_empty", _claim),
    Scene(_PUT, 412, "version_conflict", _open, {"headers": {"if-match": '"7-open-1"'}}),
    Scene(_PUT, 412, "version_conflict", _nothing, {"headers": {"if-match": '"7-open-1"'}}),
    Scene(_PUT, 409, "capacity_below_accepted", _oversubscribe),
    Scene(_PUT, 422, "invalid_campaign", _open, {"body": '{"capacity":0,"x":1}'}),
    Scene(_REBUILD, 409, "queue_not_empty", _lose_with_a_claim_under_way),
]

_SCENES = [*_EDGE, *_GOOD, *_REFUSED]
"""Every answer there is."""


@pytest.mark.parametrize("scene", _SCENES, ids=str)
def test_every_answer_is_as_documented(world: World, scene: Scene) -> None:
    scene.prepare(world)
    answer = _answer(_event(scene.route, **scene.parts))
    assert answer["statusCode"] == scene.status
    if scene.code:
        assert json.loads(answer["body"])["code"] == scene.code
    documentation.check(scene.route, answer)


@pytest.mark.parametrize("route", _ALL)
def test_every_documented_code_is_answered(route: str) -> None:
    documented = {(status, code) for status, some in documentation.codes(route).items() for code in some}
    answered = {(scene.status, scene.code) for scene in _SCENES if scene.route == route and scene.code}
    assert documented == answered


@pytest.mark.parametrize("route", _ALL)
def test_every_documented_status_is_answered_by_us_or_by_the_gateway(route: str) -> None:
    answered = {scene.status for scene in _SCENES if scene.route == route}
    by_the_gateway = _BY_THE_GATEWAY - ({401} if route == _SHOW else set())
    assert set(documentation.responses(route)) == answered | by_the_gateway


def test_every_route_is_documented_and_no_other() -> None:
    assert set(_ALL) == apply._ROUTES.keys() | admin._ROUTES.keys()
    assert set(documentation.operations()) == {*_ALL, *console._ROUTES}


def test_the_codes_are_those_that_the_source_can_produce(repository: Path) -> None:
    produced = {refusal.value for refusal in Refusal}
    for path in [*repository.glob("layers/firstcome/python/firstcome/*.py"), *repository.glob("functions/*/app.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"problem", "http_api.problem"}:
                code = node.args[1]
                if isinstance(code, ast.Constant):
                    produced.add(str(code.value))
                else:
                    assert ast.unparse(code) in {"refusal", "answer.refusal"}
    assert set(documentation.at("#/components/schemas/Problem/properties/code/enum")) == produced


def _nodes(node: Any, path: str = "#") -> Iterator[tuple[str, Any]]:
    yield path, node
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from _nodes(child, f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}")


def _references() -> set[str]:
    return {
        str(node["$ref"]) for _, node in _nodes(documentation.document()) if isinstance(node, dict) and "$ref" in node
    }


def test_every_reference_leads_somewhere() -> None:
    assert all(documentation.at(reference) for reference in _references())


def test_every_component_is_used() -> None:
    components = documentation.document()["components"]
    named = {
        f"#/components/{kind}/{name}" for kind, some in components.items() if kind != "securitySchemes" for name in some
    }
    assert named == _references()


def test_every_schema_is_a_json_schema() -> None:
    schemas = [node for path, node in _nodes(documentation.document()) if path.split("/")[-1] == "schema"]
    schemas += documentation.at("#/components/schemas").values()
    for schema in schemas:
        Draft202012Validator.check_schema(schema)


def test_every_example_is_valid_and_named_by_its_code() -> None:
    media = [
        node
        for _, node in _nodes(documentation.document())
        if isinstance(node, dict) and "schema" in node and "examples" in node
    ]
    assert len(media) > 20
    for content in media:
        for name, example in content["examples"].items():
            value = documentation.resolved(example)["value"]
            assert documentation.faults(content["schema"], value) == []
            assert value.get("code", name) == name


@pytest.mark.parametrize("route", _ALL)
def test_an_operators_route_asks_for_the_scope_and_only_the_campaign_is_public(route: str) -> None:
    default = documentation.document()["security"]
    expected = [] if route == _SHOW else [{"Jwt": ["firstcome/operator"]}] if route in _OPERATORS else [{"Jwt": []}]
    assert documentation.operations()[route].get("security", default) == expected


@pytest.mark.parametrize("route", _ALL)
def test_every_operation_says_what_it_is(route: str) -> None:
    operation = documentation.operations()[route]
    assert operation["summary"]
    assert operation["tags"] == (["Operators"] if route in _OPERATORS else ["Users"])


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for operation in documentation.operations().values()]
    assert len(set(names)) == len(names) == len(_ALL) + len(console._ROUTES)


@pytest.mark.parametrize(
    ("schema", "name", "least", "most"),
    [
        ("CampaignLimit", _LIST, 1, 100),
        ("CouponLimit", _COUPONS, 1, 1_000),
        ("AfterSequence", _COUPONS, 0, 10_000_000),
        ("EventLimit", _EVENTS, 1, 100),
    ],
)
def test_the_bounds_of_a_parameter_are_those_that_are_kept(
    world: World, schema: str, name: str, least: int, most: int
) -> None:
    world.open()
    parameter = documentation.at(f"#/components/parameters/{schema}")
    assert (parameter["schema"]["minimum"], parameter["schema"]["maximum"]) == (least, most)
    statuses = [
        _answer(_event(name, query={parameter["name"]: str(number)}))["statusCode"]
        for number in (least - 1, least, most, most + 1)
    ]
    assert statuses == [400, 200, 200, 400]


@pytest.mark.parametrize(
    ("schema", "is_valid"),
    [
        ("CampaignId", is_campaign_id),
        ("CouponCode", is_coupon_code),
        ("UserId", is_user_id),
        ("Name", is_campaign_name),
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        *("demo", "Demo", "-", "a" * 63, "a" * 64, "0123456789ABCDEF", "I" * 16, "A" * 15),
        *("", "\u3000", "a\x00", "\u202d", "u" * 129, "n" * 201),
    ],
)
def test_the_patterns_are_the_rules_of_the_domain(schema: str, is_valid: Callable[[object], bool], text: str) -> None:
    assert (documentation.faults({"$ref": f"#/components/schemas/{schema}"}, text) == []) == is_valid(text)


def test_a_campaigns_states_are_the_phases() -> None:
    states = documentation.at("#/components/schemas/Campaign/properties/state/enum")
    assert set(states) == set(Phase)
    assert set(documentation.at("#/components/schemas/ListedCampaign/properties/state/enum")) == {*Phase, "archived"}


def test_the_states_of_a_gate_before_its_rebuild_are_those_there_are() -> None:
    assert set(documentation.at("#/components/schemas/Rebuilt/properties/gate_was/enum")) == {
        state.value for state in GateState
    }


def test_the_example_of_a_campaign_makes_one(world: World) -> None:
    content = documentation.operations()[_PUT]["requestBody"]["content"]["application/json"]
    example = content["examples"]["campaign"]["value"]
    assert _answer(_event(_PUT, body=json.dumps(example)))["statusCode"] == 201
    assert world.ledger.records["demo"].campaign == Campaign(
        "demo",
        example["name"],
        example["capacity"],
        from_rfc3339(example["opens_at"]),
        from_rfc3339(example["closes_at"]),
        version=1,
    )


def test_an_instant_is_written_as_documented() -> None:
    assert documentation.faults({"$ref": "#/components/schemas/Instant"}, to_rfc3339(0)) == []
