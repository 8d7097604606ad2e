-- What the scripts share. scripts.py puts it before each of them, and before it the names of their keys: campaign_key and
-- so on. The keys of a campaign:
--
--   campaign   hash: name, capacity, opens_at, closes_at (ms since the epoch), state (active | paused), version,
--              run_id (of the server whose claims are complete; empty while the gate is fenced),
--              free (how many sequences are in the list of that name), surplus (entries of `claims` that hold no seat of
--              their own), pages (of `winners`), held_until (ms: still sold out until then),
--              newest_at (ms: when the last claim was accepted)
--   accepted   counter: the highest sequence given
--   claims     hash: user -> "sequence:code:accepted_at"
--   outbox     sorted set: user by accepted_at (ms)
--   issued     bitmap by sequence
--   free       list of "first-last": sequences to be given before the counter goes on; none unless a gate was rebuilt
--   winners    bitmap: a Bloom filter of the users who have a claim, in pages of 32,768 bits, see sold_out.py
--   fence      hash, only while a gate is fenced for its rebuild: since (ms), ledger_since (ms by the ledger's clock),
--              on (run_id), phase, position (where the rebuild goes on), taken (how many are), listed (the free ones
--              below it are in `free`)
--   taken      bitmap by sequence, only during a rebuild: those that somebody has
--   erased     hash: "sequence:code" -> pseudonym
--   reconcile  hash: notes of the reconciliation
--   answers    hash: code -> how many applications were answered so without a claim, a lower bound
--
-- ARGV[1] is always the run_id of the server that this connection leads to.
local run_id = ARGV[1]
local PAGE_BITS, WINNERS_A_PAGE = 32768, 2048
local HELD_AT_MOST = 1000

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Lua writes large numbers with an exponent.
local function whole(number)
  return string.format('%.0f', number)
end

local function sequence_of(claim)
  return string.match(claim, '^%d+')
end

-- WAIT covers only what its own connection wrote: so what will be sent is written once more.
local function write_again(user, claim, replicas)
  if tonumber(replicas) > 0 then
    redis.call('HSET', claims_key, user, claim)
  end
end

-- Returns {"replayed", claim, outbox 0|1, issued 0|1}, or nil when the user has no claim.
local function replay(user, replicas)
  local claim = redis.call('HGET', claims_key, user)
  if not claim then
    return nil
  end
  local outbox = redis.call('ZSCORE', outbox_key, user) and 1 or 0
  if outbox == 1 then
    write_again(user, claim, replicas)
  end
  return {'replayed', claim, outbox, redis.call('GETBIT', issued_key, sequence_of(claim))}
end

-- Returns the gate if it may admit, else nil and why not: "missing" (no such campaign here), "fenced" (it was made on
-- another server, or closed: this one may lack claims) or "lost" (a key is gone, or claims are gone from one).
local function whole_gate()
  local fields = redis.call('HMGET', campaign_key, 'run_id', 'free', 'surplus', 'capacity', 'opens_at', 'closes_at',
    'state', 'pages', 'held_until')
  if not fields[1] then
    return nil, 'missing'
  end
  if fields[1] ~= run_id then
    return nil, 'fenced'
  end
  local accepted, free = tonumber(redis.call('GET', accepted_key)), tonumber(fields[2] or 0)
  local claims = redis.call('HLEN', claims_key)
  if not accepted or claims + free < accepted + (fields[3] or 0) or (free > 0 and redis.call('EXISTS', free_key) == 0) then
    return nil, 'lost'
  end
  return {
    accepted = accepted, free = free, claims = claims, capacity = tonumber(fields[4]), opens_at = fields[5],
    closes_at = tonumber(fields[6]), state = fields[7], pages = tonumber(fields[8]), held_until = tonumber(fields[9] or 0),
  }
end

-- For how long a gate that was sold out stays so, ms; an instant further ahead comes from a clock that was set back.
local function held_for(gate, now)
  local left = gate.held_until - now
  return left <= HELD_AT_MOST and left or 0
end

-- All of it at once, so that no claim has to wait for the memory. The byte behind the last page tells it from a filter that
-- was lost and begun anew by the next winner.
local function lay_out_winners(capacity)
  local pages = math.ceil(capacity / WINNERS_A_PAGE)
  redis.call('SETBIT', winners_key, whole(pages * PAGE_BITS), 1)
  redis.call('HSET', campaign_key, 'pages', pages)
end

-- First bit of the page of `winners` that a user belongs to.
local function page_start(digest, pages)
  return tonumber(string.sub(digest, 1, 8), 16) % pages * PAGE_BITS
end

local function add_winner(user, pages)
  local digest, bits = redis.sha1hex(user), {}
  local start = page_start(digest, pages)
  for i = 9, 21, 4 do
    bits[#bits + 1] = 'SET'
    bits[#bits + 1] = 'u1'
    bits[#bits + 1] = whole(start + tonumber(string.sub(digest, i, i + 3), 16) % PAGE_BITS)
    bits[#bits + 1] = 1
  end
  redis.call('BITFIELD', winners_key, unpack(bits))
end

local function set_bit(bits, sequence)
  local at = #bits
  bits[at + 1], bits[at + 2], bits[at + 3], bits[at + 4] = 'SET', 'u1', sequence, 1
end

-- Takes sequences for a rebuild, and has the counter go on behind them. Their number is kept, should the bitmap get lost.
local function take(bits, highest)
  local taken = 0
  for _, was in ipairs(redis.call('BITFIELD', taken_key, unpack(bits))) do
    taken = taken + 1 - was
  end
  redis.call('HINCRBY', fence_key, 'taken', taken)
  if highest > tonumber(redis.call('GET', accepted_key) or 0) then
    redis.call('SET', accepted_key, whole(highest))
  end
end

local function list_anew()
  redis.call('UNLINK', free_key)
  redis.call('HSET', campaign_key, 'free', 0)
  redis.call('HDEL', fence_key, 'listed')
end

local function begin_anew()
  list_anew()
  redis.call('UNLINK', taken_key)
  redis.call('HDEL', fence_key, 'phase', 'position', 'taken')
end

-- Whether a rebuild still has the fence before it that it was told of, on the server where that was raised.
local function is_same_fence(since, on)
  local fence = redis.call('HMGET', fence_key, 'since', 'on')
  return on == run_id and fence[1] == since and fence[2] == on
end
