"""Every route and code of the API's table, on the deployed stack."""

import re
from datetime import UTC, datetime, timedelta

from tests.e2e.conftest import Answer, Service, campaign_body, eventually
from tests.factories import a_campaign_id, a_user_id

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def _is_problem(answer: Answer, status: int, code: str) -> bool:
    assert (answer.status, answer.code) == (status, code), answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body["status"] == status
    assert {"type", "title", "detail"} <= answer.body.keys()
    return True


def test_an_application_is_accepted_then_issued_and_always_the_same(service: Service) -> None:
    campaign_id = service.campaign()

    first = service.apply(campaign_id, "ann")
    assert first.status == 202, first
    assert first.body.keys() == {"status", "campaign_id", "sequence", "coupon_code", "accepted_at"}
    assert (first.body["status"], first.body["campaign_id"], first.body["sequence"]) == ("accepted", campaign_id, 1)
    assert INSTANT.fullmatch(first.body["accepted_at"])

    again = service.apply(campaign_id, "ann")
    assert again.status == 200
    assert {**again.body, "status": "accepted"} == first.body

    mine = eventually(
        lambda: service.as_user("GET", f"/campaigns/{campaign_id}/coupons/mine", "ann"),
        lambda answer: answer.body["status"] == "issued",
    )
    assert mine.status == 200
    assert {**mine.body, "status": "accepted"} == first.body
    assert service.rows(campaign_id) == [(1, "ann", first.body["coupon_code"])]
    assert service.apply(campaign_id, "ann").body == mine.body


def test_sold_out(service: Service) -> None:
    campaign_id = service.campaign(capacity=1)
    service.apply(campaign_id, "ann")

    assert _is_problem(service.apply(campaign_id, "bob"), 409, "sold_out")
    shown = service.call("GET", f"/campaigns/{campaign_id}").body
    assert (shown["state"], shown["remaining"]) == ("sold_out", 0)


def test_not_open_says_when_to_come_again(service: Service) -> None:
    opens = datetime.now(UTC) + timedelta(hours=1)
    campaign_id = service.campaign(opens_at=opens.isoformat(timespec="milliseconds"))

    answer = service.apply(campaign_id, "ann")

    assert _is_problem(answer, 409, "not_open")
    assert answer.body["opens_at"] == opens.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert 3500 < int(answer.headers["retry-after"]) <= 3600


def test_closed(service: Service) -> None:
    campaign_id = service.campaign(closes_at="2020-01-02T00:00:00Z")

    assert _is_problem(service.apply(campaign_id, "ann"), 409, "closed")


def test_pause_and_resume(service: Service) -> None:
    campaign_id = service.campaign()

    paused = service.as_operator("POST", f"/campaigns/{campaign_id}/pause")
    assert (paused.status, paused.body["state"]) == (200, "paused")
    assert _is_problem(service.apply(campaign_id, "ann"), 409, "paused")

    resumed = service.as_operator("POST", f"/campaigns/{campaign_id}/resume")
    assert (resumed.status, resumed.body["state"]) == (200, "open")
    assert service.apply(campaign_id, "ann").status == 202


def test_campaigns_that_nobody_made(service: Service) -> None:
    missing = a_campaign_id()

    assert _is_problem(service.apply(missing, "ann"), 404, "campaign_not_found")
    assert _is_problem(service.call("GET", f"/campaigns/{missing}"), 404, "campaign_not_found")
    for method, path in [("POST", "pause"), ("POST", "resume"), ("GET", "stats"), ("GET", "coupons")]:
        answer = service.as_operator(method, f"/campaigns/{missing}/{path}")
        assert _is_problem(answer, 404, "campaign_not_found")


def test_no_coupon(service: Service) -> None:
    campaign_id = service.campaign()

    answer = service.as_user("GET", f"/campaigns/{campaign_id}/coupons/mine", "ann")

    assert _is_problem(answer, 404, "no_coupon")


def test_anyone_may_look_at_a_campaign(service: Service) -> None:
    campaign_id = service.campaign(name="봄 세일")
    service.apply(campaign_id, "ann")

    answer = service.call("GET", f"/campaigns/{campaign_id}")

    assert answer.status == 200
    assert answer.headers["cache-control"] == "public, max-age=1"
    assert answer.body == {
        "campaign_id": campaign_id,
        "name": "봄 세일",
        "state": "open",
        "capacity": 10,
        "remaining": 9,
        "opens_at": "2020-01-01T00:00:00.000Z",
        "closes_at": "2099-01-01T00:00:00.000Z",
        "version": 1,
    }
    assert answer.headers["etag"] == '"1-open-9"'


def test_capacity_may_change_live_but_not_below_what_is_accepted(service: Service) -> None:
    campaign_id = service.campaign(capacity=2)
    path = f"/campaigns/{campaign_id}"
    service.apply(campaign_id, "ann")
    service.apply(campaign_id, "bob")
    assert _is_problem(service.apply(campaign_id, "carl"), 409, "sold_out")

    below = service.as_operator("PUT", path, campaign_body(capacity=1))
    assert _is_problem(below, 409, "capacity_below_accepted")
    assert service.call("GET", path).body["capacity"] == 2

    raised = service.as_operator("PUT", path, campaign_body(capacity=3, name="Summer sale"))
    assert (raised.status, raised.body["capacity"], raised.body["name"]) == (200, 3, "Summer sale")
    assert service.apply(campaign_id, "carl").body["sequence"] == 3

    eventually(lambda: service.rows(campaign_id), lambda rows: [row[0] for row in rows] == [1, 2, 3])


def test_stats_follow_the_claims_to_the_ledger(service: Service) -> None:
    campaign_id = service.campaign(capacity=5)
    for user in ("ann", "bob"):
        service.apply(campaign_id, user)

    stats = eventually(
        lambda: service.as_operator("GET", f"/campaigns/{campaign_id}/stats").body,
        lambda body: bool(body["issued"] == 2),
    )

    assert {name: stats[name] for name in stats if name != "dead_letters"} == {
        "capacity": 5,
        "accepted": 2,
        "outbox": 0,
        "queued": 0,
        "issued": 2,
        "overflow": 0,
        "oldest_outbox_seconds": 0,
        "refused": {},
        "unavailable": 0,
        "exact": True,
    }
    assert stats["dead_letters"] >= 0


def test_issued_coupons_are_paged(service: Service) -> None:
    campaign_id = service.campaign(capacity=3)
    users = [a_user_id() for _ in range(3)]
    codes = [service.apply(campaign_id, user).body["coupon_code"] for user in users]
    eventually(lambda: service.rows(campaign_id), lambda rows: len(rows) == 3)

    first = service.as_operator("GET", f"/campaigns/{campaign_id}/coupons?limit=2").body
    second = service.as_operator("GET", f"/campaigns/{campaign_id}/coupons?limit=2&after={first['next_after']}").body

    coupons = first["coupons"] + second["coupons"]
    assert [(coupon["sequence"], coupon["user_id"], coupon["coupon_code"]) for coupon in coupons] == list(
        zip([1, 2, 3], users, codes, strict=True)
    )
    assert all(INSTANT.fullmatch(coupon[name]) for coupon in coupons for name in ("accepted_at", "issued_at"))
    assert second["next_after"] is None


def test_campaigns_are_listed_newest_first(service: Service) -> None:
    ids = [service.campaign() for _ in range(3)]

    first = service.as_operator("GET", "/campaigns?limit=2").body
    second = service.as_operator("GET", f"/campaigns?limit=1&after={first['next_after']}").body

    listed = [campaign["campaign_id"] for campaign in first["campaigns"] + second["campaigns"]]
    assert listed == ids[::-1]
    assert first["campaigns"][0]["state"] == "open"


def test_a_change_of_another_operator_is_not_undone_unseen(service: Service) -> None:
    campaign_id = service.campaign()
    path, etag = f"/campaigns/{campaign_id}", {"If-Match": '"1-open-10"'}

    first, again, second = (
        service.as_operator("PUT", path, campaign_body(capacity=capacity), etag) for capacity in (11, 11, 12)
    )

    assert [first.status, again.status] == [200, 200]
    assert _is_problem(second, 412, "version_conflict")
    assert (second.body["current"]["version"], second.body["current"]["capacity"]) == (2, 11)


def test_a_claim_is_looked_up_erased_and_its_campaign_archived(service: Service) -> None:
    campaign_id, user = service.campaign(), a_user_id()
    path = f"/campaigns/{campaign_id}"
    code = service.apply(campaign_id, user).body["coupon_code"]
    eventually(lambda: service.rows(campaign_id), lambda rows: len(rows) == 1)

    found = service.as_operator("GET", f"{path}/coupons/lookup?coupon_code={code}").body
    assert found["ledger"]["user_id"] == found["gate"]["user_id"] == user
    csv = service.as_operator("GET", f"{path}/coupons?limit=1", headers={"Accept": "text/csv"})
    assert csv.text.splitlines()[1].startswith(f'"1","{user}","{code}"')
    assert csv.headers["link"] == '<?after=1&limit=1>; rel="next"'

    assert service.as_operator("POST", f"{path}/erase", {"user_id": user}).status == 200
    assert service.as_operator("GET", f"{path}/coupons").body["coupons"][0]["user_id"].startswith("erased-")
    assert _is_problem(service.as_operator("DELETE", path), 409, "campaign_open")
    service.as_operator("POST", f"{path}/pause")
    assert service.as_operator("DELETE", path).status == 200
    assert _is_problem(service.call("GET", path), 410, "archived")
    assert _is_problem(service.apply(campaign_id, user), 410, "archived")
    events = service.as_operator("GET", f"{path}/events").body["events"]
    assert [event["action"] for event in events] == ["archive", "pause", "erase", "create"]


def test_a_lost_gate_fails_closed(service: Service) -> None:
    campaign_id = service.campaign()
    with service.redis() as client:
        client.delete(*client.keys(f"firstcome:{{{campaign_id}}}:*"))

    answer = service.apply(campaign_id, "ann")

    assert _is_problem(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    shown = service.call("GET", f"/campaigns/{campaign_id}").body
    assert (shown["state"], shown["remaining"]) == ("unavailable", None)
    # Nor does a change of the campaign make a gate that starts again at 1.
    assert _is_problem(service.as_operator("PUT", f"/campaigns/{campaign_id}", campaign_body()), 503, "unavailable")
