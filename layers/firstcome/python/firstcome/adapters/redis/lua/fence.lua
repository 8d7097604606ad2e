-- Closes a gate that is lost or suspect, until it is reopened; tells how long it has been closed.
--
-- ARGV[2] the ledger's clock, ms; empty if it was not asked
-- ARGV[3] the highest sequence in the ledger: the counter goes on from there at least
--
-- The gate is made anew where it is missing, so that mark_issued.lua keeps a late claim. The fence is raised anew on another
-- server, because invocations that asked the one before may still be under way, and what was restored may not be here.
-- An instant in the future, by a clock that was set back, counts as now.
--
-- Returns {since (ms, the instant that names this fence), its age in ms by the clock that says less, the counter, phase,
--          position, run_id}
local ledger_now, highest = tonumber(ARGV[2]), tonumber(ARGV[3])

call('HSET', campaign_key, 'run_id', '')
local accepted = tonumber(call('GET', accepted_key))
local fence = call('HMGET', fence_key, 'since', 'ledger_since', 'on')
local since, ledger_since = tonumber(fence[1]), tonumber(fence[2])
if not accepted or fence[3] ~= run_id then
  begin_anew()
end
if not accepted or accepted < highest then
  accepted = highest
  call('SET', accepted_key, accepted)
end

if fence[3] ~= run_id or not since or since > now then
  since, ledger_since = now, ledger_now
elseif ledger_now and (not ledger_since or ledger_since > ledger_now) then
  ledger_since = ledger_now
end
call('HSET', fence_key, 'since', since, 'on', run_id, 'ledger_since', ledger_since or '')
local age = now - since
if ledger_now then
  age = math.min(age, ledger_now - ledger_since)
end
local phase, position = unpack(call('HMGET', fence_key, 'phase', 'position'))
return {since, age, accepted, phase or '', position or '', run_id}
