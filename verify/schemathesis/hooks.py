"""What a valid request has to keep besides its schema: rules of docs/openapi.yaml that JSON Schema cannot say."""

from datetime import datetime
from typing import Any

import schemathesis

from firstcome.domain.campaign import is_campaign_name

_LAST = "9999-12-30T00:00:00Z"


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """Mend a request that is meant to be valid; what is meant to be wrong stays as it is."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    name = case.operation.definition.raw.get("operationId")
    if name == "putCampaign" and isinstance(case.body, dict):
        case.body = _mended(case.body)
    if name == "lookUpClaim":
        case.query = {"user_id": (case.query or {}).get("user_id", "alice")}


def _mended(body: dict[str, Any]) -> dict[str, Any]:
    """Leave the name what may stand in one, and put the instants in order."""
    allowed = "".join(character for character in body["name"] if is_campaign_name(character))
    first, second = sorted((body["opens_at"], body["closes_at"]), key=_instant)
    return {
        **body,
        "name": allowed or "x",
        "opens_at": first,
        "closes_at": second if _instant(first) < _instant(second) else _LAST,
    }


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text.upper())
