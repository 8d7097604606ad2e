-- Reads campaigns, the newest first, from behind a given one; from the newest on when that one is NULL.
-- campaign_id or NULL, campaign_id, campaigns at most
SELECT campaign_id, name, capacity, opens_at, closes_at, state, created_at, updated_at
FROM campaign
WHERE %s IS NULL
   OR (created_at, campaign_id) < (SELECT created_at, campaign_id FROM campaign WHERE campaign_id = %s)
ORDER BY created_at DESC, campaign_id DESC
LIMIT %s
