"""Read and write files that others may write, damage or hold at the same time."""
