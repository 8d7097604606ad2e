-- Finds the gaps of a campaign's sequences, the highest first: the low ones are most likely to belong to claims that are
-- still under way.
-- campaign_id, capacity, campaign_id, capacity, gaps at most
SELECT previous + 1 AS first_seat, sequence - 1 AS last_seat
FROM (
  SELECT sequence, COALESCE(LAG(sequence) OVER (ORDER BY sequence), 0) AS previous
  FROM coupon
  WHERE campaign_id = %s
  UNION ALL
  SELECT %s + 1, COALESCE(MAX(sequence), 0)
  FROM coupon
  WHERE campaign_id = %s
) AS neighbours
WHERE sequence > previous + 1 AND previous < %s
ORDER BY sequence DESC
LIMIT %s
