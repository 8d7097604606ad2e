-- Makes or changes a campaign's gate. Never touches the counter of one that is there.
--
-- ARGV[2] create (also when the gate is missing or fenced, provided that it never admitted anybody) | change
-- ARGV[3] name
-- ARGV[4] capacity
-- ARGV[5] opens_at   ms since the epoch
-- ARGV[6] closes_at  ms since the epoch
-- ARGV[7] state      active | paused
-- ARGV[8] version    the ledger's
-- ARGV[9] hold       ms: for so long a gate that is sold out stays so when its capacity is raised; by then nobody
--                    remembers that it is
--
-- Returns "done"
--         "below_accepted"    more was accepted than the capacity given; nothing was written, as in all that follow
--         "stale"             the gate has a newer version, or this one with another content (but 0: not confirmed yet)
--         "fenced" | "lost"   see gate.lua; a gate that is missing counts as lost
local kind, name, capacity, opens_at, closes_at, state, version, hold = unpack(ARGV, 2)

local function write()
  call('HSET', campaign_key, 'name', name, 'capacity', capacity, 'opens_at', opens_at, 'closes_at', closes_at,
    'state', state, 'version', version)
end

if why_not then
  if kind ~= 'create' or (accepted or 0) > 0 or claims > 0 then
    return why_not == 'missing' and 'lost' or why_not
  end
  call('UNLINK', winners_key, free_key, taken_key, fence_key)
  lay_out_winners(capacity)
  write()
  call('HSET', campaign_key, 'run_id', run_id, 'free', 0, 'surplus', 0)
  call('SET', accepted_key, 0)
  return 'done'
end

local has = call('HMGET', campaign_key, 'name', 'capacity', 'opens_at', 'closes_at', 'state', 'version')
local had = tonumber(has[6] or 0)
local is_same = has[1] == name and has[2] == capacity and has[3] == opens_at and has[4] == closes_at and has[5] == state
if tonumber(version) < had or (tonumber(version) == had and had > 0 and not is_same) then
  return 'stale'
end
if accepted > tonumber(capacity) then
  return 'below_accepted'
end
if accepted >= tonumber(has[2]) and tonumber(capacity) > tonumber(has[2]) then
  call('HSET', campaign_key, 'held_until', now + hold)
end
write()
return 'done'
