"""Jobs: what was requested, where it runs, and its progress."""
