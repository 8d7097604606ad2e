-- Reads this server's clock.
SELECT UTC_TIMESTAMP(3)
