-- Opens a gate that was rebuilt, so that it hands out the sequences that nobody has: in one step, so that a second rebuild
-- that thinks itself alone cannot hand them out twice.
--
-- ARGV[2] since, ms   ARGV[3] on   the fence, as fence.lua returned it
-- ARGV[4] name  ARGV[5] capacity  ARGV[6] opens_at, ms  ARGV[7] closes_at, ms  ARGV[8] state  ARGV[9] version
--
-- Returns {"opened", the counter, free sequences}
--         {"other_fence"}   it was reopened meanwhile, or is on another server; nothing was written
--         {"unlisted"}      sequences were taken after the free ones were listed: these must be listed anew
--         {"incomplete"}    claims are gone that were restored: the rebuild must begin anew
local since, on, name, capacity, opens_at, closes_at, state, version = unpack(ARGV, 2)
if not is_same_fence(since, on) then
  return {'other_fence'}
end
local accepted = tonumber(call('GET', accepted_key) or 0)
local free = tonumber(call('HGET', campaign_key, 'free') or 0)
local counts = call('HMGET', fence_key, 'taken', 'listed')
local taken, listed = call('BITCOUNT', taken_key), tonumber(counts[2] or 0)
local surplus = call('HLEN', claims_key) - taken
if surplus < 0 or taken ~= tonumber(counts[1] or 0) then
  begin_anew()
  return {'incomplete'}
end
if listed <= accepted or taken + free ~= accepted then
  list_anew()
  return {'unlisted'}
end
call('HDEL', campaign_key, 'held_until')
call('HSET', campaign_key, 'name', name, 'capacity', capacity, 'opens_at', opens_at, 'closes_at', closes_at,
  'state', state, 'version', version, 'surplus', surplus, 'run_id', run_id)
call('UNLINK', fence_key, taken_key, reconcile_key)
return {'opened', accepted, free}
