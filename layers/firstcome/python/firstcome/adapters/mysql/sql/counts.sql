-- Reads how many coupons of a campaign are issued, how many claims have no seat, and the highest sequence.
-- campaign_id
SELECT
  (SELECT COALESCE(SUM(issued), 0) FROM coupon_count WHERE campaign_id = %(campaign_id)s),
  (SELECT COUNT(*) FROM overflow WHERE campaign_id = %(campaign_id)s AND seated_at IS NULL),
  (SELECT COALESCE(MAX(sequence), 0) FROM coupon WHERE campaign_id = %(campaign_id)s)
