"""Jobs: what was asked, where it runs, and how far it is."""
