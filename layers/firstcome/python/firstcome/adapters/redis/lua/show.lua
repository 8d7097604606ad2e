-- Returns a campaign and how far its claims are, as of one instant. Writes nothing.
--
-- Returns {"whole" | "fenced" | "lost" | "missing" (see gate.lua), now, accepted without the free ones, the counter,
--          newest_at, outbox, oldest_outbox_at, name, capacity, opens_at, closes_at, state, version}
--         times in ms; oldest_outbox_at "" when nothing is in the outbox; fields of the hash "" where they are not known
local fields = call('HMGET', campaign_key, 'newest_at', 'name', 'capacity', 'opens_at', 'closes_at', 'state', 'version')
for i = 1, #fields do
  fields[i] = fields[i] or ''
end
local highest = accepted or 0
local oldest = call('ZRANGE', outbox_key, 0, 0, 'WITHSCORES')
return {
  why_not or 'whole', now, math.max(0, highest - free), highest, fields[1], call('ZCARD', outbox_key), oldest[2] or '',
  unpack(fields, 2),
}
