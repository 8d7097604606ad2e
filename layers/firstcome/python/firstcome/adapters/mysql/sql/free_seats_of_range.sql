-- Finds the gaps between the sequences of one range, the highest first: the low ones are most likely to belong to claims
-- that are still under way.
-- campaign_id, first and last sequence of the range, gaps at most
SELECT previous + 1 AS first_seat, sequence - 1 AS last_seat
FROM (
  SELECT sequence, COALESCE(LAG(sequence) OVER (ORDER BY sequence), %(first)s - 1) AS previous
  FROM coupon
  WHERE campaign_id = %(campaign_id)s AND sequence BETWEEN %(first)s AND %(last)s
  UNION ALL
  SELECT %(last)s + 1, COALESCE(MAX(sequence), %(first)s - 1)
  FROM coupon
  WHERE campaign_id = %(campaign_id)s AND sequence BETWEEN %(first)s AND %(last)s
) AS neighbours
WHERE sequence > previous + 1
ORDER BY sequence DESC
LIMIT %(limit)s
