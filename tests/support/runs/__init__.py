"""Runs and report pages that tests start from."""
