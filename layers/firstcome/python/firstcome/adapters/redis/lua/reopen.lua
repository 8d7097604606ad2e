-- Opens a gate that was rebuilt, and hands it the sequences that nobody has: all at once, so that a second rebuild that
-- thinks itself alone cannot hand them out twice.
--
-- KEYS[1] campaign   hash: name, capacity, opens_at, closes_at, state, run_id; a rebuilt gate keeps no pages of winners
-- KEYS[2] accepted   counter: never set back
-- KEYS[3] fenced_at  string: since when the gate is closed, ms since the epoch
-- KEYS[4] fenced_on  string: run_id of the server where it was closed
-- KEYS[5] free       list: sequences to be given before the counter goes on
-- ARGV[1] name
-- ARGV[2] capacity
-- ARGV[3] opens_at   ms since the epoch
-- ARGV[4] closes_at  ms since the epoch
-- ARGV[5] state      active | paused
-- ARGV[6] highest sequence that anybody has
-- ARGV[7] run_id of the server on which it was closed and restored
-- ARGV[8] since when it is closed, as this rebuild was told
-- ARGV    first, last, first, last, ...: the free sequences
-- ARGV[#] run_id of the server that this connection leads to
--
-- Returns "opened" | "other_server" | "other_fence" (it was reopened meanwhile); nothing was written in the last two
local campaign_key, accepted_key, fenced_at_key, fenced_on_key, free_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local name, capacity, opens_at, closes_at, state, highest, restored_on, since = unpack(ARGV, 1, 8)
local run_id = ARGV[#ARGV]

if restored_on ~= run_id then
  return 'other_server'
end
if redis.call('GET', fenced_at_key) ~= since then
  return 'other_fence'
end
redis.call('DEL', free_key)
for i = 9, #ARGV - 1, 2 do
  for sequence = tonumber(ARGV[i]), tonumber(ARGV[i + 1]) do
    redis.call('RPUSH', free_key, string.format('%.0f', sequence))
  end
end
local accepted = math.max(tonumber(redis.call('GET', accepted_key) or '0'), tonumber(highest))
redis.call('SET', accepted_key, string.format('%.0f', accepted))
redis.call('HDEL', campaign_key, 'pages', 'held_until')
redis.call('HSET', campaign_key, 'name', name, 'capacity', capacity, 'opens_at', opens_at, 'closes_at', closes_at,
  'state', state, 'run_id', run_id)
redis.call('DEL', fenced_at_key, fenced_on_key)
return 'opened'
