-- Returns the claim a user has, see replay.lua; the rest is for those who have none.
--
-- Returns {"none"}
--         {"missing"} {"fenced"} {"lost"}   see gate.lua: this gate cannot tell that the user has none
return {why_not or 'none'}
