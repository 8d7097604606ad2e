"""Instants: milliseconds since the epoch inside, RFC 3339 UTC with milliseconds outside."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

type Millis = int
"""Milliseconds since 1970-01-01T00:00:00Z."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = _EPOCH.replace(tzinfo=None)
# RFC 3339, section 5.6. `fromisoformat` alone would also take bare dates, week dates and times without a zone.
# It also takes an offset of 60 minutes and more, and, in newer versions, the hour 24.
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]([01]\d|2[0-3]):\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:[0-5]\d)", re.ASCII)


# A claim's instant is written twice, into its message and into the answer.
@lru_cache(maxsize=2)
def to_rfc3339(instant: Millis) -> str:
    """Write an instant as `2026-11-23T09:00:00.000Z`."""
    return to_utc_datetime(instant).isoformat(timespec="milliseconds") + "Z"


def from_rfc3339(text: str) -> Millis:
    """Read an RFC 3339 date-time with any offset; digits below the millisecond are cut off.

    Raises:
        ValueError: the text is not an RFC 3339 date-time, or not an instant of the calendar.
    """
    if not _RFC_3339.fullmatch(text):
        raise ValueError("not an RFC 3339 date-time")
    try:
        # Through UTC, because an offset can lead out of the years 1 to 9999.
        return from_datetime(datetime.fromisoformat(text.upper()).astimezone(UTC))
    except OverflowError as exc:
        raise ValueError("not an instant of the calendar") from exc


def to_utc_datetime(instant: Millis) -> datetime:
    """Return the instant as a datetime of UTC without its zone."""
    return _NAIVE_EPOCH + timedelta(milliseconds=instant)


def from_datetime(moment: datetime) -> Millis:
    """Return an aware datetime as milliseconds, rounded down."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000
