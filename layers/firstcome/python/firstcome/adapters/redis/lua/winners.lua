-- Takes note of a user in `winners`, from the five arguments that begin at this place.
local function add_winner(pages, at)
  local start = ARGV[at] % pages * PAGE_BITS
  call('BITFIELD', winners_key, 'SET', 'u1', start + ARGV[at + 1], 1, 'SET', 'u1', start + ARGV[at + 2], 1,
    'SET', 'u1', start + ARGV[at + 3], 1, 'SET', 'u1', start + ARGV[at + 4], 1)
end
