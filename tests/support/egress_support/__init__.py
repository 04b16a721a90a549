"""What the suites that start servers share. Standard library only."""
