"""Queues and clusters to submit jobs to in tests."""
