-- Reads issued coupons of one campaign, by sequence.
-- campaign_id, the sequence to start behind, coupons at most
SELECT campaign_id, user_id, sequence, coupon_code, accepted_at, issued_at
FROM coupon
WHERE campaign_id = %s AND sequence > %s
ORDER BY sequence
LIMIT %s
