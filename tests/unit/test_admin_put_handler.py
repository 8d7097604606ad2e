"""AdminFunction: creating and changing a campaign, and what is left when something fails half way."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from firstcome.domain.campaign import CampaignState
from firstcome.domain.claim import Admission
from firstcome.domain.errors import GateUnavailableError, LedgerUnavailableError
from firstcome.domain.gate import ConfigureResult, GateView
from firstcome.service.campaigns import Campaigns, Precondition
from functions.admin.app import lambda_handler
from tests.unit.api_events import an_operators_event, body_of, code_of
from tests.unit.conftest import World

_FIELDS: dict[str, object] = {
    "name": "Spring sale",
    "capacity": 10,
    "opens_at": "2020-01-01T00:00:00Z",
    "closes_at": "2099-01-01T00:00:00Z",
}


def _send(body: str | None, campaign_id: str = "demo", headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    event = an_operators_event("PUT /campaigns/{campaign_id}", campaign_id=campaign_id, body=body, headers=headers)
    answer: dict[str, Any] = lambda_handler(event, None)
    return answer


def _put(campaign_id: str = "demo", headers: Mapping[str, str] | None = None, **changes: object) -> dict[str, Any]:
    return _send(json.dumps(_FIELDS | changes), campaign_id, headers)


def _accept(world: World, count: int) -> None:
    for number in range(count):
        world.gate.apply("demo", f"user-{number}", f"{number:016d}")


def _at_gate(world: World) -> tuple[int, int]:
    """Return capacity and version as the gate has them."""
    view = world.gate.show("demo")
    assert isinstance(view, GateView)
    assert view.campaign
    return view.campaign.capacity, view.campaign.version


def _in_ledger(world: World) -> tuple[int, int]:
    campaign = world.ledger.records["demo"].campaign
    return campaign.capacity, campaign.version


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
        "version": 1,
    }
    assert answer["headers"]["ETag"] == '"1-open-3"'
    assert _at_gate(world) == _in_ledger(world) == (3, 1)
    assert world.gate.campaign_ids() == ["demo"]


def test_the_same_again_is_200_and_no_new_version(world: World) -> None:
    assert [_put()["statusCode"], _put()["statusCode"]] == [201, 200]
    assert _at_gate(world) == _in_ledger(world) == (10, 1)


def test_it_may_be_changed_while_it_runs_and_keeps_what_was_accepted(world: World) -> None:
    _put(capacity=5)
    _accept(world, 4)
    body = body_of(_put(capacity=8, name="Longer sale"))
    assert (body["capacity"], body["remaining"], body["name"], body["version"]) == (8, 4, "Longer sale", 2)
    body = body_of(_put(capacity=4))
    assert (body["capacity"], body["remaining"], body["state"], body["version"]) == (4, 0, "sold_out", 3)
    assert _at_gate(world) == _in_ledger(world) == (4, 3)


def test_a_capacity_below_what_was_accepted_is_409_and_changes_nothing(world: World) -> None:
    _put(capacity=5)
    _accept(world, 4)
    answer = _put(capacity=3, name="Other")
    assert (answer["statusCode"], code_of(answer)) == (409, "capacity_below_accepted")
    assert _at_gate(world) == _in_ledger(world) == (5, 1)


@pytest.mark.usefixtures("world")
def test_a_paused_campaign_stays_paused() -> None:
    _put()
    lambda_handler(an_operators_event("POST /campaigns/{campaign_id}/pause"), None)
    assert body_of(_put(capacity=20))["state"] == "paused"


@pytest.mark.usefixtures("world")
class TestPreconditions:
    @pytest.mark.parametrize(
        "etag", ['"1-open-10"', '"1-sold_out-0"', 'W/"1-open-9"', '"1"', '"7-open-1", "1-open-2"', "*"]
    )
    def test_an_etag_of_the_current_version_lets_a_change_through(self, etag: str) -> None:
        _put()
        assert _put(headers={"if-match": etag}, capacity=11)["statusCode"] == 200

    @pytest.mark.parametrize("etag", ['"1-open-10"', '"3-open-10"', '"-open-"', "nonsense", '"²-open-1"'])
    def test_any_other_is_412_with_the_campaign_as_it_is(self, world: World, etag: str) -> None:
        _put()
        _put(capacity=11)
        answer = _put(headers={"if-match": etag}, capacity=12)
        assert (answer["statusCode"], code_of(answer)) == (412, "version_conflict")
        current = body_of(answer)["current"]
        assert (current["version"], current["capacity"], current["remaining"]) == (2, 11, 11)
        assert _at_gate(world) == _in_ledger(world) == (11, 2)

    def test_a_change_that_was_made_already_may_be_repeated(self) -> None:
        _put()
        for _ in range(2):
            answer = _put(headers={"if-match": '"1-open-10"'}, capacity=11)
            assert (answer["statusCode"], body_of(answer)["version"]) == (200, 2)

    @pytest.mark.parametrize("etag", ['"1-open-10"', "*"])
    def test_without_a_campaign_an_etag_is_412_and_creates_none(self, world: World, etag: str) -> None:
        answer = _put(headers={"if-match": etag})
        assert (answer["statusCode"], body_of(answer)["current"]) == (412, None)
        assert world.ledger.records == {}

    def test_a_star_that_must_not_match_creates_and_never_changes(self) -> None:
        answers = [_put(headers={"if-none-match": "*"}) for _ in range(2)]
        assert [answer["statusCode"] for answer in answers] == [201, 412]
        assert body_of(answers[1])["current"]["version"] == 1


class TestBadBodies:
    @pytest.mark.parametrize("body", [None, "", "null", "[]", "{", "name=demo", '"demo"', "[" * 9_000])
    def test_a_body_that_is_no_object_is_422(self, world: World, body: str | None) -> None:
        answer = _send(body)
        assert (answer["statusCode"], code_of(answer)) == (422, "invalid_campaign")
        rule = "must be a JSON object in UTF-8 that gives each field once"
        assert body_of(answer)["errors"] == [{"field": "body", "rule": rule}]
        assert world.ledger.records == {}

    def test_wrong_fields_are_422_and_all_named(self, world: World) -> None:
        answer = _put(name="", capacity=-1, opens_at="soon", closes_at=None, limit=1)
        assert (answer["statusCode"], code_of(answer)) == (422, "invalid_campaign")
        body = body_of(answer)
        fields = ["name", "capacity", "opens_at", "closes_at", "limit"]
        assert [error["field"] for error in body["errors"]] == fields
        assert all(f"{error['field']} {error['rule']}" in body["detail"] for error in body["errors"])
        assert world.ledger.records == {}

    @pytest.mark.usefixtures("world")
    def test_a_field_name_that_is_no_text_can_still_be_answered(self) -> None:
        answer = _send('{"\\ud800":1}')
        assert "\ud800" in [error["field"] for error in body_of(answer)["errors"]]


_WRITES = [
    ("ledger", "create"),
    ("ledger", "update"),
    ("ledger", "record"),
    ("gate", "register"),
    ("gate", "create"),
    ("gate", "change"),
]


@pytest.mark.parametrize("happens", [True, False])
@pytest.mark.parametrize(("port", "method"), _WRITES)
def test_a_creation_that_fails_anywhere_is_completed_by_the_same_request(
    world: World,
    port: str,
    method: str,
    happens: bool,  # noqa: FBT001 - a table of flags
) -> None:
    """GIVEN claims of other campaigns in the queue, WHEN a creation fails, THEN asking again needs no empty queue."""
    world.queue.sent.extend(_claims_of_another(world))
    with pytest.MonkeyPatch.context() as broken:
        _fail(broken, getattr(world, port), method, happens=happens)
        assert code_of(_put()) == "unavailable"
    assert not isinstance(_applied(world), Admission) or _in_ledger(world)[1] == 1
    assert _put()["statusCode"] in {200, 201}
    assert _at_gate(world) == _in_ledger(world) == (10, 1)
    assert isinstance(_applied(world), Admission)


@pytest.mark.parametrize("capacity", [3, 9])
@pytest.mark.parametrize("happens", [True, False])
@pytest.mark.parametrize(("port", "method"), [("ledger", "update"), ("ledger", "record"), ("gate", "change")])
def test_a_change_that_fails_anywhere_leaves_the_gate_the_lower_one_and_is_completed_by_the_same_request(
    world: World,
    port: str,
    method: str,
    capacity: int,
    happens: bool,  # noqa: FBT001 - a table of flags
) -> None:
    _put(capacity=5)
    etag = {"if-match": '"1-open-5"'}
    with pytest.MonkeyPatch.context() as broken:
        _fail(broken, getattr(world, port), method, happens=happens)
        assert code_of(_put(headers=etag, capacity=capacity)) == "unavailable"
    assert _at_gate(world)[0] <= _in_ledger(world)[0]
    assert _put(headers=etag, capacity=capacity)["statusCode"] == 200
    assert _at_gate(world) == _in_ledger(world) == (capacity, 2)


def test_another_change_after_one_that_failed_half_way_meets_no_obstacle(world: World) -> None:
    _put(capacity=9)
    with pytest.MonkeyPatch.context() as broken:
        _fail(broken, world.ledger, "update", happens=False)
        assert code_of(_put(capacity=5)) == "unavailable"
    assert _put(capacity=20)["statusCode"] == 200
    assert _at_gate(world) == _in_ledger(world)
    assert _in_ledger(world)[0] == 20


def test_two_changes_of_one_version_are_settled_by_the_next(world: World) -> None:
    """A change that has lost its lock may reach the gate with the version that another one has in the ledger."""
    _put(capacity=9)
    lost = replace(world.ledger.records["demo"].campaign, capacity=3, version=2)
    assert world.gate.change(lost) is ConfigureResult.DONE
    world.ledger.update(replace(lost, capacity=6), 1)
    assert _put(capacity=6)["statusCode"] == 200
    assert _at_gate(world) == _in_ledger(world) == (6, 3)


def test_a_ledger_that_went_back_to_a_backup_follows_the_gate(world: World) -> None:
    _put(capacity=9)
    _put(capacity=20)
    del world.ledger.records["demo"]
    answer = _put(capacity=30)
    assert (answer["statusCode"], body_of(answer)["version"]) == (200, 3)
    assert _at_gate(world) == _in_ledger(world) == (30, 3)


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_a_raise_of_what_is_sold_out_is_answered_once_nobody_remembers_that_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch, *, is_interrupted: bool
) -> None:
    """Also where an earlier request ended between ledger and gate, so that this one has only the gate to raise."""
    campaigns = Campaigns(world.gate, world.ledger, world.clock, hold_ms=600)
    raised = replace(world.open(capacity=1), capacity=2)
    _accept(world, 1)
    if is_interrupted:
        with monkeypatch.context() as broken:
            _fail(broken, world.gate, "change", happens=False)
            with pytest.raises(LedgerUnavailableError):
                campaigns.put(raised, "olga", Precondition())
    campaigns.put(raised, "olga", Precondition())
    assert world.clock.slept_ms == 600


def test_the_capacity_of_a_fenced_campaign_is_raised_but_not_lowered(world: World) -> None:
    """A fenced gate cannot tell how many it accepted: lowering it might leave somebody without a seat."""
    _put(capacity=9)
    world.gate.fence("demo")
    assert code_of(_put(capacity=5)) == "unavailable"
    assert _in_ledger(world) == (9, 1)
    answer = _put(capacity=12)
    assert (answer["statusCode"], body_of(answer)["state"], body_of(answer)["capacity"]) == (200, "unavailable", 12)
    assert _in_ledger(world) == (12, 2)


def test_a_campaign_whose_gate_is_lost_is_not_made_anew(world: World) -> None:
    _put()
    _accept(world, 2)
    world.gate.lose()
    assert code_of(_put()) == "unavailable"
    assert not isinstance(_applied(world), Admission)


def test_a_new_campaign_after_a_wipe_does_not_make_the_lost_ones_unknown(world: World) -> None:
    _put("old")
    world.gate.lose()
    assert _put("new")["statusCode"] == 201
    assert world.gate.campaign_ids() == ["new", "old"]


def test_an_archived_campaign_is_410(world: World) -> None:
    _put()
    world.ledger.archive("demo")
    answer = _put(capacity=11)
    assert (answer["statusCode"], code_of(answer)) == (410, "archived")
    assert world.ledger.records["demo"].state is CampaignState.ARCHIVED


def test_an_archived_campaign_whose_row_is_gone_stays_archived(world: World) -> None:
    """A ledger that went back to a backup, from before the campaign was created."""
    world.gate.archive("demo")
    assert code_of(_put()) == "archived"


def _claims_of_another(world: World) -> list[Any]:
    world.open("other")
    answer = world.gate.apply("other", "bob", "B" * 16)
    assert isinstance(answer, Admission)
    return [answer.claim]


def _applied(world: World) -> object:
    try:
        return world.gate.apply("demo", "alice", "A" * 16)
    except GateUnavailableError as exc:
        return exc


def _fail(monkeypatch: pytest.MonkeyPatch, port: object, method: str, *, happens: bool) -> None:
    """Have a method fail, with its effect or without."""
    real = getattr(port, method)

    def fail(*values: Any) -> None:
        if happens:
            real(*values)
        raise LedgerUnavailableError("down")

    monkeypatch.setattr(port, method, fail)
