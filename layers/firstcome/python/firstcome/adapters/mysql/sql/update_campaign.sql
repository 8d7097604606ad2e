-- Changes a campaign.
-- name, capacity, opens_at, closes_at (DATETIME, UTC), state, campaign_id
UPDATE campaign
SET name = %s, capacity = %s, opens_at = %s, closes_at = %s, state = %s, updated_at = UTC_TIMESTAMP(3)
WHERE campaign_id = %s
