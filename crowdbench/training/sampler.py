"""Which images are in which batch of which process: a function of seed and epoch, and of nothing else.

That is what lets a training go on from any step as if nothing had happened. A step takes the same images
however many processes share it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from crowdbench.engine.seeding import order_generator


@dataclass(frozen=True)
class EpochSampler:
    """The order of the images of a training.

    Attributes:
        images: how many there are to train on.
        batch: images of a process's batch.
        processes: how many share the work.
        seed: of the training.
    """

    images: int
    batch: int
    processes: int
    seed: int

    @property
    def batches(self) -> int:
        """Batches of each process in an epoch. The last one may be smaller; it is never left out."""
        return -(-self.images // (self.batch * self.processes))

    def epoch(self, epoch: int, rank: int, first: int = 0) -> Iterator[list[int]]:
        """The batches of a process, as positions of images.

        All processes have equally many images in a batch: if they cannot, the epoch's first images are taken
        a second time.

        Args:
            epoch: from 0.
            rank: of the process.
            first: begin with this batch.
        """
        shuffled = order_generator(self.seed, epoch).permutation(self.images)
        missing = -self.images % self.processes
        shuffled = np.concatenate([shuffled, np.resize(shuffled, missing)]).astype(int)
        together = self.batch * self.processes
        for batch in range(first, self.batches):
            yield shuffled[batch * together : (batch + 1) * together][rank :: self.processes].tolist()
