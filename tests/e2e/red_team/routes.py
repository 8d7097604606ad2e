"""Every route of docs/openapi.yaml, and who may call it: a route that is added there is attacked here by itself."""

from dataclasses import dataclass
from enum import StrEnum, auto

from tests.e2e.conftest import campaign_body
from tests.unit.documentation import document, operations


class Caller(StrEnum):
    """Who may call a route."""

    ANYBODY = auto()
    USER = auto()
    OPERATOR = auto()


@dataclass(frozen=True)
class Route:
    method: str
    template: str
    caller: Caller

    def __str__(self) -> str:
        return f"{self.method} {self.template}"

    def path(self, campaign_id: str, file: str = "style.css") -> str:
        return self.template.replace("{campaign_id}", campaign_id).replace("{file}", file)

    @property
    def body(self) -> dict[str, object] | None:
        """What a request must have to succeed."""
        return campaign_body() if self.method == "PUT" else None


def _caller(security: list[dict[str, list[str]]]) -> Caller:
    if not security:
        return Caller.ANYBODY
    return Caller.OPERATOR if any(security[0].values()) else Caller.USER


def _routes() -> list[Route]:
    default, found = document()["security"], []
    for key, operation in operations().items():
        method, template = key.split(" ", 1)
        found.append(Route(method, template, _caller(operation.get("security", default))))
    return found


ROUTES = _routes()
PROTECTED = [route for route in ROUTES if route.caller is not Caller.ANYBODY]
OPERATORS = [route for route in ROUTES if route.caller is Caller.OPERATOR]
PUBLIC = [route for route in ROUTES if route.caller is Caller.ANYBODY]
OF_A_CAMPAIGN = [route for route in ROUTES if "{campaign_id}" in route.template]
WITH_A_BODY = [route for route in ROUTES if route.method != "GET"]
