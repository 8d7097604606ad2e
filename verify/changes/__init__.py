"""Changes of campaigns under faults, at random and many times."""
