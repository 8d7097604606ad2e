"""Issued coupons as CSV (RFC 4180), for programs and for spreadsheets, which would run some cells as formulas."""

import csv
import io
from collections.abc import Sequence

from firstcome.domain.claim import IssuedCoupon
from firstcome.representation import coupon_body

_COLUMNS = ("sequence", "user_id", "coupon_code", "accepted_at", "issued_at")

# https://owasp.org/www-community/attacks/CSV_Injection, with the wide forms, which some spreadsheets take too. And the
# mark itself, so that taking one away always gives back what was there.
_MARKED = tuple("=+-@＝＋－＠'")  # noqa: RUF001


def harmless(text: str) -> str:
    """Put a ' before a text that a spreadsheet would run as a formula."""
    return f"'{text}" if text.lstrip().startswith(_MARKED) else text


def coupons_as_csv(coupons: Sequence[IssuedCoupon]) -> str:
    """Write coupons, one to a line, below a line of the columns' names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    for coupon in coupons:
        writer.writerow(coupon_body(coupon) | {"user_id": harmless(coupon.claim.user_id)})
    return text.getvalue()
