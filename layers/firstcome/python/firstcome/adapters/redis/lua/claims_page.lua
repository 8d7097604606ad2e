-- Returns some of a gate's claims. Writes nothing.
--
-- ARGV[2] position: empty at first; one of another server begins at the front, whose cursors mean nothing here
-- ARGV[3] claims at least, unless there are no more
--
-- Returns {the next position, empty at the end, {user, claim, user, claim, ...}}
local begun_on, cursor = string.match(ARGV[2], '^(.*):(%d+)$')
local page = call('HSCAN', claims_key, begun_on == run_id and cursor or '0', 'COUNT', ARGV[3])
return {page[1] == '0' and '' or run_id .. ':' .. page[1], page[2]}
