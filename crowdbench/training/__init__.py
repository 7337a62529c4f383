"""Training: from a recipe to weights, repeatable, resumable and shared among processes.

- `setup`: what is decided before it begins; `record`: what was done, and its directory.
- `train`: everything in order.
- `sampler`: which images are in which batch of which process.
- `trainer`: some batches forward and backward, then an optimizer step.
- `collectives`, `rendezvous`: what several processes do together, and how they find each other.
- `checkpoint`: a training at one moment, complete on disk.
- `validate`, `metrics`, `progress`: what is measured meanwhile, and where it is reported.
"""

from crowdbench.training.progress import TrainingProgress
from crowdbench.training.record import TrainingRecord, TrainingRun
from crowdbench.training.train import recipe_with, train

__all__ = ["TrainingProgress", "TrainingRecord", "TrainingRun", "recipe_with", "train"]
