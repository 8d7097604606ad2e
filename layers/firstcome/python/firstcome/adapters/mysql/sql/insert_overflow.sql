-- Keeps claims that found no seat; a duplicate is a no-op. Sent as one statement of many rows.
-- Per row: campaign_id, user_id, coupon_code, sequence, accepted_at (DATETIME, UTC), reason
INSERT IGNORE INTO overflow (campaign_id, user_id, coupon_code, sequence, accepted_at, reason)
VALUES (%s, %s, %s, %s, %s, %s)
ON DUPLICATE KEY UPDATE reason = VALUES(reason), seated_at = NULL
