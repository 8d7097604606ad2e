"""(e') A script keyed by user, then a direct insert. Exact while nothing fails between the two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.rivals.rival import Apply, Campaign, Rival
from bench.rivals.tables import insert_coupon

if TYPE_CHECKING:
    from bench.harness.servers import Servers

# KEYS[1] counter, KEYS[2] hash: user -> number; ARGV[1] user, ARGV[2] capacity. Returns 1 for a new number.
_SCRIPT = """
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return 0 end
if tonumber(redis.call('GET', KEYS[1]) or 0) >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], redis.call('INCR', KEYS[1]))
return 1
"""


def connect(servers: Servers, campaign: Campaign) -> Apply:
    """Open both connections."""
    cursor = servers.connect_to_mysql(autocommit=True).cursor()
    client = servers.connect_to_redis()
    script = str(client.script_load(_SCRIPT))
    counter, numbers = (f"rival:{{{campaign.campaign_id}}}:{name}" for name in ("counter", "numbers"))

    def apply(user_id: str) -> bool:
        is_new = client.evalsha(script, 2, counter, numbers, user_id, str(campaign.capacity))
        return bool(is_new) and insert_coupon(cursor, campaign, user_id)

    return apply


RIVAL = Rival("e'", "script keyed by user, then INSERT", connect)
