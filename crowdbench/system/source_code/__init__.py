"""The code that determines a run's numbers: its files, digest and git state."""
