-- Gives every claim that is listed as erased its pseudonym, in overflow.
-- campaign_id
UPDATE erasure
STRAIGHT_JOIN overflow ON overflow.campaign_id = erasure.campaign_id AND overflow.coupon_code = erasure.coupon_code
SET overflow.user_id = erasure.pseudonym
WHERE erasure.campaign_id = %s AND overflow.user_id <> erasure.pseudonym
