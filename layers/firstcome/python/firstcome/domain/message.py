"""The queue's message: one claim as JSON. Version 1."""

import json
from collections.abc import Callable
from json.encoder import encode_basestring_ascii

from firstcome.domain.campaign import CAPACITY_MAX, is_campaign_id
from firstcome.domain.claim import Claim, is_coupon_code, is_user_id
from firstcome.domain.errors import UnreadableMessageError
from firstcome.domain.times import Millis, from_rfc3339, to_rfc3339

VERSION = 1


def to_body(claim: Claim) -> str:
    """Write a claim as the body of its message.

    Only a user id can hold what JSON escapes. Written out, because a general encoder takes five times the CPU.
    """
    return (
        f'{{"v":{VERSION},"campaign_id":"{claim.campaign_id}","user_id":{encode_basestring_ascii(claim.user_id)},'
        f'"sequence":{claim.sequence},"coupon_code":"{claim.coupon_code}","accepted_at":"{to_rfc3339(claim.accepted_at)}"}}'
    )


def from_body(body: str) -> Claim:
    """Read a claim from the body of its message.

    Raises:
        UnreadableMessageError: the body is not a claim of a version known here; the reason says why.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise UnreadableMessageError("not_json") from exc
    if not isinstance(fields, dict):
        raise UnreadableMessageError("not_an_object")
    if type(fields.get("v")) is not int or fields["v"] != VERSION:
        raise UnreadableMessageError("unknown_version")
    for name, is_valid in _FIELDS.items():
        if name not in fields:
            raise UnreadableMessageError(f"missing_{name}")
        if not is_valid(fields[name]):
            raise UnreadableMessageError(f"invalid_{name}")
    if "accepted_at" not in fields:
        raise UnreadableMessageError("missing_accepted_at")
    return Claim(
        campaign_id=fields["campaign_id"],
        user_id=fields["user_id"],
        sequence=fields["sequence"],
        coupon_code=fields["coupon_code"],
        accepted_at=_to_instant(fields["accepted_at"]),
    )


def _is_sequence(value: object) -> bool:
    return type(value) is int and 1 <= value <= CAPACITY_MAX


def _to_instant(value: object) -> Millis:
    try:
        instant = from_rfc3339(value) if isinstance(value, str) else -1
    except ValueError:
        instant = -1
    if instant < 0:
        raise UnreadableMessageError("invalid_accepted_at")
    return instant


_FIELDS: dict[str, Callable[[object], bool]] = {
    "campaign_id": is_campaign_id,
    "user_id": is_user_id,
    "sequence": _is_sequence,
    "coupon_code": is_coupon_code,
}
