-- Reads one campaign.
-- campaign_id
SELECT campaign_id, name, capacity, opens_at, closes_at, state, version, created_at, updated_at
FROM campaign
WHERE campaign_id = %s
