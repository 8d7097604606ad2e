"""The gate on Redis."""
