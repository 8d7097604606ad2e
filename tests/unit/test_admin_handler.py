"""AdminFunction: every answer of the operator's routes, and the migration."""

import json
from dataclasses import replace
from typing import Any

import pytest

from firstcome import bootstrap
from firstcome.domain.claim import Claim
from firstcome.domain.errors import GateLostError, GateUnavailableError, LedgerUnavailableError
from firstcome.domain.refusal import Refusal, Refused
from functions.admin.app import lambda_handler
from tests.factories import a_claim
from tests.unit.api_events import an_event, an_operators_event, body_of, code_of, without_token
from tests.unit.conftest import CLAIM_AGE_MS, Log, World

pytestmark = pytest.mark.usefixtures("world")

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

_ALL = [_PUT, _LIST, _PAUSE, _RESUME, _STATS, _COUPONS, _REBUILD, _RECONCILE, _ARCHIVE, _LOOKUP, _EVENTS, _ERASE]
_OF_ONE_CAMPAIGN = [route for route in _ALL if route != _LIST]
_OF_A_KNOWN_CAMPAIGN = [route for route in _OF_ONE_CAMPAIGN if route != _PUT]

_FIELDS: dict[str, object] = {
    "name": "Spring sale",
    "capacity": 10,
    "opens_at": "2020-01-01T00:00:00Z",
    "closes_at": "2099-01-01T00:00:00Z",
}


def _call(route: str, **parts: Any) -> dict[str, Any]:
    """Send a request that is right unless its parts say otherwise."""
    if route == _LOOKUP:
        parts = {"query": {"user_id": "alice-7f3a"}} | parts
    if route in {_PUT, _ERASE}:
        parts = {"body": json.dumps(_FIELDS if route == _PUT else {"user_id": "alice"})} | parts
    answer: dict[str, Any] = lambda_handler(an_operators_event(route, **parts), None)
    return answer


def _put(campaign_id: str = "demo", **changes: object) -> dict[str, Any]:
    return _call(_PUT, campaign_id=campaign_id, body=json.dumps(_FIELDS | changes))


def _accept(world: World, count: int) -> list[Claim]:
    """Have that many users accepted and queued."""
    world.gate.remove_from_outbox(
        [
            answer.claim
            for number in range(count)
            for answer in [world.gate.apply("demo", f"user-{number}", f"{number:016d}")]
            if not hasattr(answer, "refusal")
        ]
    )
    return sorted(world.gate.states["demo"].claims.values(), key=lambda claim: claim.sequence)


class TestEveryRoute:
    @pytest.mark.parametrize("route", _ALL)
    @pytest.mark.parametrize("scope", [None, "", "openid", "firstcome/operators"])
    def test_without_the_scope_it_is_403_and_changes_nothing(self, world: World, route: str, scope: str | None) -> None:
        answer = lambda_handler(an_event(route, scope=scope, body=json.dumps(_FIELDS)), None)
        assert (answer["statusCode"], code_of(answer)) == (403, "missing_scope")
        assert world.ledger.records == {}

    @pytest.mark.parametrize("route", _ALL)
    def test_without_a_token_it_is_403(self, route: str) -> None:
        assert code_of(lambda_handler(without_token(an_operators_event(route)), None)) == "missing_scope"

    @pytest.mark.parametrize("route", _OF_ONE_CAMPAIGN)
    @pytest.mark.parametrize("campaign_id", ["De Mo", "-demo", "d" * 64, "\x00", "\ud800"])
    def test_an_invalid_campaign_is_400(self, route: str, campaign_id: str) -> None:
        answer = _call(route, campaign_id=campaign_id)
        assert (answer["statusCode"], code_of(answer)) == (400, "invalid_campaign_id")

    @pytest.mark.parametrize("route", _OF_A_KNOWN_CAMPAIGN)
    def test_an_unknown_campaign_is_404(self, route: str) -> None:
        answer = _call(route)
        assert (answer["statusCode"], code_of(answer)) == (404, "campaign_not_found")

    @pytest.mark.parametrize("route", _ALL)
    def test_a_large_body_is_413(self, world: World, route: str) -> None:
        answer = _call(route, body=json.dumps(_FIELDS | {"name": "x" * 10_000}))
        assert (answer["statusCode"], code_of(answer)) == (413, "body_too_large")
        assert world.ledger.records == {}

    @pytest.mark.parametrize("route", _ALL)
    def test_without_the_ledger_it_is_503(self, world: World, route: str) -> None:
        world.open()
        world.ledger.is_down = True
        answer = _call(route)
        assert (answer["statusCode"], code_of(answer)) == (503, "unavailable")
        assert answer["headers"]["Retry-After"] == "2"

    @pytest.mark.parametrize("route", [_PUT, _PAUSE, _RESUME, _STATS, _ARCHIVE, _ERASE])
    @pytest.mark.parametrize("is_lost", [False, True])
    def test_without_the_gate_what_needs_it_is_503(self, world: World, route: str, is_lost: bool) -> None:  # noqa: FBT001
        world.open()
        world.gate.is_down = not is_lost
        if is_lost:
            world.gate.lose()
        assert code_of(_call(route)) == "unavailable"

    def test_no_log_line_names_a_user_or_a_coupon(
        self, world: World, log: Log, capsys: pytest.CaptureFixture[str]
    ) -> None:
        world.open()
        world.ledger.issue([a_claim("demo", 1, "alice-7f3a", "0123456789ABCDEF")])
        answers = [_call(route) for route in _ALL]
        world.ledger.is_down = True
        for route in _ALL:
            _call(route, sub="olga-7f3a")
        assert "alice-7f3a" in "".join(answer["body"] for answer in answers)
        assert "LedgerUnavailableError" in {entry["kind"] for entry in log.of("unavailable")}
        written = log.text + "".join(capsys.readouterr())
        assert "7f3a" not in written
        assert "0123456789ABCDEF" not in written


class TestList:
    def test_the_newest_comes_first_with_its_state(self) -> None:
        _put("one", capacity=1)
        _put("two", opens_at="2098-01-01T00:00:00Z")
        answer = _call(_LIST)
        body = body_of(answer)
        assert answer["statusCode"] == 200
        assert [(one["campaign_id"], one["state"], one["remaining"]) for one in body["campaigns"]] == [
            ("two", "not_open", 10),
            ("one", "open", 1),
        ]
        assert body["next_after"] is None
        assert body["campaigns"][0]["created_at"].endswith("Z")

    def test_no_campaigns_are_an_empty_page(self) -> None:
        assert body_of(_call(_LIST)) == {"campaigns": [], "next_after": None}

    def test_pages_follow_each_other_until_the_end(self) -> None:
        for number in range(5):
            _put(f"c{number}")
        seen: list[str] = []
        query: dict[str, str] = {"limit": "2"}
        for _ in range(3):
            page = body_of(_call(_LIST, query=query))
            seen += [one["campaign_id"] for one in page["campaigns"]]
            query["after"] = page["next_after"]
        assert seen == ["c4", "c3", "c2", "c1", "c0"]
        assert page["next_after"] is None

    def test_a_page_has_20_unless_told(self) -> None:
        for number in range(21):
            _put(f"c{number}")
        assert len(body_of(_call(_LIST))["campaigns"]) == 20
        assert len(body_of(_call(_LIST, query={"limit": "100"}))["campaigns"]) == 21

    def test_it_is_searched_filtered_and_sorted(self) -> None:
        for number, name in enumerate(("autumn", "spring", "spring-2")):
            _put(name, opens_at=f"209{number}-01-01T00:00:00Z")
        _call(_PAUSE, campaign_id="spring")
        for query, expected in (
            ({"q": "SPRING-", "sort": "created"}, ["spring-2"]),
            ({"q": "ring"}, ["spring-2", "spring", "autumn"]),
            ({"state": "paused"}, ["spring"]),
            ({"state": "active", "sort": "opens_at"}, ["autumn", "spring-2"]),
            ({"state": "archived"}, []),
        ):
            page = body_of(_call(_LIST, query=query))
            assert [one["campaign_id"] for one in page["campaigns"]] == expected

    def test_an_archived_campaign_is_listed_as_such(self) -> None:
        _put(closes_at="2021-01-01T00:00:00Z")
        _call(_ARCHIVE)
        (one,) = body_of(_call(_LIST, query={"state": "archived"}))["campaigns"]
        assert (one["state"], one["remaining"], one["capacity"]) == ("archived", None, 10)

    @pytest.mark.parametrize(
        "query",
        [
            *({"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"limit": ""}, {"after": "De Mo"}, {"after": ""}),
            *({"state": "open"}, {"state": "creating"}, {"sort": "name"}, {"q": ""}, {"q": "a\n"}),
        ],
    )
    def test_a_wrong_parameter_is_400(self, query: dict[str, str]) -> None:
        answer = _call(_LIST, query=query)
        assert (answer["statusCode"], code_of(answer)) == (400, "invalid_parameter")

    @pytest.mark.parametrize("is_lost", [False, True])
    def test_without_the_gate_the_list_is_there_and_says_so(self, world: World, is_lost: bool) -> None:  # noqa: FBT001
        _put()
        world.gate.is_down = not is_lost
        if is_lost:
            world.gate.lose()
        answer = _call(_LIST)
        assert answer["statusCode"] == 200
        (one,) = body_of(answer)["campaigns"]
        assert (one["state"], one["remaining"], one["capacity"]) == ("unavailable", None, 10)

    def test_a_fenced_gate_is_not_called_open(self, world: World) -> None:
        _put()
        world.gate.fence("demo")
        assert body_of(_call(_LIST))["campaigns"][0]["state"] == "unavailable"

    def test_a_gate_that_does_not_answer_is_waited_for_once(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(3):
            _put(f"c{number}")
        asked: list[str] = []

        def refuse(campaign_id: str) -> None:
            asked.append(campaign_id)
            raise GateUnavailableError("down")

        monkeypatch.setattr(world.gate, "show", refuse)
        assert [one["state"] for one in body_of(_call(_LIST))["campaigns"]] == ["unavailable"] * 3
        assert asked == ["c2"]


class TestPauseAndResume:
    def test_a_pause_refuses_and_a_resume_admits_again(self, world: World) -> None:
        _put()
        assert (_call(_PAUSE)["statusCode"], body_of(_call(_PAUSE))["state"]) == (200, "paused")
        assert world.ledger.records["demo"].campaign.paused
        assert (_call(_RESUME)["statusCode"], body_of(_call(_RESUME))["state"]) == (200, "open")
        assert not world.ledger.records["demo"].campaign.paused

    def test_nothing_else_changes(self, world: World) -> None:
        _put(capacity=7)
        _accept(world, 2)
        before = world.ledger.records["demo"].campaign
        _call(_PAUSE)
        body = body_of(_call(_RESUME))
        assert (body["capacity"], body["remaining"]) == (7, 5)
        after = replace(before, version=before.version + 2)
        assert world.ledger.records["demo"].campaign == after == world.gate.states["demo"].campaign


class TestStats:
    def test_every_claim_is_counted_where_it_is(self, world: World) -> None:
        _put(capacity=20)
        claims = _accept(world, 6)
        world.gate.apply("demo", "late", "L" * 16)
        world.ledger.issue(claims[:3])
        world.ledger.issue([a_claim("demo", 8, claims[0].user_id)])
        world.dead_letters.send({"m1": ("x", "not_json"), "m2": ("y", "not_json")})
        world.gate.add_answers("demo", {"sold_out": 5, "unavailable": 2})
        world.clock.sleep(2_500)
        answer = _call(_STATS)
        assert answer["statusCode"] == 200
        assert body_of(answer) == {
            "capacity": 20,
            "accepted": 7,
            "outbox": 1,
            "queued": 2,
            "issued": 3,
            "overflow": 1,
            "dead_letters": 2,
            "oldest_outbox_seconds": 2.5,
            "refused": {"sold_out": 5},
            "unavailable": 2,
            "exact": False,
        }

    def test_a_new_campaign_has_none_and_is_exact(self) -> None:
        _put(capacity=5)
        body = body_of(_call(_STATS))
        assert (body.pop("capacity"), body.pop("exact"), body.pop("refused")) == (5, True, {})
        assert set(body.values()) == {0}

    def test_queued_is_never_below_zero(self, world: World) -> None:
        """A claim sent twice may be in the ledger while it is still in the outbox."""
        _put()
        world.gate.apply("demo", "alice", "A" * 16)
        world.ledger.issue([world.gate.states["demo"].claims["alice"]])
        body = body_of(_call(_STATS))
        assert (body["accepted"], body["outbox"], body["issued"], body["queued"]) == (1, 1, 1, 0)

    def test_without_the_dead_letter_queue_it_is_503(self, world: World) -> None:
        _put()
        world.dead_letters.is_down = True
        assert code_of(_call(_STATS)) == "unavailable"

    def test_an_archived_campaign_has_the_figures_of_the_ledger(self, world: World) -> None:
        _put()
        world.ledger.issue(_accept(world, 2))
        _call(_PAUSE)
        _call(_ARCHIVE)
        body = body_of(_call(_STATS))
        assert (body["accepted"], body["issued"], body["queued"], body["exact"]) == (2, 2, 0, True)


class TestExact:
    def test_all_issued_is_exact(self, world: World) -> None:
        _put()
        world.ledger.issue(_accept(world, 3))
        assert _is_exact()

    def test_young_claims_under_way_leave_it_open_and_old_ones_do_not(self, world: World) -> None:
        _put()
        claims = _accept(world, 3)
        world.ledger.issue(claims[:2])
        world.clock.sleep(CLAIM_AGE_MS - 1)
        assert _is_exact() is None
        world.clock.sleep(1)
        assert _is_exact() is False

    def test_claims_that_keep_coming_do_not_hide_an_old_one_that_is_missing(self, world: World) -> None:
        """A queue that was purged, and a trickle of claims since."""
        _put()
        world.ledger.issue(_accept(world, 2)[1:])
        world.clock.sleep(CLAIM_AGE_MS)
        world.ledger.issue(_accept(world, 3)[2:])
        assert _is_exact() is False

    def test_an_old_gap_is_no_reason_while_the_newest_claim_is_under_way(self, world: World) -> None:
        _put()
        world.ledger.issue(_accept(world, 2)[1:])
        world.clock.sleep(CLAIM_AGE_MS)
        _accept(world, 3)
        assert _is_exact() is None

    def test_a_missing_sequence_and_overflow_are_not_exact(self, world: World) -> None:
        _put()
        claims = _accept(world, 2)
        world.ledger.issue([claims[0], replace(claims[1], sequence=3)])
        assert _is_exact() is False
        _put("other")
        world.ledger.issue([a_claim("other", 11)])
        assert _is_exact("other") is False


def _is_exact(campaign_id: str = "demo") -> object:
    return body_of(_call(_STATS, campaign_id=campaign_id))["exact"]


class TestCoupons:
    def test_they_come_by_sequence_with_their_user(self, world: World) -> None:
        _put()
        world.ledger.issue([a_claim("demo", 2, "bob"), a_claim("demo", 1, "alice", "0123456789ABCDEF")])
        answer = _call(_COUPONS)
        assert answer["statusCode"] == 200
        body = body_of(answer)
        assert [(coupon["sequence"], coupon["user_id"]) for coupon in body["coupons"]] == [(1, "alice"), (2, "bob")]
        assert body["coupons"][0].keys() == {"sequence", "user_id", "coupon_code", "accepted_at", "issued_at"}
        assert body["coupons"][0]["coupon_code"] == "0123456789ABCDEF"
        assert body["next_after"] is None

    def test_pages_follow_each_other_until_the_end(self, world: World) -> None:
        _put()
        world.ledger.issue([a_claim("demo", sequence) for sequence in range(1, 6)])
        pages = [body_of(_call(_COUPONS, query={"limit": "2", "after": after})) for after in ("0", "2", "4")]
        assert [[coupon["sequence"] for coupon in page["coupons"]] for page in pages] == [[1, 2], [3, 4], [5]]
        assert [page["next_after"] for page in pages] == [2, 4, None]

    def test_a_page_has_100_unless_told_and_1000_at_most(self, world: World) -> None:
        _put(capacity=200)
        world.ledger.issue([a_claim("demo", sequence) for sequence in range(1, 103)])
        assert len(body_of(_call(_COUPONS))["coupons"]) == 100
        assert len(body_of(_call(_COUPONS, query={"limit": "1000"}))["coupons"]) == 102

    @pytest.mark.parametrize(
        "query",
        [{"limit": "0"}, {"limit": "1001"}, {"limit": "-1"}, {"after": "-1"}, {"after": "10000001"}, {"after": "x"}],
    )
    def test_a_wrong_parameter_is_400(self, query: dict[str, str]) -> None:
        _put()
        answer = _call(_COUPONS, query=query)
        assert (answer["statusCode"], code_of(answer)) == (400, "invalid_parameter")

    def test_they_come_as_csv_with_a_link_to_the_next_page(self, world: World) -> None:
        _put()
        world.ledger.issue([a_claim("demo", sequence, f"=user-{sequence}") for sequence in (1, 2, 3)])
        csv = {"accept": "text/html;q=0.1, Text/CSV; header=present"}
        pages = [_call(_COUPONS, headers=csv, query={"limit": "2", "after": after}) for after in ("0", "2")]
        assert [page["headers"]["Content-Type"] for page in pages] == ["text/csv; charset=utf-8"] * 2
        assert pages[0]["headers"]["Link"] == '<?after=2&limit=2>; rel="next"'
        assert "Link" not in pages[1]["headers"]
        assert [page["body"].count("\r\n") for page in pages] == [3, 2]
        assert '"3","\'=user-3"' in pages[1]["body"]

    def test_they_are_read_without_the_gate(self, world: World) -> None:
        _put()
        world.gate.is_down = True
        assert _call(_COUPONS)["statusCode"] == 200


class TestRebuild:
    def test_a_whole_gate_is_left_alone(self, world: World) -> None:
        _put()
        _accept(world, 2)
        answer = _call(_REBUILD)
        assert answer["statusCode"] == 200
        body = body_of(answer)
        assert (body["rebuilt"], body["gate_was"]) == (False, "whole")
        assert world.gate.states["demo"].accepted == 2
        assert world.clock.slept_ms == 0

    def test_a_lost_gate_comes_back_as_the_ledger_has_it(self, world: World) -> None:
        _put(capacity=5)
        claims = _accept(world, 3)
        world.ledger.issue([claims[0], claims[2]])
        world.gate.lose()
        answer = _call(_REBUILD)
        assert answer["statusCode"] == 200
        assert body_of(answer) == {
            "campaign_id": "demo",
            "rebuilt": True,
            "gate_was": "lost",
            "issued": 2,
            "overflow": 0,
            "resent": 0,
            "free_sequences": 1,
            "highest_sequence": 3,
        }
        assert [coupon.claim for coupon in world.ledger.coupons("demo", 0, 9)] == [claims[0], claims[2]]

    def test_it_waits_until_no_old_invocation_can_be_running(self, world: World) -> None:
        _put()
        world.gate.lose()
        _call(_REBUILD)
        # REBUILD_QUIET_SECONDS.
        assert world.clock.slept_ms == 6_000

    def test_a_long_quiet_time_is_not_waited_for_within_the_request(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REBUILD_QUIET_SECONDS", "110")
        _put()
        world.gate.lose()
        assert code_of(_call(_REBUILD)) == "queue_not_empty"
        world.clock.sleep(105_000)
        assert body_of(_call(_REBUILD))["rebuilt"]

    def test_while_claims_are_under_way_it_is_409_and_the_gate_stays_closed(self, world: World) -> None:
        _put()
        claims = _accept(world, 1)
        world.queue.sent += claims
        world.gate.lose()
        answer = _call(_REBUILD)
        assert (answer["statusCode"], code_of(answer)) == (409, "queue_not_empty")
        assert answer["headers"]["Retry-After"] == "2"
        with pytest.raises(GateLostError):
            world.gate.apply("demo", "eager", "E" * 16)
        world.ledger.issue(claims)
        world.queue.delivered = 1
        assert body_of(_call(_REBUILD))["issued"] == 1

    @pytest.mark.parametrize("port", ["gate", "queue"])
    def test_without_the_gate_or_the_queue_it_is_503(self, world: World, port: str) -> None:
        _put()
        world.gate.lose()
        getattr(world, port).is_down = True
        assert code_of(_call(_REBUILD)) == "unavailable"

    def test_a_missing_setting_is_503_and_logged_by_name(self, monkeypatch: pytest.MonkeyPatch, log: Log) -> None:
        _put()
        monkeypatch.delenv("REBUILD_QUIET_SECONDS")
        assert code_of(_call(_REBUILD)) == "unavailable"
        assert [entry["reason"] for entry in log.of("misconfigured")] == ["REBUILD_QUIET_SECONDS must be set"]


@pytest.mark.parametrize("route", _ALL)
def test_the_connection_to_mysql_is_given_back_after_each_request(
    world: World, monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    """MySQL is to see the drain's connections, not those of idle operators' environments."""
    closed: list[str] = []
    monkeypatch.setattr(world.ledger, "close", lambda: closed.append(route))
    world.open()
    _call(route)
    world.ledger.is_down = True
    _call(route)
    assert closed == [route, route]


class TestCheck:
    @pytest.fixture
    def pending(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The migrations that the ledger lacks."""
        names: list[str] = []
        monkeypatch.setattr(bootstrap, "pending_migrations", lambda: names)
        return names

    @pytest.mark.usefixtures("pending")
    def test_what_answers_is_ok(self) -> None:
        expected = dict.fromkeys(("redis", "claim_queue", "mysql", "migrations"), "ok")
        assert lambda_handler({"action": "check"}, None) == expected

    def test_what_does_not_is_told_beside_the_rest(self, world: World, pending: list[str]) -> None:
        world.gate.is_down = True
        pending.append("0007-more")
        found = lambda_handler({"action": "check"}, None)
        assert found["redis"].startswith("GateUnavailableError")
        assert found["migrations"] == "LedgerSchemaError: not applied: 0007-more"
        assert (found["mysql"], found["claim_queue"]) == ("ok", "ok")


class TestMigrate:
    def test_a_direct_invocation_migrates_and_may_be_repeated(self, world: World) -> None:
        world.gate.lose()
        for _ in range(2):
            assert lambda_handler({"action": "migrate"}, None) == {"migrated": True}
        assert world.ledger.is_migrated
        # A campaign that nobody made is unknown rather than lost.
        assert world.gate.show("demo") is None

    def test_an_empty_gate_learns_which_campaigns_are_lost_and_which_are_archived(self, world: World) -> None:
        world.open("lost")
        world.open("old")
        world.ledger.archive("old")
        world.gate.lose()
        lambda_handler({"action": "migrate"}, None)
        assert code_of(_call(_PUT, campaign_id="lost")) == "unavailable"
        assert world.gate.show("old") == Refused(Refusal.ARCHIVED)

    def test_it_raises_when_the_ledger_is_down(self, world: World) -> None:
        world.ledger.is_down = True
        with pytest.raises(LedgerUnavailableError):
            lambda_handler({"action": "migrate"}, None)

    def test_nothing_that_comes_through_the_api_can_migrate(self, world: World) -> None:
        for event in (
            an_operators_event(_PUT, body='{"action":"migrate"}'),
            an_operators_event(_LIST, query={"action": "migrate"}),
        ):
            lambda_handler(event, None)
        assert not world.ledger.is_migrated
