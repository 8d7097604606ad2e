"""ConsoleFunction: the pages for operators and users. It reads its own folder, and reaches nothing."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from firstcome import http_api
from firstcome.http_api import OPERATOR_SCOPE, Answer, Event, ProblemError, Request
from firstcome.settings import ConsoleSettings

_FOLDER = Path(__file__).parent / "pages"

_CONSOLE = "console.html"
_CLAIM = "claim.html"
_CONFIG = "config.json"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}

_FILES = {_CONFIG} | {path.name for path in _FOLDER.iterdir()} - {_CONSOLE, _CLAIM}
"""What `/console/{file}` gives. A name is looked up here and nowhere else, so no path leads out of the folder."""

_CACHE_CONTROL = "public, max-age=60"
"""Short, since a file keeps its name when it changes; long enough for a cache in front to take a rush of visitors."""


@dataclass(frozen=True, slots=True)
class _Page:
    """A file as it is sent."""

    content_type: str
    body: str
    etag: str


def lambda_handler(event: Event, context: Any) -> Answer:  # noqa: ARG001 - Lambda's signature
    """Answer one request of the HTTP API."""
    return http_api.route(event, _ROUTES)


def _console(request: Request) -> Answer:
    return _answer(request, _CONSOLE)


def _claim(request: Request) -> Answer:
    # The same page for all campaigns: it reads its own address. Asked for, so that an impossible one is refused.
    _ = request.campaign_id
    return _answer(request, _CLAIM)


def _file(request: Request) -> Answer:
    name = (request.event.get("pathParameters") or {}).get("file")
    if name not in _FILES:
        raise ProblemError(http_api.problem(HTTPStatus.NOT_FOUND, "file_not_found", "the console has no such file"))
    return _answer(request, str(name))


def _answer(request: Request, name: str) -> Answer:
    page = _page(name)
    headers = {**_security_headers(), "Cache-Control": _CACHE_CONTROL, "ETag": page.etag}
    if page.etag in request.etags("if-none-match"):
        return {"statusCode": int(HTTPStatus.NOT_MODIFIED), "headers": headers}
    return {
        "statusCode": int(HTTPStatus.OK),
        "headers": {**headers, "Content-Type": page.content_type},
        "body": page.body,
    }


@cache
def _page(name: str) -> _Page:
    body = _config() if name == _CONFIG else (_FOLDER / name).read_text(encoding="utf-8")
    digest = hashlib.sha256(body.encode()).hexdigest()[:32]
    return _Page(_TYPES[Path(name).suffix], body, f'"{digest}"')


def _config() -> str:
    """Write what the pages need to sign in; nothing in it is a secret."""
    settings = asdict(ConsoleSettings.from_env())
    del settings["origins"]
    return json.dumps({**settings, "operator_scope": OPERATOR_SCOPE})


@cache
def _security_headers() -> dict[str, str]:
    """Let a page run its own files only, talk to the API and the issuer only, and stand in no frame."""
    origins = " ".join(ConsoleSettings.from_env().origins)
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src 'self' {origins}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


_ROUTES = {
    "GET /console": _console,
    "GET /console/{file}": _file,
    "GET /campaigns/{campaign_id}/claim": _claim,
}
