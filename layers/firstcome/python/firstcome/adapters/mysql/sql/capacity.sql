-- Reads a campaign's capacity within the transaction that writes its coupons.
-- campaign_id
SELECT capacity FROM campaign WHERE campaign_id = %s
