"""Tables of runs and published results, ranked only where they are comparable."""
