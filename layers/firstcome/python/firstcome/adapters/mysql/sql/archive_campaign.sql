-- Archives a campaign; the instant of the first time counts.
-- campaign_id
UPDATE campaign
SET state = 'archived', version = version + 1, archived_at = UTC_TIMESTAMP(3), updated_at = UTC_TIMESTAMP(3)
WHERE campaign_id = %s AND state <> 'archived'
