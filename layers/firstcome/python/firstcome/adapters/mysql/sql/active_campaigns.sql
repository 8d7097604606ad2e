-- Reads all campaigns that are not archived, by id.
SELECT campaign_id, name, capacity, opens_at, closes_at, state, version, created_at, updated_at
FROM campaign
WHERE state IN ('creating', 'active', 'paused')
ORDER BY campaign_id
