-- Adds new rows to the counts of their ranges; locks the counts until the transaction ends, also where 0 is added.
-- Per row: campaign_id, range_no, rows
INSERT INTO coupon_count (campaign_id, range_no, issued)
VALUES (%s, %s, %s)
ON DUPLICATE KEY UPDATE issued = issued + VALUES(issued)
