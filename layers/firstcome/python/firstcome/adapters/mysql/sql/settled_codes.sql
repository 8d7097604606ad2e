-- Reads which of some claims are issued or in overflow, by their coupon codes.
-- coupon_codes (a list), campaign_id, user_ids (a list)
SELECT coupon_code FROM coupon WHERE coupon_code IN %s
UNION
SELECT coupon_code FROM overflow WHERE campaign_id = %s AND user_id IN %s
