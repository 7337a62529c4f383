"""Run a method on a dataset: sharded, resumable and recorded."""
