-- Reads the rows that some users of one campaign have.
-- campaign_id, user_ids (a list)
SELECT sequence, user_id, coupon_code
FROM coupon
WHERE campaign_id = %s AND user_id IN %s
