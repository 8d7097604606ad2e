-- Writes a campaign whose gate is rebuilt, and lays out the filter of winners, which restoring fills.
--
-- ARGV[2] since, ms   ARGV[3] on   the fence, as fence.lua returned it
-- ARGV[4] name  ARGV[5] capacity  ARGV[6] opens_at, ms  ARGV[7] closes_at, ms  ARGV[8] state  ARGV[9] version
--
-- Returns "done" | "other_fence" (nothing was written)
local since, on, name, capacity, opens_at, closes_at, state, version = unpack(ARGV, 2)
if not is_same_fence(since, on) then
  return 'other_fence'
end
call('HSET', campaign_key, 'name', name, 'capacity', capacity, 'opens_at', opens_at, 'closes_at', closes_at,
  'state', state, 'version', version)
if (call('HGET', fence_key, 'phase') or '') == '' then
  -- Nothing was restored yet, so that neither a winner nor a row is forgotten.
  call('UNLINK', winners_key, issued_key)
  lay_out_winners(capacity)
end
return 'done'
