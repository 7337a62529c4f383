"""Scoring: annotations and predictions, validated, go into an engine; statistics come out."""
