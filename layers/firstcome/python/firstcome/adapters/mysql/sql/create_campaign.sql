-- Adds a campaign; leaves one that is there alone.
-- campaign_id, name, capacity, opens_at, closes_at (DATETIME, UTC), state
INSERT IGNORE INTO campaign (campaign_id, name, capacity, opens_at, closes_at, state, created_at, updated_at)
VALUES
(%s, %s, %s, %s, %s, %s, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))
