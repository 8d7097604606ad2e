-- Reads what there is of one user in a campaign: its coupon, and the claim that found no seat.
-- campaign_id, user_id (as wanted)
SELECT campaign_id, user_id, sequence, coupon_code, accepted_at, issued_at, NULL AS reason
FROM coupon
WHERE campaign_id = %(campaign_id)s AND user_id = %(wanted)s
UNION ALL
SELECT campaign_id, user_id, sequence, coupon_code, accepted_at, NULL, reason
FROM overflow
WHERE campaign_id = %(campaign_id)s AND user_id = %(wanted)s AND seated_at IS NULL
