-- Makes or changes a campaign's gate. Never touches the counter of one that is there.
--
-- KEYS[1] campaign   hash: name, capacity, opens_at, closes_at, state, run_id, pages, held_until
-- KEYS[2] accepted   counter: the highest sequence given
-- KEYS[3] winners    bitmap: the Bloom filter of a new gate is laid out here, 16 bits a coupon
-- ARGV[1] name
-- ARGV[2] capacity
-- ARGV[3] opens_at   ms since the epoch
-- ARGV[4] closes_at  ms since the epoch
-- ARGV[5] state      active | paused
-- ARGV[6] change     create (if there is no gate yet) | change | lower (the capacity: refused while the gate is fenced,
--                    because it may have forgotten how many were accepted)
-- ARGV[7] hold       ms: for so long a gate that is sold out stays so when its capacity is raised; by then nobody
--                    remembers that it is
-- ARGV[8] run_id     of the server that this connection leads to: a new gate is made on it
--
-- Returns {"done"}
--         {"below_accepted"}   more was accepted than the capacity given; nothing was written
--         {"missing"}          no gate, and it was not to be made; nothing was written
--         {"fenced"}           nothing was written
local campaign_key, accepted_key, winners_key = KEYS[1], KEYS[2], KEYS[3]
local name, capacity, opens_at, closes_at, state, change, hold, run_id = unpack(ARGV)
local PAGE_BITS, WINNERS_A_PAGE = 32768, 2048

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
local before = redis.call('HGET', campaign_key, 'capacity')
if is_whole and tonumber(accepted) >= tonumber(before) and tonumber(capacity) > tonumber(before) then
  local time = redis.call('TIME')
  local held_until = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(hold)
  redis.call('HSET', campaign_key, 'held_until', string.format('%.0f', held_until))
end
if not accepted then
  local pages = math.ceil(tonumber(capacity) / WINNERS_A_PAGE)
  -- All of it at once, so that no claim has to wait for the memory.
  redis.call('SETBIT', winners_key, string.format('%.0f', pages * PAGE_BITS - 1), 0)
  redis.call('HSETNX', campaign_key, 'pages', pages)
end
redis.call('HSET', campaign_key, 'name', name, 'capacity', capacity, 'opens_at', opens_at, 'closes_at', closes_at,
  'state', state)
redis.call('HSETNX', campaign_key, 'run_id', run_id)
redis.call('SETNX', accepted_key, 0)
return {'done'}
