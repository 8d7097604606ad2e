-- Sets gate (fields of the campaign), accepted (the counter), claims and free (how many there are), and why_not: nil if this
-- gate may admit, "missing" (no such campaign here), "fenced" (made on another server, or closed: this one may lack claims)
-- or "lost" (a key is gone, or claims are gone from one).
local gate = call('HMGET', campaign_key, 'run_id', 'free', 'surplus', 'capacity', 'opens_at', 'closes_at', 'state', 'pages',
  'held_until')
local accepted, claims, free = tonumber(call('GET', accepted_key)), call('HLEN', claims_key), tonumber(gate[2] or 0)
local why_not
if gate[1] ~= run_id then
  why_not = gate[1] and 'fenced' or 'missing'
elseif not accepted or claims + free < accepted + (gate[3] or 0) or (free > 0 and call('EXISTS', free_key) == 0) then
  why_not = 'lost'
end
