-- Holds a campaign's row, so that only one drain at a time looks for free seats.
-- campaign_id
SELECT campaign_id FROM campaign WHERE campaign_id = %s FOR UPDATE
