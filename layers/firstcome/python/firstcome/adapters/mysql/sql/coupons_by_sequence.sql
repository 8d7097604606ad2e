-- Reads back the rows of some seats of one campaign.
-- campaign_id, sequences (a list)
SELECT sequence, user_id, coupon_code
FROM coupon
WHERE campaign_id = %s AND sequence IN %s
