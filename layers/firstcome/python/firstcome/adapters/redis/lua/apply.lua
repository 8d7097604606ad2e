-- Admits a user, replays the claim they have, or refuses. The one place where coupons are counted.
--
-- ARGV[2] user
-- ARGV[3] coupon code to give, if this call admits the user
-- ARGV[4] replicas that must confirm a claim before it is sent
-- ARGV[5] how long the caller would remember that all is sold out, ms; 0 for not at all
--
-- Returns {"accepted", claim}                       a claim was made, and is in the outbox, in the same step
--         {"replayed", claim, outbox 0|1, issued 0|1}   the user had one
--         {"missing"} {"fenced"} {"lost"}           see prelude.lua; nothing was written, as in all that follow
--         {"paused"} {"closed"} {"sold_out"}
--         {"sold_out", for how long it may be remembered (ms), claims, pages, the user's page}
--         {"not_open", opens_at, now}
local user, code, replicas, remember = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])

local replayed = replay(user, replicas)
if replayed then
  return replayed
end
local gate, why_not = whole_gate()
if not gate then
  return {why_not}
end
if gate.state == 'paused' then
  return {'paused'}
end
local now = now_ms()
if now < tonumber(gate.opens_at) then
  return {'not_open', gate.opens_at, whole(now)}
end
if now >= gate.closes_at then
  return {'closed'}
end

local held = held_for(gate, now)
if gate.free == 0 and (gate.accepted >= gate.capacity or held > 0) then
  if remember == 0 or not gate.pages or redis.call('STRLEN', winners_key) ~= gate.pages * PAGE_BITS / 8 + 1 then
    return {'sold_out'}
  end
  local for_ms = math.min(remember, gate.closes_at - now)
  if held > 0 then
    for_ms = math.min(for_ms, held)
  end
  local first_byte = page_start(redis.sha1hex(user), gate.pages) / 8
  local page = redis.call('GETRANGE', winners_key, first_byte, first_byte + PAGE_BITS / 8 - 1)
  return {'sold_out', for_ms, gate.claims, gate.pages, page}
end

-- The first write decides whether there is memory for all of them; so it must be one that Redis refuses when there is none.
local sequence
if gate.free > 0 then
  redis.call('HINCRBY', campaign_key, 'free', -1)
  local last
  sequence, last = string.match(redis.call('LINDEX', free_key, 0), '^(%d+)-(%d+)$')
  if sequence == last then
    redis.call('LPOP', free_key)
  else
    redis.call('LSET', free_key, 0, sequence + 1 .. '-' .. last)
  end
else
  sequence = redis.call('INCR', accepted_key)
end
local accepted_at = whole(now)
local claim = sequence .. ':' .. code .. ':' .. accepted_at
redis.call('HSET', claims_key, user, claim)
redis.call('ZADD', outbox_key, accepted_at, user)
redis.call('HSET', campaign_key, 'newest_at', accepted_at)
if gate.pages then
  add_winner(user, gate.pages)
end
return {'accepted', claim}
