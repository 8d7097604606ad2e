-- Puts claims back that the ledger has. Part of a rebuild: the gate is closed meanwhile.
--
-- ARGV[2] issued | overflow: with issued the ledger's word wins; with overflow a claim that is here stays, and holds no seat
-- ARGV    seven for each claim, at most 1,000 claims
--
-- Returns "OK" | "not_fenced" (nothing was written)
local kind = ARGV[2]
if call('EXISTS', fence_key) == 0 then
  return 'not_fenced'
end
local pages = call('HGET', campaign_key, 'pages')
local users, entries, bits, highest = {}, {}, {}, 0
for i = 3, #ARGV, CLAIM_ARGUMENTS do
  local user, claim = ARGV[i], ARGV[i + 1]
  if kind == 'issued' then
    local sequence = tonumber(string.match(claim, '^%d+'))
    set_bit(bits, sequence)
    highest = math.max(highest, sequence)
    users[#users + 1] = user
    entries[#entries + 1], entries[#entries + 2] = user, claim
  else
    call('HSETNX', claims_key, user, claim)
  end
  if pages then
    add_winner(pages, i + 2)
  end
end
if kind == 'issued' then
  call('HSET', claims_key, unpack(entries))
  call('BITFIELD', issued_key, unpack(bits))
  call('ZREM', outbox_key, unpack(users))
  take(bits, highest)
end
return 'OK'
