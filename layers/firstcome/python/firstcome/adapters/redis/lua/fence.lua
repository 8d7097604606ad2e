-- Closes a gate that is lost or suspect, until it is reopened; tells how long it has been closed.
--
-- KEYS[1] campaign   hash; its run_id is emptied, so that apply.lua admits nobody, on whichever server
-- KEYS[2] accepted   counter: the highest sequence given
-- KEYS[3] fenced_at  string: when the gate was fenced, ms since the epoch
-- KEYS[4] fenced_on  string: run_id of the server where
-- ARGV[1] run_id of the server that this connection leads to: on another one than before the gate is closed anew, because
--         invocations that asked the one before may still be under way
--
-- Returns {milliseconds since it was fenced first, the counter or 0, the instant it was fenced first}
local campaign_key, accepted_key, fenced_at_key, fenced_on_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local run_id = ARGV[1]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('EXISTS', campaign_key) == 1 then
  redis.call('HSET', campaign_key, 'run_id', '')
end
local since = redis.call('GET', fenced_at_key)
if not since or redis.call('GET', fenced_on_key) ~= run_id then
  since = string.format('%.0f', now)
  redis.call('SET', fenced_at_key, since)
  redis.call('SET', fenced_on_key, run_id)
end
return {now - tonumber(since), tonumber(redis.call('GET', accepted_key) or '0'), since}
