"""The claim page, as a user meets it on a phone: one button, one answer."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import PHONE, Visitors, sign_in
from tests.e2e.conftest import Service, campaign_body, eventually
from tests.factories import a_campaign_id

type Check = Callable[[Page, str], None]

_CLAIM = "Claim my coupon"
_SESSION = "firstcome.session.user"


def _claim(page: Page) -> None:
    button = page.get_by_role("button", name=_CLAIM)
    expect(button).to_have_attribute("aria-disabled", "false")
    button.click()


def _code(page: Page) -> str:
    expect(page.locator("#code")).to_be_visible()
    return page.locator("#code").text_content() or ""


def _message(page: Page, text: str) -> None:
    expect(page.get_by_role("status")).to_contain_text(text)


def _soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


# A phone whose clock is an hour off shows the same countdown: the server's clock counts.
@pytest.mark.parametrize("skew_ms", [0, 3_600_000, -3_600_000])
def test_it_counts_down_opens_gives_a_coupon_and_shows_the_same_after_a_reload(
    visitors: Visitors, service: Service, is_fine: Check, skew_ms: int
) -> None:
    skew = f"{{ const now = Date.now; Date.now = () => now() + {skew_ms}; }}" if skew_ms else ""
    page = visitors.user(service.campaign(), "ann", skew)
    campaign_id = service.campaign(opens_at=_soon(12))

    visitors.open_claim_page(page, campaign_id)
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"^00:00:(0\d|1[0-3])$"))
    expect(page.get_by_role("button", name=_CLAIM)).to_have_attribute("aria-disabled", "true")
    if not skew_ms:
        is_fine(page, "claim-not-open")
    place = page.get_by_role("button", name=_CLAIM).bounding_box()
    expect(page.get_by_role("button", name=_CLAIM)).to_have_attribute("aria-disabled", "false")
    assert page.get_by_role("button", name=_CLAIM).bounding_box() == place
    _claim(page)

    code = _code(page)
    _message(page, "It is yours")
    if not skew_ms:
        is_fine(page, "claim-claimed")
    page.reload()
    assert _code(page) == code
    rows = eventually(lambda: service.rows(campaign_id), lambda rows: len(rows) == 1)
    assert rows == [(1, "ann", code)]


def test_an_open_campaign(visitors: Visitors, service: Service, is_fine: Check) -> None:
    page = visitors.user(service.campaign(), "ann")
    expect(page.get_by_role("button", name=_CLAIM)).to_have_attribute("aria-disabled", "false")
    expect(page.get_by_text("10 of 10 coupons left")).to_be_visible()
    is_fine(page, "claim-open")


def test_the_opening_is_far_away(visitors: Visitors, service: Service, is_fine: Check) -> None:
    page = visitors.visitor(viewport=PHONE)
    visitors.open_claim_page(page, service.campaign(opens_at=_soon(3 * 86_400 + 7200)))
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"^3 days 0[12]:\d\d:\d\d$"))
    expect(page.get_by_text("Opens in", exact=True)).to_be_visible()
    expect(page.get_by_text("Opens on")).to_contain_text("Korean Standard Time")
    _message(page, "Sign in now")
    is_fine(page, "claim-early")


def test_sold_out(visitors: Visitors, service: Service, is_fine: Check) -> None:
    campaign_id = service.campaign(capacity=1)
    page = visitors.user(campaign_id, "ann")
    expect(page.get_by_role("button", name=_CLAIM)).to_have_attribute("aria-disabled", "false")
    service.apply(campaign_id, "bob")
    _claim(page)

    _message(page, "you didn't get one this time")
    expect(page.get_by_role("button")).to_have_count(0)
    is_fine(page, "claim-sold-out")
    page.reload()
    _message(page, "All coupons are gone")


def test_who_has_a_coupon_of_a_sold_out_campaign_sees_it_after_signing_in(visitors: Visitors, service: Service) -> None:
    campaign_id = service.campaign(capacity=1)
    code = service.apply(campaign_id, "ann").body["coupon_code"]
    page = visitors.visitor()
    visitors.open_claim_page(page, campaign_id)
    _message(page, "All coupons are gone")
    sign_in(page, "ann")

    assert _code(page) == code


def test_paused_then_resumed(visitors: Visitors, service: Service, is_fine: Check) -> None:
    campaign_id = service.campaign()
    page = visitors.user(campaign_id, "ann")
    expect(page.get_by_role("button", name=_CLAIM)).to_have_attribute("aria-disabled", "false")
    service.as_operator("POST", f"/campaigns/{campaign_id}/pause")
    _claim(page)

    _message(page, "paused")
    expect(page.get_by_role("button", name=_CLAIM)).to_have_attribute("aria-disabled", "true")
    is_fine(page, "claim-paused")
    service.as_operator("POST", f"/campaigns/{campaign_id}/resume")
    _claim(page)
    _code(page)


def test_the_gate_is_down_and_the_wish_is_kept_until_it_is_back(
    visitors: Visitors, service: Service, is_fine: Check
) -> None:
    campaign_id = service.campaign()
    page = visitors.user(campaign_id, "ann")
    expect(page.get_by_role("button", name=_CLAIM)).to_have_attribute("aria-disabled", "false")
    with service.redis() as client:
        client.delete(*client.keys(f"firstcome:{{{campaign_id}}}:*"))
    _claim(page)

    _message(page, "Your request is repeated automatically")
    is_fine(page, "claim-503")
    rebuilt = eventually(
        lambda: service.as_operator("POST", f"/campaigns/{campaign_id}/rebuild"), lambda answer: answer.status != 409
    )
    assert rebuilt.status == 200

    code = _code(page)
    rows = eventually(lambda: service.rows(campaign_id), lambda rows: len(rows) == 1)
    assert rows == [(1, "ann", code)]


def test_an_answer_lost_on_the_way_is_asked_for_again_and_is_the_same(visitors: Visitors, service: Service) -> None:
    campaign_id = service.campaign()
    page = visitors.user(campaign_id, "ann")
    lost: list[str] = []

    def lose_the_first(route: Route) -> None:
        if lost:
            route.continue_()
        else:
            lost.append(route.fetch().json()["coupon_code"])
            route.abort("connectionreset")

    page.route("**/coupons", lose_the_first)
    _claim(page)

    assert [_code(page)] == lost
    rows = eventually(lambda: service.rows(campaign_id), lambda rows: len(rows) == 1)
    assert rows == [(1, "ann", lost[0])]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_it_asks_again_by_itself_and_not_before_it_was_told_to(
    visitors: Visitors, service: Service, status: int
) -> None:
    page = visitors.user(service.campaign(), "ann")
    tries: list[float] = []

    def answer(route: Route) -> None:
        tries.append(time.monotonic())
        if len(tries) > 2:
            route.continue_()
        else:
            route.fulfill(status=status, headers={"Retry-After": "1"}, json={"message": "no"})

    page.route("**/coupons", answer)
    _claim(page)

    _code(page)
    assert len(tries) == 3
    assert all(later - sooner >= 1 for sooner, later in zip(tries, tries[1:], strict=False))


def test_the_device_is_offline_and_comes_back(visitors: Visitors, service: Service, is_fine: Check) -> None:
    page = visitors.user(service.campaign(), "ann")
    expect(page.get_by_role("button", name=_CLAIM)).to_have_attribute("aria-disabled", "false")
    page.context.set_offline(True)
    _claim(page)

    _message(page, "no connection")
    is_fine(page, "claim-offline")
    page.context.set_offline(False)
    _code(page)


def test_pressing_twice_asks_once(visitors: Visitors, service: Service) -> None:
    page = visitors.user(service.campaign(), "ann")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    expect(page.get_by_role("button", name=_CLAIM)).to_have_attribute("aria-disabled", "false")
    page.evaluate("() => { const button = document.getElementById('action'); button.click(); button.click(); }")

    _code(page)
    assert len(asked) == 1


def test_the_keyboard_is_enough(visitors: Visitors, service: Service) -> None:
    page = visitors.user(service.campaign(), "ann")
    button = page.get_by_role("button", name=_CLAIM)
    expect(button).to_have_attribute("aria-disabled", "false")
    page.keyboard.press("Tab")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")

    _code(page)


def test_it_speaks_korean_to_a_korean_browser(visitors: Visitors, service: Service, is_fine: Check) -> None:
    campaign_id = service.campaign(name="봄 세일")
    page = visitors.visitor(viewport=PHONE, locale="ko-KR")
    visitors.open_claim_page(page, campaign_id)
    sign_in(page, "민준")

    expect(page.locator("html")).to_have_attribute("lang", "ko")
    expect(page.get_by_role("heading", name="봄 세일")).to_be_visible()
    button = page.get_by_role("button", name="쿠폰 받기")
    expect(button).to_have_attribute("aria-disabled", "false")
    is_fine(page, "claim-korean")
    button.click()
    _message(page, "쿠폰을 받았습니다")
    assert _code(page) == service.apply(campaign_id, "민준").body["coupon_code"]


def test_a_session_that_ended_asks_to_sign_in_and_goes_on(visitors: Visitors, service: Service, is_fine: Check) -> None:
    campaign_id = service.campaign()
    page = visitors.visitor(viewport=PHONE)
    visitors.open_claim_page(page, campaign_id)
    sign_in(page, "ann")
    expect(page.get_by_role("button", name=_CLAIM)).to_have_attribute("aria-disabled", "false")
    page.evaluate(
        """([key, token]) => {
            const session = JSON.parse(sessionStorage.getItem(key));
            sessionStorage.setItem(key, JSON.stringify({...session, access_token: token, refresh_token: ""}));
        }""",
        [_SESSION, service.token("ann", ttl_seconds=-60)],
    )
    _claim(page)

    _message(page, "Your session has ended")
    is_fine(page, "claim-expired")
    sign_in(page, "ann")
    _claim(page)
    _code(page)


def test_a_campaign_that_nobody_made(visitors: Visitors, service: Service, is_fine: Check) -> None:
    page = visitors.visitor(viewport=PHONE)
    visitors.open_claim_page(page, a_campaign_id())

    _message(page, "no such campaign")
    expect(page.get_by_role("button")).to_have_count(0)
    is_fine(page, "claim-not-found")


def test_a_campaign_that_has_ended(visitors: Visitors, service: Service, is_fine: Check) -> None:
    page = visitors.visitor(viewport=PHONE)
    visitors.open_claim_page(page, service.campaign(closes_at="2020-01-02T00:00:00Z"))

    _message(page, "has ended")
    is_fine(page, "claim-closed")


def test_a_name_is_text_and_never_a_script(visitors: Visitors, service: Service) -> None:
    campaign_id = a_campaign_id()
    name = "<img src=x onerror=alert(1)>"
    assert service.as_operator("PUT", f"/campaigns/{campaign_id}", campaign_body(name=name)).status == 201
    page = visitors.visitor()
    visitors.open_claim_page(page, campaign_id)

    expect(page.get_by_role("heading")).to_have_text(name)
    assert page.locator("main img").count() == 0


def test_a_reload_while_it_is_busy_keeps_the_wish(visitors: Visitors, service: Service) -> None:
    campaign_id = service.campaign()
    page = visitors.user(campaign_id, "ann")
    page.route("**/coupons", lambda route: route.fulfill(status=503, json={"message": "no"}))
    _claim(page)
    _message(page, "Your request is repeated automatically")

    page.unroute("**/coupons")
    page.reload()
    assert _code(page) == service.apply(campaign_id, "ann").body["coupon_code"]


def test_another_user_of_the_same_device_signs_in(visitors: Visitors, service: Service) -> None:
    campaign_id = service.campaign()
    page = visitors.visitor(viewport=PHONE)
    visitors.open_claim_page(page, campaign_id)
    sign_in(page, "ann")
    _claim(page)
    code = _code(page)
    page.get_by_role("link", name="Not you?").click()
    page.wait_for_url("**/authorize?**prompt=login**")
    page.get_by_label("Name").fill("bob")
    page.get_by_role("button", name="Sign in").click()

    expect(page.locator("#who")).to_have_text("Signed in as bob")
    _claim(page)
    assert _code(page) != code


def test_that_the_code_is_copied_is_said_for_a_moment(visitors: Visitors, service: Service) -> None:
    campaign_id = service.campaign()
    code = service.apply(campaign_id, "ann").body["coupon_code"]
    page = visitors.user(campaign_id, "ann", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the code").click()

    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    expect(page.get_by_role("button", name="Copy the code")).to_be_visible()
    assert page.evaluate("() => navigator.clipboard.readText()") == code
