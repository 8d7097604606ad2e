-- Lists the claims of a user as erased.
-- pseudonym, campaign_id, user_id
INSERT IGNORE INTO erasure (campaign_id, coupon_code, sequence, pseudonym)
SELECT campaign_id, coupon_code, sequence, %(pseudonym)s FROM coupon
WHERE campaign_id = %(campaign_id)s AND user_id = %(user_id)s
UNION ALL
SELECT campaign_id, coupon_code, sequence, %(pseudonym)s FROM overflow
WHERE campaign_id = %(campaign_id)s AND user_id = %(user_id)s
