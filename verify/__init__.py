"""What proves the guarantees."""
