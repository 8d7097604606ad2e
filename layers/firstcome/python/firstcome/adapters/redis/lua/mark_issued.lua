-- Notes that claims are in the ledger. Where the gate knows less or other, it takes the ledger's word.
--
-- ARGV    seven for each claim as the ledger has it, 1 to 1,000 claims
--
-- A sequence that the counter has not reached, or that may be in the list of free ones, means that this gate has forgotten
-- claims, or that the ledger gave one another seat: the gate is fenced, so that it does not give the sequence again.
--
-- Returns "noted" | "fenced" | "missing" (no gate; nothing was written)
local accepted = tonumber(call('GET', accepted_key))
local run, free, pages = unpack(call('HMGET', campaign_key, 'run_id', 'free', 'pages'))
if not accepted or not run then
  return 'missing'
end

local users, codes, bits, outcome, highest = {}, {}, {}, 'noted', accepted
for i = 2, #ARGV, CLAIM_ARGUMENTS do
  users[#users + 1] = ARGV[i]
  codes[#codes + 1] = string.match(ARGV[i + 1], '^%d+:[^:]*')
end
if call('EXISTS', erased_key) == 1 then
  for i, pseudonym in ipairs(call('HMGET', erased_key, unpack(codes))) do
    users[i] = pseudonym or users[i]
  end
end
local before = call('HMGET', claims_key, unpack(users))
for i, user in ipairs(users) do
  local at = 2 + (i - 1) * CLAIM_ARGUMENTS
  local claim = ARGV[at + 1]
  if before[i] ~= claim and call('HSET', claims_key, user, claim) == 1 then
    call('HINCRBY', campaign_key, 'surplus', 1)
    outcome = tonumber(free or 0) > 0 and 'fenced' or outcome
    if pages then
      add_winner(pages, at + 2)
    end
  end
  local sequence = tonumber(string.match(claim, '^%d+'))
  set_bit(bits, sequence)
  highest = math.max(highest, sequence)
end
call('BITFIELD', issued_key, unpack(bits))
if highest > accepted or outcome == 'fenced' then
  outcome = 'fenced'
  call('HSET', campaign_key, 'run_id', '')
end
if call('EXISTS', fence_key) == 1 then
  -- A rebuild is under way, which may have passed these sequences.
  take(bits, highest)
end
return outcome
