-- Admits a user, replays the claim they have, or refuses. The one place where coupons are counted.
--
-- ARGV[2] user
-- ARGV[3] replicas that must confirm a claim before it is sent
-- ARGV[4] coupon code to give, if this call admits the user
-- ARGV[5] how long the caller would remember that all is sold out, ms; 0 for not at all
-- ARGV[6] to ARGV[10] the user's place in `winners`
--
-- Returns {"accepted", claim, outbox 1, issued 0}       a claim was made, and is in the outbox, in the same step
--         {"replayed", claim, outbox 0|1, issued 0|1}   the user had one, see replay.lua
--         {"missing"} {"fenced"} {"lost"}           see gate.lua; nothing was written, as in all that follow
--         {"paused"} {"closed"} {"sold_out"}
--         {"sold_out", for how long it may be remembered (ms), claims, pages, the user's page}
--         {"not_open", opens_at, now}
local HELD_AT_MOST = 1000
local code, remember = ARGV[4], ARGV[5]
local _, _, _, capacity, opens_at, closes_at, state, pages, held_until = unpack(gate)

if why_not then
  return {why_not}
end
if state == 'paused' then
  return {'paused'}
end
if now < tonumber(opens_at) then
  return {'not_open', opens_at, now}
end
if now >= tonumber(closes_at) then
  return {'closed'}
end

-- For how long a gate that was sold out stays so. An instant further ahead comes from a clock that was set back.
local held = (held_until or now) - now
local is_held = held > 0 and held <= HELD_AT_MOST
if free == 0 and (accepted >= tonumber(capacity) or is_held) then
  if remember == '0' or not pages or call('STRLEN', winners_key) ~= pages * PAGE_BITS / 8 + 1 then
    return {'sold_out'}
  end
  local for_ms = math.min(remember, closes_at - now, is_held and held or remember)
  local first_byte = ARGV[6] % pages * PAGE_BITS / 8
  local page = call('GETRANGE', winners_key, first_byte, first_byte + PAGE_BITS / 8 - 1)
  return {'sold_out', for_ms, claims, tonumber(pages), page}
end

-- The first write decides whether there is memory for all of them; so it must be one that Redis refuses when there is none.
local sequence
if free == 0 then
  sequence = call('INCR', accepted_key)
else
  call('HINCRBY', campaign_key, 'free', -1)
  local last
  sequence, last = string.match(call('LINDEX', free_key, 0), '^(%d+)-(%d+)$')
  if sequence == last then
    call('LPOP', free_key)
  else
    call('LSET', free_key, 0, sequence + 1 .. '-' .. last)
  end
end
claim = sequence .. ':' .. code .. ':' .. now
call('HSET', claims_key, user, claim)
call('ZADD', outbox_key, now, user)
call('HSET', campaign_key, 'newest_at', now)
if pages then
  add_winner(pages, 6)
end
return {'accepted', claim, 1, 0}
