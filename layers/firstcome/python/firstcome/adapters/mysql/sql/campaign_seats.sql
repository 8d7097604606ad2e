-- Reads what a campaign's claims may be given: once for each erased claim among them, once when none is.
-- coupon_codes (a list), campaign_id
SELECT campaign.capacity,
       EXISTS (SELECT 1 FROM overflow
               WHERE overflow.campaign_id = campaign.campaign_id AND overflow.seated_at IS NULL) AS has_overflow,
       erasure.coupon_code, erasure.pseudonym
FROM campaign
LEFT JOIN erasure ON erasure.campaign_id = campaign.campaign_id AND erasure.coupon_code IN %s
WHERE campaign.campaign_id = %s
