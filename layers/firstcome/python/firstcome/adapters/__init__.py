"""One adapter a port: each translates its driver's errors once, and nothing above it knows the driver."""
