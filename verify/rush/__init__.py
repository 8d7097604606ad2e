"""A rush of users against the stack."""
