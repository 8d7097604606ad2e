-- Returns the claim a user has.
--
-- KEYS[1] campaign   hash: ..., run_id
-- KEYS[2] claims     hash: user -> "sequence:code:accepted_at"
-- KEYS[3] outbox     sorted set: user by accepted_at (ms)
-- KEYS[4] issued     bitmap by sequence
-- ARGV[1] user
-- ARGV[2] replicas that must confirm a claim before it is sent
-- ARGV[3] run_id of the server that this connection leads to
--
-- Returns {"replayed", claim, outbox 0|1, issued 0|1} | {"none"} | {"missing"} (no such campaign here)
--         {"fenced"} (this gate may lack claims, so that it cannot tell that the user has none)
local campaign_key, claims_key, outbox_key, issued_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local user, confirmations, run_id = ARGV[1], ARGV[2], ARGV[3]

local claim = redis.call('HGET', claims_key, user)
if claim then
  local outbox = redis.call('ZSCORE', outbox_key, user) and 1 or 0
  if outbox == 1 and tonumber(confirmations) > 0 then
    -- Written once more, because WAIT covers only what its own connection wrote.
    redis.call('HSET', claims_key, user, claim)
  end
  local issued = redis.call('GETBIT', issued_key, string.match(claim, '^%d+'))
  return {'replayed', claim, outbox, issued}
end
if redis.call('EXISTS', campaign_key) == 0 then
  return {'missing'}
end
if redis.call('HGET', campaign_key, 'run_id') ~= run_id then
  return {'fenced'}
end
return {'none'}
