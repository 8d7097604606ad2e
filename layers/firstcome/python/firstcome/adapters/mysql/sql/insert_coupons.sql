-- Writes claims; a row that breaks a key is left out without an error, so that a duplicate delivery is a no-op. Unless all
-- were written, what is there is read back in the same transaction. Sent as one statement of many rows.
-- Per row: campaign_id, sequence, user_id, coupon_code, accepted_at (DATETIME, UTC)
INSERT IGNORE INTO coupon (campaign_id, sequence, user_id, coupon_code, accepted_at)
VALUES (%s, %s, %s, %s, %s)
