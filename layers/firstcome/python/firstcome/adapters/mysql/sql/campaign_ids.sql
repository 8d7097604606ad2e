-- Reads the ids of all campaigns.
SELECT campaign_id FROM campaign ORDER BY campaign_id
