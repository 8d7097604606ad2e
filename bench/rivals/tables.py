"""The rivals' tables, and the statements that most of them share."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bench.rivals.rival import Campaign

if TYPE_CHECKING:
    from pymysql.cursors import Cursor

    from bench.harness.servers import Servers

# One index less than Firstcome's own table, which also keeps each code unique.
SCHEMA = (
    """CREATE TABLE IF NOT EXISTS rival_campaign (
      campaign_id VARCHAR(63) CHARACTER SET ascii NOT NULL PRIMARY KEY,
      capacity    INT UNSIGNED NOT NULL,
      remaining   INT UNSIGNED NOT NULL
    ) ENGINE=InnoDB""",
    """CREATE TABLE IF NOT EXISTS rival_coupon (
      id          BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
      campaign_id VARCHAR(63) CHARACTER SET ascii NOT NULL,
      user_id     VARCHAR(128) CHARACTER SET utf8mb4 NOT NULL,
      coupon_code VARCHAR(32) CHARACTER SET ascii NOT NULL,
      issued_at   DATETIME(3) NOT NULL,
      UNIQUE KEY one_per_user (campaign_id, user_id)
    ) ENGINE=InnoDB""",
)

COUNT = "SELECT COUNT(*) FROM rival_coupon WHERE campaign_id = %s"
# Does nothing for a user who has one already.
INSERT = (
    "INSERT IGNORE INTO rival_coupon (campaign_id, user_id, coupon_code, issued_at)"
    " VALUES (%s, %s, %s, UTC_TIMESTAMP(3))"
)

# Placeholders only: with anything else among them PyMySQL's executemany sends one statement per row.
_INSERT_MANY = INSERT.replace("UTC_TIMESTAMP(3)", "%s")


def make_tables(servers: Servers) -> None:
    """Make the tables; may be repeated."""
    with servers.connect_to_mysql(autocommit=True) as connection, connection.cursor() as cursor:
        for statement in SCHEMA:
            cursor.execute(statement)


def add_campaign(servers: Servers, campaign: Campaign) -> None:
    """Add a campaign's row."""
    values = (campaign.campaign_id, campaign.capacity, campaign.capacity)
    with servers.connect_to_mysql(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO rival_campaign (campaign_id, capacity, remaining) VALUES (%s, %s, %s)", values)


def insert_coupon(cursor: Cursor, campaign: Campaign, user_id: str) -> bool:
    """Give the user a coupon; whether the user had none yet."""
    return cursor.execute(INSERT, (campaign.campaign_id, user_id, new_code())) == 1


def insert_coupons(cursor: Cursor, campaign: Campaign, user_ids: Iterable[str]) -> None:
    """Give many users a coupon each, in one statement."""
    now = datetime.now(UTC).replace(tzinfo=None)
    cursor.executemany(_INSERT_MANY, [(campaign.campaign_id, user_id, new_code(), now) for user_id in user_ids])


def count_coupons(cursor: Cursor, campaign: Campaign) -> int:
    """How many coupons there are."""
    cursor.execute(COUNT, (campaign.campaign_id,))
    row = cursor.fetchone()
    return int(row[0]) if row else 0


def new_code() -> str:
    """A code that cannot be guessed."""
    return secrets.token_hex(8)
