-- Returns claims that have been outbox for some time, the oldest first.
--
-- KEYS[1] outbox   sorted set: user by accepted_at (ms)
-- KEYS[2] claims   hash: user -> "sequence:code:accepted_at"
-- ARGV[1] least age, ms by the server's clock
-- ARGV[2] claims at most
-- ARGV[3] replicas that must confirm a claim before it is sent
--
-- Returns {user, claim, user, claim, ...}
local outbox_key, claims_key = KEYS[1], KEYS[2]
local least_age, limit, confirmations = ARGV[1], ARGV[2], ARGV[3]

local time = redis.call('TIME')
local newest = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(least_age)
local found = {}
for _, user in ipairs(redis.call('ZRANGEBYSCORE', outbox_key, '-inf', string.format('%.0f', newest), 'LIMIT', 0, limit)) do
  local claim = redis.call('HGET', claims_key, user)
  if tonumber(confirmations) > 0 then
    -- Written once more, because WAIT covers only what its own connection wrote.
    redis.call('HSET', claims_key, user, claim)
  end
  found[#found + 1] = user
  found[#found + 1] = claim
end
return found
