"""Many runs at once: which are planned, which are missing, and their submission."""
