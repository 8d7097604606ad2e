"""The domain: values and rules. No I/O, and no client library."""
