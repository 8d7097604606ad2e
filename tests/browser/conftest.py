"""A real browser on the deployed stack, what every page must keep to, and the pictures of the README.

`SCREENSHOTS=docs/images` writes a picture of each state that a test shows.
"""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from local.services.programs import find_program
from tests.e2e.conftest import OPERATOR, Service

# Root has no sandbox; the rest keeps the browser from looking for hosts of its own.
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PATIENCE_MS = 60_000
PHONE = {"width": 390, "height": 780}

_WEIGHTY = {"serious", "critical"}


@dataclass
class Visitors:
    """Opens pages, each as a visitor with a browser of their own, and notes what no page may do."""

    browser: Browser
    service: Service
    contexts: list[BrowserContext] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def visitor(self, script: str = "", **options: Any) -> Page:
        """Open an empty page; `script` runs in it before any other."""
        settings = {"locale": "en-GB", "timezone_id": "Asia/Seoul", "viewport": {"width": 1000, "height": 900}}
        context = self.browser.new_context(**{**settings, **options})
        context.set_default_timeout(PATIENCE_MS)
        if script:
            context.add_init_script(script)
        self.contexts.append(context)
        context.on("request", lambda request: self._note_host(request.url))
        context.on("weberror", lambda error: self.faults.append(f"error: {error.error}"))
        context.on("console", lambda message: self._note_violation(message.text))
        return context.new_page()

    def operator(self, name: str = "olga") -> Page:
        """Open the console, signed in as an operator."""
        page = self.visitor(self.session("operator", name))
        self.open_console(page)
        expect(page.get_by_role("heading", name="Campaigns")).to_be_visible()
        return page

    def user(self, campaign_id: str, name: str, script: str = "", **options: Any) -> Page:
        """Open a campaign's claim page on a phone, signed in."""
        page = self.visitor(self.session("user", name) + script, viewport=PHONE, **options)
        self.open_claim_page(page, campaign_id)
        expect(page.locator("#who")).to_contain_text(name)
        return page

    def open_console(self, page: Page) -> None:
        """Go to the console."""
        page.goto(f"{self.service.stack.api_url}/console")

    def open_claim_page(self, page: Page, campaign_id: str) -> None:
        """Go to a campaign's claim page."""
        page.goto(f"{self.service.stack.api_url}/campaigns/{campaign_id}/claim")

    def session(self, role: str, name: str) -> str:
        """Write a script that signs in without asking the issuer; a few tests do ask it, see `sign_in`."""
        scope = OPERATOR if role == "operator" else None
        hour = 3_600_000
        session = {"access_token": self.service.token(name, scope=scope), "refresh_token": "", "user": name}
        return f"""{{
            const [key, session] = {json.dumps([f"firstcome.session.{role}", session])};
            if (location.protocol === "http:" && !sessionStorage.getItem(key)) {{
                sessionStorage.setItem(key, JSON.stringify({{...session, expires_at: Date.now() + {hour}}}));
            }}
        }}"""

    def _note_host(self, url: str) -> None:
        if urlsplit(url).hostname not in {"127.0.0.1", None}:
            self.faults.append(f"request to {url}")

    def _note_violation(self, text: str) -> None:
        if "Content Security Policy" in text:
            self.faults.append(text)


def sign_in(page: Page, name: str) -> None:
    """Press the page's button, and say a name to the local issuer."""
    page.locator("main").get_by_role("button", name="Sign in").or_(
        page.locator("main").get_by_role("button", name="로그인")
    ).click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Sign in").click()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for a module: Playwright keeps an event loop running for as long as it is open."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=find_program("chromium"), args=_ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def visitors(browser: Browser, service: Service) -> Iterator[Visitors]:
    """Visitors, who leave after the test."""
    made = Visitors(browser, service)
    yield made
    for context in made.contexts:
        context.close()
    assert made.faults == []


@pytest.fixture
def is_fine(repository: Path) -> Callable[[Page, str], None]:
    """Return a check that everybody can use the page as it is now; it also takes the picture of that name."""

    def check(page: Page, name: str) -> None:
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme)
            # Once the last state has been painted.
            page.evaluate("() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
            assert _weighty_faults(page) == [], f"{name}, {scheme}"
        folder = os.environ.get("SCREENSHOTS")
        if folder:
            # A dialog alone: behind it are the campaigns of all tests.
            dialog = page.locator("dialog")
            shown = dialog if dialog.count() else page
            shown.screenshot(path=repository / folder / f"{name}.png", animations="disabled")

    return check


def _weighty_faults(page: Page) -> list[tuple[str, list[str]]]:
    page.evaluate(_axe())
    found = page.evaluate("() => axe.run()")["violations"]
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found if rule["impact"] in _WEIGHTY]


@cache
def _axe() -> str:
    return (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
