-- Tells whether a campaign's gate may admit. Writes nothing.
--
-- Returns "whole" | "fenced" | "lost" (see gate.lua; a gate that is missing counts as lost)
return why_not == 'missing' and 'lost' or why_not or 'whole'
