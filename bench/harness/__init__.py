"""What the parts measure with."""
