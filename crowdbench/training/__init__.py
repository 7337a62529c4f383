"""Training: the loop, and what it needs to be repeated, continued and shared among processes.

- `processes`: of one training, as a launcher started them.
- `order`: which images are in which batch.
- `step`: some batches forward and backward, then the weights move.
- `checkpoint`: a training at one moment, whole on disk.
- `validation`: scoring on the way.
- `metrics`: what is measured on the way, and who follows it.
- `reporting`: how it goes, told after every step.
- `record`: what was done, and the directory it lies in.
- `meeting`: how processes on several machines find each other.
- `plan`: what is settled before it begins.
- `loop`: all of it in order.
"""

from crowdbench.training.progress import TrainingProgress
from crowdbench.training.record import TrainingRecord, TrainingRun
from crowdbench.training.train import recipe_with, train

__all__ = ["TrainingProgress", "TrainingRecord", "TrainingRun", "recipe_with", "train"]
