"""Writers of the small files that tests read."""
