"""Running a method on a dataset: sharded, resumable, recorded."""
