"""The one logger. Never logged: user ids, coupon codes, tokens, events."""

from functools import cache

from aws_lambda_powertools import Logger


@cache
def logger() -> Logger:
    """Return the functions' logger: JSON lines, level and service from the POWERTOOLS_ variables."""
    return Logger()
