-- Admits a user, replays the claim they have, or refuses. The one place where coupons are counted.
--
-- KEYS[1] campaign   hash: name, capacity, opens_at, closes_at (ms since the epoch), state (active | paused), run_id,
--                    pages (of `winners`; absent when they are not kept), held_until (ms: still sold out until then)
-- KEYS[2] accepted   counter: the highest sequence given
-- KEYS[3] claims     hash: user -> "sequence:code:accepted_at"
-- KEYS[4] outbox     sorted set: user by accepted_at (ms)
-- KEYS[5] issued     bitmap by sequence
-- KEYS[6] free       list: sequences to be given before the counter goes on; there are none unless a gate was rebuilt
-- KEYS[7] winners    bitmap: a Bloom filter of the users who have a claim, in pages of 32,768 bits, see sold_out.py
-- ARGV[1] user
-- ARGV[2] coupon code to give, if this call admits the user
-- ARGV[3] replicas that must confirm a claim before it is sent
-- ARGV[4] how long the caller would remember that all is sold out, ms; 0 for not at all
-- ARGV[5] run_id of the server that this connection leads to
--
-- Returns {"accepted", claim}                       a claim was made, and noted as outbox in the same step
--         {"replayed", claim, outbox 0|1, issued 0|1}   the user had one
--         {"missing"}                               no such campaign here; nothing was written, as in all that follow
--         {"lost"}                                  the campaign without its counter: never start again at 1
--         {"fenced"}                                the gate was made on another server: this one may lack claims
--         {"paused"} {"closed"} {"sold_out"}
--         {"sold_out", for how long it may be remembered (ms), claims, pages, the user's page}
--         {"not_open", opens_at, now}
local campaign_key, accepted_key, claims_key = KEYS[1], KEYS[2], KEYS[3]
local outbox_key, issued_key, free_key, winners_key = KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local user, code, confirmations, remember, run_id = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local PAGE_BITS = 32768

local claim = redis.call('HGET', claims_key, user)
if claim then
  local outbox = redis.call('ZSCORE', outbox_key, user) and 1 or 0
  if outbox == 1 and tonumber(confirmations) > 0 then
    -- Written once more, because WAIT covers only what its own connection wrote.
    redis.call('HSET', claims_key, user, claim)
  end
  local issued = redis.call('GETBIT', issued_key, string.match(claim, '^%d+'))
  return {'replayed', claim, outbox, issued}
end

local fields = redis.call('HMGET', campaign_key, 'capacity', 'opens_at', 'closes_at', 'state', 'run_id', 'pages',
  'held_until')
local capacity, opens_at, closes_at, state, made_on = fields[1], fields[2], fields[3], fields[4], fields[5]
local pages, held_until = tonumber(fields[6]), tonumber(fields[7] or '0')
if not capacity then
  return {'missing'}
end
if made_on ~= run_id then
  return {'fenced'}
end
if state == 'paused' then
  return {'paused'}
end

local function page_start(digest)
  return tonumber(string.sub(digest, 1, 8), 16) % pages * PAGE_BITS
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now < tonumber(opens_at) then
  return {'not_open', opens_at, string.format('%.0f', now)}
end
if now >= tonumber(closes_at) then
  return {'closed'}
end

local accepted = redis.call('GET', accepted_key)
if not accepted then
  return {'lost'}
end
local has_free = redis.call('EXISTS', free_key) == 1
if not has_free and (tonumber(accepted) >= tonumber(capacity) or now < held_until) then
  if not pages or remember == 0 then
    return {'sold_out'}
  end
  local for_ms = math.min(remember, closes_at - now)
  if now < held_until then
    for_ms = math.min(for_ms, held_until - now)
  end
  local first_byte = page_start(redis.sha1hex(user)) / 8
  local page = redis.call('GETRANGE', winners_key, first_byte, first_byte + PAGE_BITS / 8 - 1)
  return {'sold_out', for_ms, redis.call('HLEN', claims_key), pages, page}
end

-- The first write decides whether there is memory for all of them; so it must be one that Redis refuses when there is none.
local sequence = has_free and redis.call('LPOP', free_key) or redis.call('INCR', accepted_key)
local accepted_at = string.format('%.0f', now)
claim = sequence .. ':' .. code .. ':' .. accepted_at
redis.call('HSET', claims_key, user, claim)
redis.call('ZADD', outbox_key, accepted_at, user)
if pages then
  local digest, bits = redis.sha1hex(user), {}
  local start = page_start(digest)
  for i = 9, 21, 4 do
    bits[#bits + 1] = 'SET'
    bits[#bits + 1] = 'u1'
    bits[#bits + 1] = string.format('%.0f', start + tonumber(string.sub(digest, i, i + 3), 16) % PAGE_BITS)
    bits[#bits + 1] = 1
  end
  redis.call('BITFIELD', winners_key, unpack(bits))
end
return {'accepted', claim}
