-- Notes that claims must be sent again.
--
-- ARGV    seven for each claim, at most 1,000 claims; one that is not here as it is given is left out
--
-- Returns how many were not in the outbox before
local added = 0
local is_fenced, pages = call('EXISTS', fence_key) == 1, call('HGET', campaign_key, 'pages')
for i = 2, #ARGV, CLAIM_ARGUMENTS do
  local user, claim = ARGV[i], ARGV[i + 1]
  if call('HGET', claims_key, user) == claim then
    local sequence, accepted_at = string.match(claim, '^(%d+):.*:(%d+)$')
    added = added + call('ZADD', outbox_key, accepted_at, user)
    if is_fenced then
      -- A rebuild keeps it, and so must not give its sequence again.
      take({'SET', 'u1', sequence, 1}, tonumber(sequence))
      if pages then
        add_winner(pages, i + 2)
      end
    end
  end
end
return added
