-- Puts claims back that the ledger has. Part of a rebuild: the gate is closed meanwhile.
--
-- ARGV[2] issued | overflow: with issued the ledger's word wins; with overflow a claim that is here stays, and holds no seat
-- ARGV    user, claim, user, claim, ...: at most 1,000 of them
--
-- Returns "OK" | "not_fenced" (nothing was written)
local kind = ARGV[2]
if redis.call('EXISTS', fence_key) == 0 then
  return 'not_fenced'
end
local pages = tonumber(redis.call('HGET', campaign_key, 'pages'))
local users, bits, highest = {}, {}, 0
for i = 3, #ARGV, 2 do
  local user, claim = ARGV[i], ARGV[i + 1]
  if kind == 'issued' then
    local sequence = sequence_of(claim)
    set_bit(bits, sequence)
    highest = math.max(highest, tonumber(sequence))
    users[#users + 1] = user
  else
    redis.call('HSETNX', claims_key, user, claim)
  end
  if pages then
    add_winner(user, pages)
  end
end
if kind == 'issued' then
  redis.call('HSET', claims_key, unpack(ARGV, 3))
  redis.call('BITFIELD', issued_key, unpack(bits))
  redis.call('ZREM', outbox_key, unpack(users))
  take(bits, highest)
end
return 'OK'
