-- Gives every claim that is listed as erased its pseudonym, in coupon.
-- campaign_id
UPDATE coupon
JOIN erasure ON erasure.campaign_id = coupon.campaign_id AND erasure.coupon_code = coupon.coupon_code
SET coupon.user_id = erasure.pseudonym
WHERE erasure.campaign_id = %s AND coupon.user_id <> erasure.pseudonym
