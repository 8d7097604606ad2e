-- Returns a campaign and how far its claims are, as of one instant. Writes nothing.
--
-- Returns {"whole" | "fenced" | "lost" | "missing" (see prelude.lua), now, accepted without the free ones, the counter,
--          newest_at, outbox, oldest_outbox_at, name, capacity, opens_at, closes_at, state, version}
--         times in ms; oldest_outbox_at "" when nothing is in the outbox; fields of the hash "" where they are not known
local gate, why_not = whole_gate()
local fields = redis.call('HMGET', campaign_key, 'free', 'newest_at', 'name', 'capacity', 'opens_at', 'closes_at', 'state',
  'version')
for i = 1, #fields do
  fields[i] = fields[i] or ''
end
local highest = tonumber(redis.call('GET', accepted_key) or 0)
local oldest = redis.call('ZRANGE', outbox_key, 0, 0, 'WITHSCORES')
return {
  gate and 'whole' or why_not, whole(now_ms()), highest - (tonumber(fields[1]) or 0), highest, fields[2],
  redis.call('ZCARD', outbox_key), oldest[2] or '', unpack(fields, 3),
}
