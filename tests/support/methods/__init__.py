"""Small methods for tests: some work, some fail in a known way."""
