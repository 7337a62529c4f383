"""Checkpoint files: what they are, whether they are complete, and the tensors in them."""
