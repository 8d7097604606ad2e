-- Reads which coupon codes are issued or in overflow.
-- coupon_codes (a list), campaign_id, coupon_codes (a list)
SELECT coupon_code FROM coupon WHERE coupon_code IN %s
UNION
SELECT coupon_code FROM overflow WHERE campaign_id = %s AND coupon_code IN %s AND seated_at IS NULL
