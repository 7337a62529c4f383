"""Checkpoint files: their formats, completeness and tensors."""
