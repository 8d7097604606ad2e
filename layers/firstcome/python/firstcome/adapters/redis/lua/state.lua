-- Tells whether a campaign's gate may admit. Writes nothing.
--
-- KEYS[1] campaign   hash: ..., run_id
-- KEYS[2] accepted   counter
-- ARGV[1] run_id of the server that this connection leads to
--
-- Returns "whole" | "fenced" (made on another server, or closed) | "lost"
local run_id = redis.call('HGET', KEYS[1], 'run_id')
if not run_id or redis.call('EXISTS', KEYS[2]) == 0 then
  return 'lost'
end
return run_id == ARGV[1] and 'whole' or 'fenced'
