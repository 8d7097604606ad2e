-- What the scripts share that fence and rebuild a gate; functions, because none is called for each user.
local WINNERS_PER_PAGE, PAGES_AT_MOST = 2048, 2048

-- All of it at once, so that no claim has to wait for the memory, and at most 8 MB, so that nobody else has to. The byte
-- behind the last page tells it from a filter that was lost and begun anew by the next winner.
local function lay_out_winners(capacity)
  local pages = math.min(math.ceil(capacity / WINNERS_PER_PAGE), PAGES_AT_MOST)
  call('SETBIT', winners_key, pages * PAGE_BITS, 1)
  call('HSET', campaign_key, 'pages', pages)
end

local function set_bit(bits, sequence)
  local at = #bits
  bits[at + 1], bits[at + 2], bits[at + 3], bits[at + 4] = 'SET', 'u1', sequence, 1
end

-- Takes sequences for a rebuild, and has the counter go on behind them. Their number is kept, should the bitmap get lost.
local function take(bits, highest)
  local taken = 0
  for _, was in ipairs(call('BITFIELD', taken_key, unpack(bits))) do
    taken = taken + 1 - was
  end
  call('HINCRBY', fence_key, 'taken', taken)
  if highest > tonumber(call('GET', accepted_key) or 0) then
    call('SET', accepted_key, highest)
  end
end

local function list_anew()
  call('UNLINK', free_key)
  call('HSET', campaign_key, 'free', 0)
  call('HDEL', fence_key, 'listed')
end

local function begin_anew()
  list_anew()
  call('UNLINK', taken_key)
  call('HDEL', fence_key, 'phase', 'position', 'taken')
end

-- Whether a rebuild still has the fence before it that it was told of, on the server where that was raised.
local function is_same_fence(since, on)
  local fence = call('HMGET', fence_key, 'since', 'on')
  return on == run_id and fence[1] == since and fence[2] == on
end
