"""A campaign in the body of a request, with every field that is wrong named."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from firstcome.domain.campaign import CAPACITY_MAX, NAME_MAX, Campaign, is_campaign_name
from firstcome.domain.text import RULE
from firstcome.domain.times import Millis, from_rfc3339

_NOT_UTF_8 = "\ufffd"
"""What API Gateway puts for bytes that are no UTF-8. A name may have this character, escaped."""

_EARLIEST = from_rfc3339("2000-01-01T00:00:00Z")


@dataclass(frozen=True, slots=True)
class Violation:
    """A field of a request that breaks a rule."""

    field: str
    rule: str


@dataclass(frozen=True, slots=True)
class InvalidCampaign:
    """A request that describes no campaign, with every field that is wrong."""

    violations: Sequence[Violation]


def parse_campaign(campaign_id: str, body: str) -> Campaign | InvalidCampaign:
    """Read a campaign from the JSON body of a request, or name every field that is wrong."""
    fields = json_object(body)
    if fields is None:
        return InvalidCampaign([Violation("body", "must be a JSON object in UTF-8 that gives each field once")])
    violations = [Violation(name, rule) for name, (is_valid, rule) in _RULES.items() if not is_valid(fields.get(name))]
    violations += [Violation(str(name)[:64], "is not a field of a campaign") for name in fields if name not in _RULES]
    if not violations and from_rfc3339(fields["closes_at"]) <= from_rfc3339(fields["opens_at"]):
        violations.append(Violation("closes_at", "must be later than opens_at"))
    if violations:
        return InvalidCampaign(violations)
    return Campaign(
        campaign_id=campaign_id,
        name=fields["name"],
        capacity=int(fields["capacity"]),
        opens_at=from_rfc3339(fields["opens_at"]),
        closes_at=from_rfc3339(fields["closes_at"]),
    )


def json_object(body: str) -> dict[str, Any] | None:
    """Read a JSON object; None when the text is something else, or gives a field twice."""
    if _NOT_UTF_8 in body:
        return None
    try:
        fields = json.loads(body, object_pairs_hook=_unambiguous)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a field given twice: two readers of one request could take it for two campaigns."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field is given twice")
    return fields


def _is_capacity(value: Any) -> bool:
    # JSON has one kind of number: 100.0 is the whole number 100, and some clients write it so.
    is_whole = type(value) is int or (type(value) is float and value.is_integer())
    return is_whole and 1 <= value <= CAPACITY_MAX


def _is_instant(value: object) -> bool:
    return _instant_or_none(value) is not None


def _instant_or_none(value: object) -> Millis | None:
    try:
        instant = from_rfc3339(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return instant if instant is not None and instant >= _EARLIEST else None


_INSTANT_RULE = "must be an RFC 3339 date-time from the year 2000 on, such as 2026-11-23T09:00:00.000Z"

_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (is_campaign_name, f"must be 1 to {NAME_MAX} {RULE}"),
    "capacity": (_is_capacity, f"must be a whole number from 1 to {CAPACITY_MAX:,}"),
    "opens_at": (_is_instant, _INSTANT_RULE),
    "closes_at": (_is_instant, _INSTANT_RULE),
}
