"""What breaks the local stack while clients use it, and judges the end: the parts of `make faults-long`."""
