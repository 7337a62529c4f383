"""Which code decides a run's numbers: its files, its digest, its state in git."""
