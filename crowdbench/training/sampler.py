"""Which images are in which batch of which process: a function of seed and epoch alone.

A training can therefore resume from any step with identical batches. A step uses the same images for any
number of processes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from crowdbench.engine.seeding import order_generator


@dataclass(frozen=True)
class EpochSampler:
    """The order of the images of a training.

    Attributes:
        images: the number of training images.
        batch: the images in a batch of one process.
        processes: the number of processes.
        seed: the training's seed.
    """

    images: int
    batch: int
    processes: int
    seed: int

    @property
    def batches(self) -> int:
        """The batches of each process in an epoch, including the last one, which may be smaller."""
        return -(-self.images // (self.batch * self.processes))

    def epoch(self, epoch: int, rank: int, first: int = 0) -> Iterator[list[int]]:
        """The batches of a process, as indices of images.

        All processes get the same number of images. If the images cannot be divided evenly, the first ones
        of the epoch are used a second time.

        Args:
            epoch: the epoch, from 0.
            rank: the process.
            first: the number of the first batch to yield.
        """
        shuffled = order_generator(self.seed, epoch).permutation(self.images)
        missing = -self.images % self.processes
        shuffled = np.concatenate([shuffled, np.resize(shuffled, missing)]).astype(int)
        together = self.batch * self.processes
        for batch in range(first, self.batches):
            yield shuffled[batch * together : (batch + 1) * together][rank :: self.processes].tolist()
