-- Gives every claim that is listed as erased its pseudonym, in overflow.
-- campaign_id
UPDATE overflow
JOIN erasure ON erasure.campaign_id = overflow.campaign_id AND erasure.coupon_code = overflow.coupon_code
SET overflow.user_id = erasure.pseudonym
WHERE erasure.campaign_id = %s AND overflow.user_id <> erasure.pseudonym
