-- Returns claims that have been unsent for some time, the oldest first. Writes nothing.
--
-- KEYS[1] unsent   sorted set: user by accepted_at (ms)
-- KEYS[2] claims   hash: user -> "sequence:code:accepted_at"
-- ARGV[1] least age, ms by the server's clock
-- ARGV[2] claims at most
--
-- Returns {user, claim, user, claim, ...}
local unsent_key, claims_key = KEYS[1], KEYS[2]
local least_age, limit = ARGV[1], ARGV[2]

local time = redis.call('TIME')
local newest = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(least_age)
local found = {}
for _, user in ipairs(redis.call('ZRANGEBYSCORE', unsent_key, '-inf', string.format('%.0f', newest), 'LIMIT', 0, limit)) do
  found[#found + 1] = user
  found[#found + 1] = redis.call('HGET', claims_key, user)
end
return found
