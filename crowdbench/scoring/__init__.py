"""Scoring: validate annotations and predictions, and compute statistics with an engine."""
