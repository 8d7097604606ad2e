"""(b) Lock the campaign's row, look at what is left, insert, count down, commit. Exact, one user at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.rivals.rival import Apply, Campaign, Rival
from bench.rivals.tables import add_campaign, insert_coupon

if TYPE_CHECKING:
    from bench.harness.servers import Servers

_LOCK = "SELECT remaining FROM rival_campaign WHERE campaign_id = %s FOR UPDATE"
_COUNT_DOWN = "UPDATE rival_campaign SET remaining = remaining - 1 WHERE campaign_id = %s"


def connect(servers: Servers, campaign: Campaign) -> Apply:
    """Open a connection that works in transactions."""
    connection = servers.connect_to_mysql(autocommit=False)
    cursor = connection.cursor()

    def apply(user_id: str) -> bool:
        cursor.execute(_LOCK, (campaign.campaign_id,))
        row = cursor.fetchone()
        if not row or not row[0] or not insert_coupon(cursor, campaign, user_id):
            connection.rollback()
            return False
        cursor.execute(_COUNT_DOWN, (campaign.campaign_id,))
        connection.commit()
        return True

    return apply


RIVAL = Rival("b", "SELECT ... FOR UPDATE, then INSERT", connect, prepare=add_campaign)
