-- Changes a campaign that has one of these versions and is not archived.
-- name, capacity, opens_at, closes_at (DATETIME, UTC), state, version, campaign_id, lowest version, highest version
UPDATE campaign
SET name = %s, capacity = %s, opens_at = %s, closes_at = %s, state = %s, version = %s, updated_at = UTC_TIMESTAMP(3)
WHERE campaign_id = %s AND version BETWEEN %s AND %s AND state <> 'archived'
