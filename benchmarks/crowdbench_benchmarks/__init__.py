"""The room of published results and suites, which are data."""
