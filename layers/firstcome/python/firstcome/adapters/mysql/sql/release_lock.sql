-- Gives back the lock of a campaign, see take_lock.sql; 1 if this session had it.
-- campaign_id
SELECT RELEASE_LOCK(SHA2(CONCAT_WS('/', 'firstcome', DATABASE(), %(campaign_id)s), 224))
