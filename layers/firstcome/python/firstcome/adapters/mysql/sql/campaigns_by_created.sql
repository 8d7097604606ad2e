-- Reads campaigns, the newest first, from behind a given one; from the newest on when that one is NULL.
-- after: campaign_id or NULL; state and q (part of id or name): empty for any; limit
SELECT campaign_id, name, capacity, opens_at, closes_at, state, version, created_at, updated_at
FROM campaign
WHERE %(state)s IN ('', state)
  AND (LOCATE(LOWER(%(q)s), CONVERT(campaign_id USING utf8mb4) COLLATE utf8mb4_bin) > 0
       OR LOCATE(LOWER(%(q)s), LOWER(name) COLLATE utf8mb4_bin) > 0)
  AND (%(after)s IS NULL
       OR (created_at, campaign_id) < (SELECT created_at, campaign_id FROM campaign WHERE campaign_id = %(after)s))
ORDER BY created_at DESC, campaign_id DESC
LIMIT %(limit)s
