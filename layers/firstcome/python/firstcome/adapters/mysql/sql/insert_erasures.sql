-- Lists claims as erased; those that are listed stay as they are.
-- Per row: campaign_id, coupon_code, sequence, pseudonym
INSERT IGNORE INTO erasure (campaign_id, coupon_code, sequence, pseudonym)
VALUES (%s, %s, %s, %s)
