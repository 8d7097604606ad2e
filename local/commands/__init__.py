"""What `make` starts, one module per command."""
