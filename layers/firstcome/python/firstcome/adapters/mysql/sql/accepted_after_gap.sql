-- Reads when the claim was accepted that follows the highest sequence without a row, within a range of sequences.
-- campaign_id, first and last sequence that may follow it
SELECT c.accepted_at
FROM coupon c
LEFT JOIN coupon p ON p.campaign_id = c.campaign_id AND p.sequence = c.sequence - 1
WHERE c.campaign_id = %(campaign_id)s AND c.sequence BETWEEN %(first)s AND %(last)s AND p.sequence IS NULL
ORDER BY c.sequence DESC
LIMIT 1
