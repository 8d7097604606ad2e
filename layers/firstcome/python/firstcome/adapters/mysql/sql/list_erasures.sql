-- Reads the erasures of one campaign, by coupon code.
-- campaign_id
SELECT sequence, coupon_code, pseudonym FROM erasure WHERE campaign_id = %s ORDER BY coupon_code
