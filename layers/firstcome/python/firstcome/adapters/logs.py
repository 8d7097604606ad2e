"""The one logger. Never logged: user ids, coupon codes, tokens, events."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger


@cache
def logger() -> "Logger":
    """Return the functions' logger: JSON lines, level and service from the POWERTOOLS_ variables."""
    # Imported when there is something to log: the hot path has nothing to say of a request that it can answer.
    from aws_lambda_powertools import Logger  # noqa: PLC0415

    return Logger()
