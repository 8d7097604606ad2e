-- Notes which claims in overflow have a coupon now.
-- campaign_id, coupon_codes (a list)
UPDATE overflow
STRAIGHT_JOIN coupon ON coupon.coupon_code = overflow.coupon_code AND coupon.user_id = overflow.user_id
SET overflow.seated_at = UTC_TIMESTAMP(3)
WHERE overflow.campaign_id = %s AND overflow.coupon_code IN %s AND overflow.seated_at IS NULL
