-- Notes that claims must be sent again.
--
-- ARGV    user, claim, user, claim, ...: at most 1,000 of them; one that is not here as it is given is left out
--
-- Returns how many were not in the outbox before
local added = 0
local is_fenced = redis.call('EXISTS', fence_key) == 1
local pages = tonumber(redis.call('HGET', campaign_key, 'pages'))
for i = 2, #ARGV, 2 do
  local user, claim = ARGV[i], ARGV[i + 1]
  if redis.call('HGET', claims_key, user) == claim then
    added = added + redis.call('ZADD', outbox_key, string.match(claim, '%d+$'), user)
    if is_fenced then
      -- A rebuild keeps it, and so must not give its sequence again.
      take({'SET', 'u1', sequence_of(claim), 1}, tonumber(sequence_of(claim)))
      if pages then
        add_winner(user, pages)
      end
    end
  end
end
return added
