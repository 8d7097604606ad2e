"""Which texts of others are taken: user ids and campaigns' names."""

import re

RULE = "code points, none of U+0000-001F, U+007F-009F, U+D800-DFFF, U+2028-202E or U+2066-2069"
"""The rule in words, for the messages that quote it."""

# Control characters, half surrogate pairs, line separators and what turns the direction of writing. Written out: what a
# runtime calls printable changes with its Unicode version, and two versions would disagree about one claim.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069]")


def is_text(value: object, most: int) -> bool:
    """Whether the value is a text of 1 to `most` code points, none of them forbidden."""
    return isinstance(value, str) and 1 <= len(value) <= most and _FORBIDDEN.search(value) is None
