"""A simulated vCenter on loopback, for tests."""
