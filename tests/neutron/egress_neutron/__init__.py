"""Real Keystone and Neutron on loopback, for tests."""
