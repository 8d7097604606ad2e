"""ConsoleFunction: the pages' files, their headers, and no way to any other file."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firstcome.domain.errors import SettingsError
from firstcome.settings import ConsoleSettings
from functions.console import app
from tests.unit import documentation
from tests.unit.api_events import an_event, code_of, without_token

_CONSOLE, _FILE, _CLAIM = app._ROUTES
_KILOBYTES_MAX = 150
_HTML_FROM_TEXT = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function"

_ENVIRONMENT = {
    "OIDC_ISSUER": "https://issuer.example/pool",
    "OIDC_AUDIENCE": "firstcome",
    "OIDC_SCOPES": "openid",
    "OIDC_ORIGINS": "https://signin.example https://more.example/x",
}


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("OIDC_CLIENT_ID", "OIDC_OPERATOR_ISSUER", "OIDC_OPERATOR_CLIENT_ID", "RUNBOOK_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in _ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    _forget()
    yield
    _forget()


def _forget() -> None:
    app._page.cache_clear()
    app._security_headers.cache_clear()


def _get(route: str, file: str | None = None, campaign_id: str = "demo", **headers: str) -> dict[str, Any]:
    event = without_token(an_event(route, campaign_id=campaign_id))
    event["headers"] |= headers
    if file is not None:
        event["pathParameters"] = {"file": file}
    answer: dict[str, Any] = app.lambda_handler(event, None)
    documentation.check(route, answer)
    return answer


def _all_files() -> list[dict[str, Any]]:
    return [_get(_CONSOLE), _get(_CLAIM), *(_get(_FILE, name) for name in sorted(app._FILES))]


def test_every_page_and_file_is_there_with_the_same_guards() -> None:
    for answer in _all_files():
        headers = answer["headers"]
        assert answer["statusCode"] == 200
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "public, max-age=60"


def test_the_console_says_something_before_its_scripts_arrive() -> None:
    assert re.search(r"<main [^>]*>.*Loading.*</main>", _get(_CONSOLE)["body"])


def test_a_page_runs_its_own_scripts_and_talks_to_the_api_and_the_issuer_only() -> None:
    policy = dict(part.split(" ", 1) for part in _get(_CONSOLE)["headers"]["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self' https://issuer.example https://signin.example https://more.example",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("style.css", "text/css; charset=utf-8"),
        ("claim.js", "text/javascript; charset=utf-8"),
        ("signed-in.html", "text/html; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
        ("config.json", "application/json"),
    ],
)
def test_a_file_has_its_type(name: str, content_type: str) -> None:
    assert _get(_FILE, name)["headers"]["Content-Type"] == content_type


def test_the_list_of_files_is_what_is_in_the_folder(repository: Path) -> None:
    found = {path.name for path in (repository / "functions/console/pages").iterdir()}
    assert found == (app._FILES - {"config.json"}) | {"console.html", "claim.html"}


@pytest.mark.parametrize(
    "name",
    [
        "app.py",
        "../app.py",
        "..%2fapp.py",
        "%2e%2e/app.py",
        "..\\app.py",
        "pages/style.css",
        "/etc/passwd",
        "style.css/",
        "style.css\x00.html",
        "STYLE.CSS",
        "console.html",
        "",
        ".",
        "..",
    ],
)
def test_no_other_name_leads_to_a_file(name: str) -> None:
    answer = _get(_FILE, name)
    assert (answer["statusCode"], code_of(answer)) == (404, "file_not_found")


def test_a_file_without_a_name_is_not_there() -> None:
    assert _get(_FILE)["statusCode"] == 404


def test_the_claim_page_of_an_impossible_campaign_is_refused() -> None:
    answer = _get(_CLAIM, campaign_id="De Mo")
    assert (answer["statusCode"], code_of(answer)) == (400, "invalid_campaign_id")


def test_the_claim_page_is_the_same_for_all_campaigns_so_that_a_cache_can_hold_it() -> None:
    assert _get(_CLAIM, campaign_id="a")["headers"]["ETag"] == _get(_CLAIM, campaign_id="b")["headers"]["ETag"]


@pytest.mark.parametrize("form", ["{}", "W/{}", '"0", {}'])
def test_what_the_browser_has_is_not_sent_again(form: str) -> None:
    etag = _get(_CONSOLE)["headers"]["ETag"]
    answer = _get(_CONSOLE, **{"if-none-match": form.format(etag)})
    assert answer["statusCode"] == 304
    assert "body" not in answer
    assert answer["headers"]["ETag"] == etag


def test_what_has_changed_is_sent() -> None:
    assert _get(_CONSOLE, **{"if-none-match": '"0"'})["statusCode"] == 200


def test_files_of_different_content_have_different_tags() -> None:
    tags = [answer["headers"]["ETag"] for answer in _all_files()]
    assert len(set(tags)) == len(tags)


def test_the_pages_are_told_how_to_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(_get(_FILE, "config.json")["body"]) == {
        "issuer": "https://issuer.example/pool",
        "client_id": "firstcome",
        "operator_issuer": "https://issuer.example/pool",
        "operator_client_id": "firstcome",
        "audience": "firstcome",
        "scopes": "openid",
        "operator_scope": "firstcome/operator",
        "runbook_url": "",
    }
    monkeypatch.setenv("OIDC_CLIENT_ID", "pages")
    _forget()
    told = json.loads(_get(_FILE, "config.json")["body"])
    assert (told["client_id"], told["operator_client_id"]) == ("pages", "pages")


def test_operators_may_have_an_issuer_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OIDC_OPERATOR_ISSUER", "https://operators.example/pool")
    monkeypatch.setenv("OIDC_OPERATOR_CLIENT_ID", "console")

    answer = _get(_FILE, "config.json")

    told = json.loads(answer["body"])
    assert (told["issuer"], told["client_id"]) == ("https://issuer.example/pool", "firstcome")
    assert (told["operator_issuer"], told["operator_client_id"]) == ("https://operators.example/pool", "console")
    allowed = "'self' https://issuer.example https://operators.example https://signin.example https://more.example;"
    assert f"connect-src {allowed}" in answer["headers"]["Content-Security-Policy"]


@pytest.mark.parametrize("name", ["OIDC_ISSUER", "OIDC_AUDIENCE", "OIDC_SCOPES"])
def test_a_missing_setting_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        ConsoleSettings.from_env({known: value for known, value in _ENVIRONMENT.items() if known != name})


@pytest.mark.parametrize("name", ["OIDC_ISSUER", "OIDC_OPERATOR_ISSUER", "OIDC_ORIGINS", "RUNBOOK_URL"])
@pytest.mark.parametrize(
    "text", ["https://x;script-src", "javascript:alert(1)", "https://x\r\nX-Y:1", "https://'x'", "*"]
)
def test_an_address_cannot_widen_the_policy(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name):
        ConsoleSettings.from_env({**_ENVIRONMENT, name: text})


def test_without_its_settings_it_answers_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OIDC_ISSUER")
    answer = _get(_CONSOLE)
    assert (answer["statusCode"], code_of(answer)) == (503, "unavailable")


@pytest.mark.parametrize("route", [_CONSOLE, _FILE, _CLAIM])
def test_a_large_body_is_refused(route: str) -> None:
    event = {**without_token(an_event(route, body="x" * 10_001))}
    answer = app.lambda_handler(event, None)
    documentation.check(route, answer)
    assert answer["statusCode"] == 413


@pytest.mark.parametrize(
    ("route", "own"), [(_CONSOLE, set[int]()), (_FILE, {404}), (_CLAIM, {400})], ids=["console", "file", "claim"]
)
def test_every_documented_status_is_answered_here_or_by_the_gateway(route: str, own: set[int]) -> None:
    assert set(documentation.responses(route)) == {200, 304, 413, 503} | own | {429, 500}
    operation = documentation.operations()[route]
    assert (operation["security"], operation["tags"]) == ([], ["Pages"])


def test_all_of_it_is_small() -> None:
    assert sum(len(answer["body"].encode()) for answer in _all_files()) < _KILOBYTES_MAX * 1000


def test_the_pages_need_nothing_from_another_host_and_no_inline_script(repository: Path) -> None:
    for path in (repository / "functions/console/pages").iterdir():
        text = path.read_text(encoding="utf-8")
        for address in re.findall(r"https?://[^\s\"'`<>]+", text):
            assert address == "http://www.w3.org/2000/svg", (path.name, address)
        if path.suffix == ".html":
            assert re.findall(r"<script(?! type=\"module\" src=\"[^\"]+\"></script>)", text) == []
            assert " on" not in re.sub(r">[^<]*<", "><", text)
            assert "style=" not in text


def test_no_page_writes_html_from_data(repository: Path) -> None:
    for path in (repository / "functions/console/pages").glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(_HTML_FROM_TEXT, text), path.name
