"""Other designs: one small module each, as its author would defend it.

A rival is called with a user and leaves out HTTP: it reads no event and writes no answer, as Firstcome's real handler
does in the same race.
"""

from bench.rivals import (
    bare_incr,
    conditional_update,
    count_insert,
    for_update,
    keyed_script,
    ours,
    redis_lock,
    two_steps_queue,
)
from bench.rivals.rival import Rival

_DESIGNS = (count_insert, for_update, conditional_update, redis_lock, bare_incr, keyed_script, two_steps_queue, ours)

ALL: dict[str, Rival] = {design.RIVAL.key: design.RIVAL for design in _DESIGNS}
