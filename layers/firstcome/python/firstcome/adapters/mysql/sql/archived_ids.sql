-- Reads ids of archived campaigns, in order.
-- the id to start behind, ids at most
SELECT campaign_id FROM campaign WHERE state = 'archived' AND campaign_id > %s ORDER BY campaign_id LIMIT %s
