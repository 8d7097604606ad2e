-- Reads events of one campaign, the newest first.
-- campaign_id, the number to start behind, events at most
SELECT campaign_id, at, actor, action, `before`, `after`, event_no
FROM campaign_event
WHERE campaign_id = %s AND event_no < %s
ORDER BY event_no DESC
LIMIT %s
