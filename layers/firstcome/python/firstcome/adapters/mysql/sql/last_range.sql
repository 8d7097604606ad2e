-- Reads the number of the last range of a campaign that has a count or a row.
-- campaign_id
SELECT GREATEST(
  (SELECT COALESCE(MAX(range_no), 0) FROM coupon_count WHERE campaign_id = %(campaign_id)s),
  (SELECT COALESCE(MAX(sequence) - 1, 0) DIV 10000 FROM coupon WHERE campaign_id = %(campaign_id)s))
