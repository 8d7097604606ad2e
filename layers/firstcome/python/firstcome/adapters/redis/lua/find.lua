-- Returns the claim a user has.
--
-- ARGV[2] user
-- ARGV[3] replicas that must confirm a claim before it is sent
--
-- Returns {"replayed", claim, outbox 0|1, issued 0|1} | {"none"}
--         {"missing"} {"fenced"} {"lost"}   see prelude.lua: this gate cannot tell that the user has none
local replayed = replay(ARGV[2], ARGV[3])
if replayed then
  return replayed
end
local gate, why_not = whole_gate()
return {gate and 'none' or why_not}
