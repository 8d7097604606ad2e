"""Measures Firstcome against other designs. `make bench` runs all of it."""
