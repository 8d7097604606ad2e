-- Replaces a user's id by a pseudonym. The claim stays as it is, and so do its seat and its code.
--
-- ARGV[2] user
-- ARGV[3] pseudonym; a claim that was erased before keeps its first one
--
-- Returns "done" | "none"
--         "under_way"                      the claim is in the outbox; nothing was written
--         "missing" | "fenced" | "lost"    see gate.lua: this gate cannot tell that the user has no claim
local user, pseudonym = ARGV[2], ARGV[3]
local claim = call('HGET', claims_key, user)
if not claim then
  return why_not or 'none'
end
if why_not == 'missing' then
  return why_not
end
if call('ZSCORE', outbox_key, user) then
  return 'under_way'
end
local code = string.match(claim, '^%d+:[^:]*')
call('HSETNX', erased_key, code, pseudonym)
pseudonym = call('HGET', erased_key, code)
call('HDEL', claims_key, user)
if call('HSET', claims_key, pseudonym, claim) == 0 then
  -- Restored under its pseudonym beside the user's id: there is one entry less now.
  call('HINCRBY', campaign_key, 'surplus', -1)
end
return 'done'
