-- Keeps notes of a reconciliation, unless there is no gate.
--
-- ARGV    name, value, name, value, ...
--
-- Returns "done" | "missing" (nothing was written)
if call('EXISTS', campaign_key) == 0 then
  return 'missing'
end
call('HSET', reconcile_key, unpack(ARGV, 2))
return 'done'
