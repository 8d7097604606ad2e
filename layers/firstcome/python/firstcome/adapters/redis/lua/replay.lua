-- Answers a user who has a claim, and ends the script.
--
-- ARGV[2] user
-- ARGV[3] replicas that must confirm a claim before it is sent
--
-- Returns {"replayed", claim, outbox 0|1, issued 0|1}
local user, replicas = ARGV[2], ARGV[3]
local claim = call('HGET', claims_key, user)
if claim then
  local outbox = call('ZSCORE', outbox_key, user) and 1 or 0
  if outbox == 1 and replicas ~= '0' then
    -- Once more, because WAIT covers only what its own connection wrote.
    call('HSET', claims_key, user, claim)
  end
  return {'replayed', claim, outbox, call('GETBIT', issued_key, string.match(claim, '^%d+'))}
end
