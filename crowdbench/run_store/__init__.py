"""Run directories: where runs are kept, found, and written by one process at a time."""
