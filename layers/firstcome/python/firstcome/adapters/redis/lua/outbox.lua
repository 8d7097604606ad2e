-- Returns claims that have been in the outbox for some time, the oldest first; those from the future come last.
--
-- ARGV[2] least age, ms by the server's clock
-- ARGV[3] replicas that must confirm a claim before it is sent
-- ARGV[4] claims at most
--
-- An entry whose claim is gone is removed. One from the future is due: a clock that was set back must not hold it up.
--
-- Returns {entries removed, user, claim, user, claim, ...}
local least_age, replicas, limit = ARGV[2], ARGV[3], tonumber(ARGV[4])

local users = call('ZRANGEBYSCORE', outbox_key, '-inf', now - least_age, 'LIMIT', 0, limit)
if #users < limit then
  local future = call('ZRANGEBYSCORE', outbox_key, '(' .. now, '+inf', 'LIMIT', 0, limit - #users)
  for _, user in ipairs(future) do
    users[#users + 1] = user
  end
end
local found, removed = {}, 0
for _, user in ipairs(users) do
  local claim = call('HGET', claims_key, user)
  if claim then
    if replicas ~= '0' then
      -- As in replay.lua.
      call('HSET', claims_key, user, claim)
    end
    found[#found + 1] = user
    found[#found + 1] = claim
  else
    removed = removed + call('ZREM', outbox_key, user)
  end
end
return {removed, unpack(found)}
