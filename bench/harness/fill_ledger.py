"""Fills a campaign of the ledger with coupons that MySQL itself makes up: ten million in minutes.

`python -m bench.harness.fill_ledger CAMPAIGN COUPONS` fills the ledger that the functions' MYSQL_ variables name. The
campaign must be there; coupons that it has stay.
"""

from __future__ import annotations

import sys
import zlib

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from firstcome.adapters.mysql.connect import connect
from firstcome.settings import MysqlSettings

CHUNK = 100_000
"""Coupons per transaction, in the order of their key."""

_FILL = """
INSERT IGNORE INTO coupon (campaign_id, sequence, user_id, coupon_code, accepted_at)
WITH RECURSIVE number AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM number WHERE n < 999)
SELECT %(campaign_id)s, sequence, CONCAT('filler-', LPAD(sequence, 8, '0')),
       CONCAT(LPAD(%(salt)s, 7, '0'), LPAD(sequence, 9, '0')),
       '2026-11-23 09:00:00' + INTERVAL sequence * 1000 MICROSECOND
FROM (SELECT %(first)s + hundreds.n * 1000 + units.n AS sequence
      FROM number AS hundreds CROSS JOIN number AS units
      WHERE hundreds.n < 100) AS made
WHERE sequence <= %(last)s
ORDER BY sequence
"""

_COUNT = """
INSERT INTO coupon_count (campaign_id, range_no, issued)
SELECT campaign_id, (sequence - 1) DIV 10000 AS number, COUNT(*)
FROM coupon
WHERE campaign_id = %s
GROUP BY campaign_id, number
ON DUPLICATE KEY UPDATE issued = VALUES(issued)
"""


def fill(connection: Connection[Cursor], campaign_id: str, coupons: int) -> None:
    """Give a campaign the coupons 1 to `coupons`, of made-up users; may be repeated."""
    salt = zlib.crc32(campaign_id.encode()) % 10**7
    with connection.cursor() as cursor:
        for first in range(1, coupons + 1, CHUNK):
            values = {"campaign_id": campaign_id, "salt": salt, "first": first, "last": min(first + CHUNK - 1, coupons)}
            cursor.execute(_FILL, values)
            connection.commit()
        cursor.execute(_COUNT, (campaign_id,))
    connection.commit()


if __name__ == "__main__":
    with connect(MysqlSettings.from_env()) as opened:
        fill(opened, sys.argv[1], int(sys.argv[2]))
