-- Notes that claims are in the ledger. Where the gate knows less or other, it takes the ledger's word.
--
-- KEYS[1] campaign   hash: run_id, pages; a gate that is gone must not be half remade
-- KEYS[2] accepted   counter: the highest sequence given
-- KEYS[3] claims     hash: user -> "sequence:code:accepted_at"
-- KEYS[4] issued     bitmap by sequence
-- ARGV    user, claim, user, claim, ...: the claims as the ledger has them, 1 to 1,000 of them (Lua's stack holds twice that)
--
-- A sequence that the counter has not reached means that this gate has forgotten claims, or that the ledger gave one another
-- seat: the gate is fenced, so that it does not give the sequence again.
--
-- A user who had no claim here is not in the filter of winners, which therefore is not kept any longer.
--
-- Returns "noted" | "fenced" | "missing" (no gate; nothing was written)
local campaign_key, accepted_key, claims_key, issued_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local accepted = tonumber(redis.call('GET', accepted_key))
if not accepted or redis.call('EXISTS', campaign_key) == 0 then
  return 'missing'
end
local outcome, users, bits = 'noted', {}, {}
for i = 1, #ARGV, 2 do
  users[#users + 1] = ARGV[i]
end
local before = redis.call('HMGET', claims_key, unpack(users))
for i, user in ipairs(users) do
  local claim = ARGV[2 * i]
  local sequence = string.match(claim, '^%d+')
  if before[i] ~= claim then
    redis.call('HSET', claims_key, user, claim)
  end
  if not before[i] then
    redis.call('HDEL', campaign_key, 'pages')
  end
  local at = #bits
  bits[at + 1], bits[at + 2], bits[at + 3], bits[at + 4] = 'SET', 'u1', sequence, 1
  if tonumber(sequence) > accepted then
    redis.call('HSET', campaign_key, 'run_id', '')
    outcome = 'fenced'
  end
end
redis.call('BITFIELD', issued_key, unpack(bits))
return outcome
