-- Counts the rows of a range, whose count must be locked, see add_to_counts.sql.
-- campaign_id, first sequence, last sequence
SELECT COUNT(*) FROM coupon WHERE campaign_id = %s AND sequence BETWEEN %s AND %s
