-- Counts what a gate has. Writes nothing.
--
-- Returns {claims, those of them in the outbox, sequences noted as issued, erasures}
return {
  redis.call('HLEN', claims_key), redis.call('ZCARD', outbox_key), redis.call('BITCOUNT', issued_key),
  redis.call('HLEN', erased_key),
}
