-- Reads claims of one campaign that have no seat, by coupon code.
-- campaign_id, the code to start behind, claims at most
SELECT campaign_id, user_id, sequence, coupon_code, accepted_at
FROM overflow
WHERE campaign_id = %s AND coupon_code > %s AND seated_at IS NULL
ORDER BY coupon_code
LIMIT %s
