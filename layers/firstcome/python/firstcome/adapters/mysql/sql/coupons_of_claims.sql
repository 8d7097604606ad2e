-- Reads the rows that some users of one campaign have, and which of some coupon codes have a row, whoever has it.
-- campaign_id, user_ids (a list), coupon_codes (a list)
SELECT sequence, user_id, coupon_code FROM coupon WHERE campaign_id = %s AND user_id IN %s
UNION ALL
SELECT NULL, '', coupon_code FROM coupon WHERE coupon_code IN %s
