-- Gives every claim that is listed as erased its pseudonym, in coupon.
-- campaign_id
UPDATE erasure
STRAIGHT_JOIN coupon ON coupon.campaign_id = erasure.campaign_id AND coupon.coupon_code = erasure.coupon_code
SET coupon.user_id = erasure.pseudonym
WHERE erasure.campaign_id = %s AND coupon.user_id <> erasure.pseudonym
