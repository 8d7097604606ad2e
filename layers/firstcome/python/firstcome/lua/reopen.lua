-- Opens a gate that was rebuilt.
--
-- KEYS[1] campaign   hash: name, capacity, opens_at, closes_at, state, run_id
-- KEYS[2] accepted   counter: never set back
-- KEYS[3] fenced_at  string
-- ARGV[1] name
-- ARGV[2] capacity
-- ARGV[3] opens_at   ms since the epoch
-- ARGV[4] closes_at  ms since the epoch
-- ARGV[5] state      active | paused
-- ARGV[6] highest sequence in the ledger
-- ARGV[7] run_id of the server on which it was closed and restored
-- ARGV[8] run_id of the server that this connection leads to
--
-- Returns "opened" | "other_server" (nothing was written)
local campaign_key, accepted_key, fenced_at_key = KEYS[1], KEYS[2], KEYS[3]
local name, capacity, opens_at, closes_at, state, highest, restored_on, run_id = unpack(ARGV)

if restored_on ~= run_id then
  return 'other_server'
end
local accepted = math.max(tonumber(redis.call('GET', accepted_key) or '0'), tonumber(highest))
redis.call('SET', accepted_key, string.format('%.0f', accepted))
redis.call('HSET', campaign_key, 'name', name, 'capacity', capacity, 'opens_at', opens_at, 'closes_at', closes_at,
  'state', state, 'run_id', run_id)
redis.call('DEL', fenced_at_key)
return 'opened'
