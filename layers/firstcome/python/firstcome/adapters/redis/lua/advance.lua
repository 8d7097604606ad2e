-- Stores where a rebuild goes on.
--
-- ARGV[2] since, ms   ARGV[3] on   the fence, as fence.lua returned it
-- ARGV[4] phase       ARGV[5] position
--
-- Returns "done" | "other_fence" (nothing was written)
if not is_same_fence(ARGV[2], ARGV[3]) then
  return 'other_fence'
end
call('HSET', fence_key, 'phase', ARGV[4], 'position', ARGV[5])
return 'done'
