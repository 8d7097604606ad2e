-- Reads claims of one campaign that found no seat, by coupon code.
-- campaign_id, the code to start behind, claims at most
SELECT campaign_id, user_id, sequence, coupon_code, accepted_at
FROM overflow
WHERE campaign_id = %s AND coupon_code > %s
ORDER BY coupon_code
LIMIT %s
