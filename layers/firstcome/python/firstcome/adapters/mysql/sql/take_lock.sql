-- Takes the lock of a campaign for this session, 1 if it got it. Names of locks belong to the whole server, hence the hash
-- of the database with the campaign.
-- campaign_id, wait_seconds
SELECT GET_LOCK(SHA2(CONCAT_WS('/', 'firstcome', DATABASE(), %(campaign_id)s), 224), %(wait_seconds)s)
