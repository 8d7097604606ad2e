-- Counts what a gate has. Writes nothing.
--
-- Returns {claims, those of them in the outbox, sequences noted as issued, erasures}
return {
  call('HLEN', claims_key), call('ZCARD', outbox_key), call('BITCOUNT', issued_key),
  call('HLEN', erased_key),
}
