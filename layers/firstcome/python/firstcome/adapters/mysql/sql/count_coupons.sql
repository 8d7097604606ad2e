-- Counts a campaign's coupons, and the claims that found no seat and have none since.
-- campaign_id, campaign_id
SELECT
  (SELECT COUNT(*) FROM coupon WHERE campaign_id = %s) AS issued,
  (SELECT COUNT(*)
   FROM overflow
   LEFT JOIN coupon ON coupon.coupon_code = overflow.coupon_code AND coupon.user_id = overflow.user_id
   WHERE overflow.campaign_id = %s AND coupon.coupon_code IS NULL) AS overflow
