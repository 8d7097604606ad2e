-- Makes or changes a campaign's gate. Never touches the counter of one that is there.
--
-- KEYS[1] campaign   hash: name, capacity, opens_at, closes_at, state, run_id
-- KEYS[2] accepted   counter: the highest sequence given
-- ARGV[1] name
-- ARGV[2] capacity
-- ARGV[3] opens_at   ms since the epoch
-- ARGV[4] closes_at  ms since the epoch
-- ARGV[5] state      active | paused
-- ARGV[6] change     create (if there is no gate yet) | change | lower (the capacity: refused while the gate is fenced,
--                    because it may have forgotten how many were accepted)
-- ARGV[7] run_id     of the server that this connection leads to: a new gate is made on it
--
-- Returns {"done"}
--         {"below_accepted"}   more was accepted than the capacity given; nothing was written
--         {"missing"}          no gate, and it was not to be made; nothing was written
--         {"fenced"}           nothing was written
local campaign_key, accepted_key = KEYS[1], KEYS[2]
local name, capacity, opens_at, closes_at, state, change, run_id = unpack(ARGV)

local accepted = redis.call('GET', accepted_key)
local is_whole = accepted and redis.call('EXISTS', campaign_key) == 1
if not is_whole and change ~= 'create' then
  return {'missing'}
end
if change == 'lower' and redis.call('HGET', campaign_key, 'run_id') ~= run_id then
  return {'fenced'}
end
if accepted and tonumber(accepted) > tonumber(capacity) then
  return {'below_accepted'}
end
redis.call('HSET', campaign_key, 'name', name, 'capacity', capacity, 'opens_at', opens_at, 'closes_at', closes_at,
  'state', state)
redis.call('HSETNX', campaign_key, 'run_id', run_id)
redis.call('SETNX', accepted_key, 0)
return {'done'}
