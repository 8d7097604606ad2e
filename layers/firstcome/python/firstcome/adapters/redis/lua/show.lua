-- Returns a campaign and how far its claims are, as of one instant. Writes nothing.
--
-- KEYS[1] campaign   hash: name, capacity, opens_at, closes_at (ms since the epoch), state (active | paused)
-- KEYS[2] accepted   counter: the highest sequence given
-- KEYS[3] outbox     sorted set: user by accepted_at (ms)
-- KEYS[4] free       list: sequences below the counter that are still to be given
--
-- Returns {"found", name, capacity, opens_at, closes_at, state, accepted, now, outbox, oldest_outbox_at}, times in ms,
--         accepted without the free ones, oldest_outbox_at "" when nothing is outbox
--         {"missing"}   no such campaign here
--         {"lost"}      the campaign without its counter
local campaign_key, accepted_key, outbox_key, free_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local fields = redis.call('HMGET', campaign_key, 'name', 'capacity', 'opens_at', 'closes_at', 'state')
if not fields[2] then
  return {'missing'}
end
local accepted = redis.call('GET', accepted_key)
if not accepted then
  return {'lost'}
end
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local oldest = redis.call('ZRANGE', outbox_key, 0, 0, 'WITHSCORES')
return {
  'found', fields[1], fields[2], fields[3], fields[4], fields[5], accepted - redis.call('LLEN', free_key), now,
  redis.call('ZCARD', outbox_key), oldest[2] or '',
}
