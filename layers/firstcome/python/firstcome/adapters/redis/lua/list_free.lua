-- Lists the free sequences of the next block of a gate that is rebuilt, once all that somebody has are known.
--
-- ARGV[2] since, ms   ARGV[3] on   the fence, as fence.lua returned it
-- ARGV[4] sequences in a block, a multiple of 8
--
-- Returns "more" | "done" (all up to the counter are listed) | "other_fence" (nothing was written)
if not is_same_fence(ARGV[2], ARGV[3]) then
  return 'other_fence'
end
local start, size = tonumber(call('HGET', fence_key, 'listed') or 0), tonumber(ARGV[4])
local accepted = tonumber(call('GET', accepted_key))
local taken = call('GETRANGE', taken_key, start / 8, (start + size) / 8 - 1)

local ranges, free, first = {}, 0, nil
local last = math.min(start + size - 1, accepted)
for sequence = math.max(start, 1), last + 1 do
  local offset = sequence - start
  local byte = string.byte(taken, math.floor(offset / 8) + 1) or 0
  local is_free = sequence <= last and math.floor(byte / 2 ^ (7 - offset % 8)) % 2 == 0
  if is_free then
    first = first or sequence
    free = free + 1
  elseif first then
    ranges[#ranges + 1] = first .. '-' .. sequence - 1
    first = nil
  end
end
for i = 1, #ranges, 1000 do
  call('RPUSH', free_key, unpack(ranges, i, math.min(i + 999, #ranges)))
end
call('HINCRBY', campaign_key, 'free', free)
call('HSET', fence_key, 'listed', start + size)
return start + size > accepted and 'done' or 'more'
