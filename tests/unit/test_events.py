"""events/*.json, the requests to try the functions with, get the answers that are documented."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firstcome import bootstrap
from functions.admin.app import lambda_handler as admin
from functions.apply.app import lambda_handler as apply
from functions.console.app import lambda_handler as console
from functions.drain.app import lambda_handler as drain
from functions.relay.app import lambda_handler as relay
from tests import documented_events
from tests.unit import documentation
from tests.unit.api_events import body_of, code_of
from tests.unit.conftest import World

_FOLDER = Path(__file__).resolve().parents[2] / "events"


class Context:
    """Lambda's context, with all the time there is."""

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def _event(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return event


def _send(handler: Callable[[Any, Any], Any], name: str) -> Any:
    event = _event(name)
    answer = handler(event, Context())
    if "routeKey" in event:
        documentation.check(event["routeKey"], answer)
    return answer


@pytest.fixture
def demo(world: World) -> World:
    """The world after put-campaign.json."""
    assert _send(admin, "put-campaign")["statusCode"] == 201
    return world


def test_put_campaign_makes_the_demo_of_100_coupons_that_is_open(world: World) -> None:
    answer = _send(admin, "put-campaign")
    body = body_of(answer)
    assert (answer["statusCode"], body["state"], body["remaining"]) == (201, "open", 100)
    assert (body["opens_at"][:10], body["closes_at"][:10]) == ("2020-01-01", "2099-12-31")
    assert world.ledger.records.keys() == {"demo"}
    assert _send(admin, "put-campaign")["statusCode"] == 200


def test_apply_gives_alice_a_coupon(demo: World) -> None:
    answers = [_send(apply, "apply") for _ in range(2)]
    assert [answer["statusCode"] for answer in answers] == [202, 200]
    assert body_of(answers[0]) == body_of(answers[1])
    assert [claim.user_id for claim in demo.queue.sent] == ["alice"]


@pytest.mark.usefixtures("demo")
def test_apply_without_subject_is_refused() -> None:
    assert code_of(_send(apply, "apply-without-subject")) == "invalid_subject"


def test_put_campaign_invalid_names_each_field(world: World) -> None:
    answer = _send(admin, "put-campaign-invalid")
    assert (answer["statusCode"], code_of(answer)) == (422, "invalid_campaign")
    assert {error["field"] for error in body_of(answer)["errors"]} == {"name", "capacity", "opens_at"}
    assert world.ledger.records == {}


@pytest.mark.usefixtures("world")
def test_put_campaign_later_opens_in_a_far_future() -> None:
    assert body_of(_send(admin, "put-campaign-later"))["state"] == "not_open"
    refused = _send(apply, "apply")
    assert (code_of(refused), body_of(refused)["opens_at"][:4]) == ("not_open", "2098")


def test_mine_shows_it_to_her(demo: World) -> None:
    assert code_of(_send(apply, "mine")) == "no_coupon"
    applied = body_of(_send(apply, "apply"))
    assert body_of(_send(apply, "mine")) == applied
    assert demo.gate.states["demo"].accepted == 1


@pytest.mark.usefixtures("demo")
def test_show_needs_no_token() -> None:
    assert "authorizer" not in _event("show")["requestContext"]
    assert body_of(_send(apply, "show"))["campaign_id"] == "demo"


@pytest.mark.usefixtures("demo")
def test_list_and_stats_answer_200() -> None:
    assert [one["campaign_id"] for one in body_of(_send(admin, "list"))["campaigns"]] == ["demo"]
    assert body_of(_send(admin, "stats"))["capacity"] == 100


@pytest.mark.usefixtures("demo")
def test_pause_and_resume_turn_applications_away_and_let_them_in_again() -> None:
    assert body_of(_send(admin, "pause"))["state"] == "paused"
    assert code_of(_send(apply, "apply")) == "paused"
    assert body_of(_send(admin, "resume"))["state"] == "open"
    assert _send(apply, "apply")["statusCode"] == 202


def test_drain_writes_its_claim_and_coupons_lists_it(demo: World) -> None:
    for _ in range(2):
        assert _send(drain, "drain") == {"batchItemFailures": []}
    (coupon,) = body_of(_send(admin, "coupons"))["coupons"]
    assert (coupon["user_id"], coupon["sequence"]) == ("drain-example", 100)
    assert demo.dead_letters.buried == {}


def test_drain_unreadable_is_dead_lettered(demo: World) -> None:
    assert _send(drain, "drain-unreadable") == {"batchItemFailures": []}
    assert [reason for _, reason in demo.dead_letters.buried.values()] == ["not_json"]


def test_drain_mixed_writes_the_claim_and_dead_letters_the_rest(demo: World) -> None:
    assert _send(drain, "drain-mixed") == {"batchItemFailures": []}
    assert len(body_of(_send(admin, "coupons"))["coupons"]) == len(demo.dead_letters.buried) == 1


def test_rebuild_leaves_a_whole_gate_alone_and_brings_a_lost_one_back(demo: World) -> None:
    assert body_of(_send(admin, "rebuild"))["rebuilt"] is False
    assert _send(drain, "drain") == {"batchItemFailures": []}
    demo.gate.lose()
    assert code_of(_send(apply, "apply")) == "unavailable"
    body = body_of(_send(admin, "rebuild"))
    assert (body["rebuilt"], body["gate_was"], body["issued"]) == (True, "lost", 1)
    assert _send(apply, "apply")["statusCode"] == 202


def test_reconcile_finds_nothing_missing_in_a_new_campaign(demo: World) -> None:
    assert body_of(_send(admin, "reconcile")) == {"compared": 0, "resent": 0, "complete": True}
    assert demo.queue.sent == []


@pytest.mark.usefixtures("demo")
def test_lookup_and_events_tell_of_alice_and_olga() -> None:
    applied = body_of(_send(apply, "apply"))
    assert body_of(_send(admin, "lookup"))["gate"]["coupon_code"] == applied["coupon_code"]
    assert [event["actor"] for event in body_of(_send(admin, "events"))["events"]] == ["olga"]


@pytest.mark.usefixtures("demo")
def test_erase_and_archive_do_nothing_to_an_open_campaign_without_that_user() -> None:
    assert code_of(_send(admin, "erase")) == "no_coupon"
    assert code_of(_send(admin, "archive")) == "campaign_open"


def test_migrate_says_so(world: World) -> None:
    assert _send(admin, "migrate") == {"migrated": True}
    assert world.ledger.is_migrated


@pytest.mark.usefixtures("world")
def test_check_asks_every_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "pending_migrations", list)
    assert set(_send(admin, "check").values()) == {"ok"}


def test_relay_sends_what_was_left_behind(demo: World) -> None:
    demo.queue.is_down = True
    assert code_of(_send(apply, "apply")) == "unavailable"
    demo.queue.is_down = False
    demo.clock.sleep(10_000)
    assert _send(relay, "relay") == {"sent": 1, "refused": 0, "rebuilt": [], "closed": [], "reconciled": []}


def test_an_application_to_no_campaign_is_refused(demo: World) -> None:
    assert code_of(_send(apply, "apply-unknown-campaign")) == "campaign_not_found"
    assert code_of(_send(apply, "apply-invalid-campaign-id")) == "invalid_campaign_id"
    assert demo.queue.sent == []


@pytest.mark.usefixtures("world")
def test_put_campaign_over_is_closed() -> None:
    assert body_of(_send(admin, "put-campaign-over"))["state"] == "closed"
    assert code_of(_send(apply, "apply")) == "closed"


@pytest.mark.usefixtures("world")
def test_put_campaign_small_has_a_coupon_for_one() -> None:
    assert body_of(_send(admin, "put-campaign-small"))["remaining"] == 1
    assert _send(apply, "apply")["statusCode"] == 202
    assert code_of(_send(apply, "apply-bob")) == "sold_out"


@pytest.mark.usefixtures("demo")
def test_what_an_operator_may_not_ask_is_refused() -> None:
    assert code_of(_send(admin, "list-without-scope")) == "missing_scope"
    assert code_of(_send(admin, "coupons-invalid-limit")) == "invalid_parameter"


def test_the_console_gives_its_pages_and_no_other_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ISSUER": "https://issuer.example", "AUDIENCE": "firstcome", "SCOPES": "openid"}.items():
        monkeypatch.setenv(f"OIDC_{name}", value)
    for answer in (_send(console, "console"), _send(console, "console-file"), _send(console, "claim-page")):
        assert answer["statusCode"] == 200
    assert code_of(_send(console, "console-file-unknown")) == "file_not_found"


def test_every_event_is_tried() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    names = _names()
    assert names == sorted({name for name in names if f'"{name}")' in source})
    assert len(names) == 35


def test_every_event_has_a_documented_answer() -> None:
    assert sorted({step.event for step in documented_events.steps()}) == _names()


def _names() -> list[str]:
    # env.local.json is no event: `make up` writes it.
    return sorted({path.stem for path in _FOLDER.glob("*.json")} - {"env.local"})


@pytest.mark.parametrize("path", sorted(_FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_a_request_is_for_one_route_throughout_and_holds_no_token(path: Path) -> None:
    event = json.loads(path.read_text(encoding="utf-8"))
    if "routeKey" not in event:
        return
    context = event["requestContext"]
    assert context["routeKey"] == event["routeKey"]
    path_of_route = event["routeKey"].format(**event.get("pathParameters", {}))
    assert f"{context['http']['method']} {context['http']['path']}" == path_of_route
    assert event["rawPath"] == context["http"]["path"]
    assert "authorization" not in event["headers"]
