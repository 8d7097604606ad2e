"""AdminFunction: making and changing a campaign, and what is left when something fails half way."""

import json
from typing import Any

import pytest

from firstcome import bootstrap
from firstcome.domain.claim import Admission
from firstcome.domain.errors import GateUnavailableError, LedgerUnavailableError
from firstcome.domain.gate import GateView
from functions.admin.app import lambda_handler
from tests.unit.api_events import an_operators_event, body_of, code_of
from tests.unit.conftest import World

_FIELDS: dict[str, object] = {
    "name": "Spring sale",
    "capacity": 10,
    "opens_at": "2020-01-01T00:00:00Z",
    "closes_at": "2099-01-01T00:00:00Z",
}


def _send(body: str | None, campaign_id: str = "demo") -> dict[str, Any]:
    event = an_operators_event("PUT /campaigns/{campaign_id}", campaign_id=campaign_id, body=body)
    answer: dict[str, Any] = lambda_handler(event, None)
    return answer


def _put(campaign_id: str = "demo", **changes: object) -> dict[str, Any]:
    return _send(json.dumps(_FIELDS | changes), campaign_id)


def _accept(world: World, count: int) -> None:
    for number in range(count):
        world.gate.apply("demo", f"user-{number}", f"{number:016d}")


def _gate_capacity(world: World) -> int:
    campaign = world.gate.states["demo"].campaign
    assert campaign
    return campaign.capacity


def test_a_new_campaign_is_201_in_the_ledger_and_at_the_gate(world: World) -> None:
    answer = _put(capacity=3)
    assert answer["statusCode"] == 201
    assert body_of(answer) == {
        "campaign_id": "demo",
        "name": "Spring sale",
        "state": "open",
        "capacity": 3,
        "remaining": 3,
        "opens_at": "2020-01-01T00:00:00.000Z",
        "closes_at": "2099-01-01T00:00:00.000Z",
    }
    view = world.gate.show("demo")
    assert isinstance(view, GateView)
    assert view.campaign == world.ledger.records["demo"].campaign
    assert world.gate.campaign_ids() == ["demo"]


def test_the_same_again_is_200(world: World) -> None:
    assert [_put()["statusCode"], _put()["statusCode"]] == [201, 200]


def test_it_may_be_changed_while_it_runs_and_keeps_what_was_accepted(world: World) -> None:
    _put(capacity=5)
    _accept(world, 4)
    body = body_of(_put(capacity=8, name="Longer sale"))
    assert (body["capacity"], body["remaining"], body["name"]) == (8, 4, "Longer sale")
    body = body_of(_put(capacity=4))
    assert (body["capacity"], body["remaining"], body["state"]) == (4, 0, "sold_out")
    assert world.ledger.records["demo"].campaign.capacity == 4


def test_a_capacity_below_what_was_accepted_is_409_and_changes_nothing(world: World) -> None:
    _put(capacity=5)
    _accept(world, 4)
    answer = _put(capacity=3, name="Other")
    assert (answer["statusCode"], code_of(answer)) == (409, "capacity_below_accepted")
    view = world.gate.show("demo")
    assert isinstance(view, GateView)
    for campaign in (view.campaign, world.ledger.records["demo"].campaign):
        assert campaign
        assert (campaign.capacity, campaign.name) == (5, "Spring sale")


def test_a_paused_campaign_stays_paused(world: World) -> None:
    _put()
    lambda_handler(an_operators_event("POST /campaigns/{campaign_id}/pause"), None)
    assert body_of(_put(capacity=20))["state"] == "paused"


@pytest.mark.parametrize("body", [None, "", "null", "[]", "{", "name=demo", '"demo"', "[" * 9_000])
def test_a_body_that_is_no_object_is_422(world: World, body: str | None) -> None:
    answer = _send(body)
    assert (answer["statusCode"], code_of(answer)) == (422, "invalid_campaign")
    assert body_of(answer)["errors"] == [
        {"field": "body", "rule": "must be a JSON object in UTF-8 that gives each field once"}
    ]


def test_wrong_fields_are_422_and_all_named(world: World) -> None:
    answer = _put(name="", capacity=-1, opens_at="soon", closes_at=None, limit=1)
    assert (answer["statusCode"], code_of(answer)) == (422, "invalid_campaign")
    body = body_of(answer)
    fields = ["name", "capacity", "opens_at", "closes_at", "limit"]
    assert [error["field"] for error in body["errors"]] == fields
    assert all(f"{error['field']} {error['rule']}" in body["detail"] for error in body["errors"])
    assert world.ledger.records == {}


def test_a_field_name_that_is_no_text_can_still_be_answered(world: World) -> None:
    answer = _send('{"\\ud800":1}')
    assert "\ud800" in [error["field"] for error in body_of(answer)["errors"]]


def test_a_time_outside_the_calendar_is_422(world: World) -> None:
    assert code_of(_put(closes_at="9999-12-31T23:59:59-23:59")) == "invalid_campaign"


def test_a_raise_that_fails_half_way_leaves_the_gate_the_lower_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put(capacity=5)
    _fail(monkeypatch, world.gate, "configure", GateUnavailableError("down"))
    assert code_of(_put(capacity=9)) == "unavailable"
    assert world.ledger.records["demo"].campaign.capacity == 9
    assert _gate_capacity(world) == 5


def test_a_cut_that_fails_half_way_leaves_the_gate_the_lower_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _put(capacity=9)
    _fail(monkeypatch, world.ledger, "update", LedgerUnavailableError("down"))
    assert code_of(_put(capacity=5)) == "unavailable"
    assert world.ledger.records["demo"].campaign.capacity == 9
    assert _gate_capacity(world) == 5


def test_the_capacity_of_a_fenced_campaign_is_raised_but_not_lowered(world: World) -> None:
    """A fenced gate cannot tell how many it accepted: lowering it might leave somebody without a seat."""
    _put(capacity=9)
    world.gate.fence("demo")
    assert code_of(_put(capacity=5)) == "unavailable"
    assert world.ledger.records["demo"].campaign.capacity == 9
    assert _put(capacity=12)["statusCode"] == 200


@pytest.mark.parametrize(("port", "method", "capacity"), [("gate", "configure", 9), ("ledger", "update", 3)])
def test_the_same_request_again_completes_a_change(world: World, port: str, method: str, capacity: int) -> None:
    _put(capacity=5)
    with pytest.MonkeyPatch.context() as broken:
        error = GateUnavailableError("down") if port == "gate" else LedgerUnavailableError("down")
        _fail(broken, getattr(world, port), method, error)
        assert code_of(_put(capacity=capacity)) == "unavailable"
    assert _put(capacity=capacity)["statusCode"] == 200
    assert world.ledger.records["demo"].campaign.capacity == capacity
    assert _gate_capacity(world) == capacity


@pytest.mark.parametrize("method", ["register", "create"])
def test_a_campaign_that_was_made_half_is_completed_by_the_relay(world: World, method: str) -> None:
    """GIVEN a gate that went down while a campaign was made, THEN the relay's next run makes it."""
    with pytest.MonkeyPatch.context() as broken:
        _fail(broken, world.gate, method, GateUnavailableError("down"))
        assert code_of(_put()) == "unavailable"
    assert code_of(_put()) == "unavailable"
    bootstrap.relay(lambda: 40_000).run()
    assert _put(capacity=20)["statusCode"] == 200
    assert isinstance(world.gate.apply("demo", "alice", "A" * 16), Admission)


def test_a_campaign_whose_gate_is_lost_is_not_made_anew(world: World) -> None:
    _put()
    _accept(world, 2)
    world.gate.lose()
    assert code_of(_put()) == "unavailable"
    assert world.gate.states == {}


def test_a_new_campaign_after_a_wipe_does_not_make_the_lost_ones_unknown(world: World) -> None:
    _put("old")
    world.gate.lose()
    assert _put("new")["statusCode"] == 201
    assert world.gate.campaign_ids() == ["new", "old"]


def _fail(monkeypatch: pytest.MonkeyPatch, port: object, method: str, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(port, method, fail)
