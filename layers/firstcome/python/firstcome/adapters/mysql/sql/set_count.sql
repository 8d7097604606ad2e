-- Replaces the count of a range.
-- rows, campaign_id, range_no
UPDATE coupon_count SET issued = %s WHERE campaign_id = %s AND range_no = %s
