-- Adds to the number of answers by code, unless there is no gate: a late one brings no key of an archived campaign back.
--
-- ARGV    code, number, code, number, ...
--
-- Returns "done" | "missing" (nothing was written)
if call('EXISTS', campaign_key) == 0 then
  return 'missing'
end
for i = 2, #ARGV, 2 do
  call('HINCRBY', answers_key, ARGV[i], ARGV[i + 1])
end
return 'done'
