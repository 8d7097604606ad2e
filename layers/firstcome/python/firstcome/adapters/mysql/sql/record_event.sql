-- Adds an event behind the last one, unless it is there.
-- campaign_id, at (DATETIME, UTC), actor, action, before, after (JSON or NULL)
INSERT INTO campaign_event (campaign_id, event_no, at, actor, action, `before`, `after`)
SELECT %(campaign_id)s, COALESCE(MAX(event_no), 0) + 1, %(at)s, %(actor)s, %(action)s, %(before)s, %(after)s
FROM campaign_event
WHERE campaign_id = %(campaign_id)s
HAVING COUNT(CASE WHEN at = %(at)s AND actor = %(actor)s AND action = %(action)s THEN 1 END) = 0
