-- Notes that claims are in the ledger. Where the gate knows less or other, it takes the ledger's word.
--
-- ARGV    user, claim, user, claim, ...: the claims as the ledger has them, 1 to 1,000 of them (Lua's stack holds twice that)
--
-- A sequence that the counter has not reached, or that may be in the list of free ones, means that this gate has forgotten
-- claims, or that the ledger gave one another seat: the gate is fenced, so that it does not give the sequence again.
--
-- Returns "noted" | "fenced" | "missing" (no gate; nothing was written)
local accepted = tonumber(redis.call('GET', accepted_key))
local fields = redis.call('HMGET', campaign_key, 'run_id', 'free', 'pages')
if not accepted or not fields[1] then
  return 'missing'
end
local free, pages = tonumber(fields[2] or 0), tonumber(fields[3])

local users, codes, bits, outcome, highest = {}, {}, {}, 'noted', accepted
for i = 2, #ARGV, 2 do
  users[#users + 1] = ARGV[i]
  codes[#codes + 1] = string.match(ARGV[i + 1], '^(%d+:[^:]*)')
end
if redis.call('EXISTS', erased_key) == 1 then
  for i, pseudonym in ipairs(redis.call('HMGET', erased_key, unpack(codes))) do
    users[i] = pseudonym or users[i]
  end
end
local before = redis.call('HMGET', claims_key, unpack(users))
for i, user in ipairs(users) do
  local claim = ARGV[2 * i + 1]
  local sequence = sequence_of(claim)
  if before[i] ~= claim then
    local is_new = redis.call('HSET', claims_key, user, claim)
    if is_new == 1 then
      redis.call('HINCRBY', campaign_key, 'surplus', 1)
      outcome = free > 0 and 'fenced' or outcome
      if pages then
        add_winner(user, pages)
      end
    end
  end
  set_bit(bits, sequence)
  highest = math.max(highest, tonumber(sequence))
end
redis.call('BITFIELD', issued_key, unpack(bits))
if highest > accepted or outcome == 'fenced' then
  outcome = 'fenced'
  redis.call('HSET', campaign_key, 'run_id', '')
end
if redis.call('EXISTS', fence_key) == 1 then
  -- A rebuild is under way, which may have passed these sequences.
  take(bits, highest)
end
return outcome
