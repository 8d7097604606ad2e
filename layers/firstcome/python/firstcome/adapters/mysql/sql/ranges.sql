-- Reads the counts of a campaign's ranges.
-- campaign_id
SELECT range_no, issued FROM coupon_count WHERE campaign_id = %s
