"""Training: from a recipe to weights, repeatable, resumable and shared among processes.

- `train`: the entry point; `setup`: options, images and the new record; `loop`: epochs and validations.
- `trainer`: one optimizer step; `sampler`: which images are in which batch of which process.
- `output`: everything that is written: `record` and its directory, `checkpoint`.
- `collectives`, `rendezvous`: communication between processes, and how they find each other.
- `validate`, `metrics`, `progress`: what is measured, and where it is reported.
"""

from crowdbench.training.progress import TrainingProgress
from crowdbench.training.record import TrainingRecord, TrainingRun
from crowdbench.training.train import recipe_with, train

__all__ = ["TrainingProgress", "TrainingRecord", "TrainingRun", "recipe_with", "train"]
