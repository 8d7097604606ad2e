-- Puts claims back that the ledger has. Part of a rebuild: the gate is closed meanwhile.
--
-- KEYS[1] claims     hash: user -> "sequence:code:accepted_at"
-- KEYS[2] issued     bitmap by sequence
-- KEYS[3] outbox     sorted set: user by accepted_at (ms)
-- ARGV[1] issued | overflow: with issued the ledger's word wins; with overflow a claim that is here stays
-- ARGV    user, claim, user, claim, ...
--
-- Returns "OK"
local claims_key, issued_key, outbox_key = KEYS[1], KEYS[2], KEYS[3]

for i = 2, #ARGV, 2 do
  local user, claim = ARGV[i], ARGV[i + 1]
  if ARGV[1] == 'issued' then
    redis.call('HSET', claims_key, user, claim)
    redis.call('SETBIT', issued_key, string.match(claim, '^%d+'), 1)
    redis.call('ZREM', outbox_key, user)
  else
    redis.call('HSETNX', claims_key, user, claim)
  end
end
return redis.status_reply('OK')
