-- Keeps claims that found no seat; a duplicate is a no-op. The last row is repeated, one for each claim.
-- Per row: campaign_id, user_id, coupon_code, sequence, accepted_at (DATETIME, UTC), reason
INSERT IGNORE INTO overflow (campaign_id, user_id, coupon_code, sequence, accepted_at, reason, recorded_at)
VALUES
(%s, %s, %s, %s, %s, %s, UTC_TIMESTAMP(3))
