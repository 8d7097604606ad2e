-- Adds a campaign; leaves one that is there alone.
-- campaign_id, name, capacity, opens_at, closes_at (DATETIME, UTC), state, version
INSERT IGNORE INTO campaign (campaign_id, name, capacity, opens_at, closes_at, state, version)
VALUES (%s, %s, %s, %s, %s, %s, %s)
