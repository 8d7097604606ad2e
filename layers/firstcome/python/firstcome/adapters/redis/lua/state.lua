-- Tells whether a campaign's gate may admit. Writes nothing.
--
-- Returns "whole" | "fenced" | "lost" (see prelude.lua; a gate that is missing counts as lost)
local gate, why_not = whole_gate()
return gate and 'whole' or why_not == 'missing' and 'lost' or why_not
