-- Reads claims of one campaign that found no free seat, in the order they were accepted in.
-- campaign_id, claims at most
SELECT campaign_id, user_id, sequence, coupon_code, accepted_at
FROM overflow
WHERE campaign_id = %s AND seated_at IS NULL AND reason = 'no_seat'
ORDER BY accepted_at, sequence
LIMIT %s
