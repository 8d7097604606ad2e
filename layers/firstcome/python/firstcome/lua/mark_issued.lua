-- Notes that claims are in the ledger.
--
-- KEYS[1] campaign   hash; only whether it exists: a gate that is gone must not be half remade
-- KEYS[2] claims     hash: user -> "sequence:code:accepted_at"
-- KEYS[3] issued     bitmap by sequence
-- ARGV    user, claim, user, claim, ...: the claims as the ledger has them. Where the gate has the same user and code under
--         another sequence, the claim was given another seat, and the gate takes the ledger's word.
--
-- Returns the number of claims noted
local campaign_key, claims_key, issued_key = KEYS[1], KEYS[2], KEYS[3]

if redis.call('EXISTS', campaign_key) == 0 then
  return 0
end
local noted = 0
for i = 1, #ARGV, 2 do
  local user, claim = ARGV[i], ARGV[i + 1]
  local known = redis.call('HGET', claims_key, user)
  local sequence, code = string.match(claim, '^(%d+):([^:]+)')
  if known and string.match(known, '^%d+:([^:]+)') == code then
    if known ~= claim then
      redis.call('HSET', claims_key, user, claim)
    end
    redis.call('SETBIT', issued_key, sequence, 1)
    noted = noted + 1
  end
end
return noted
