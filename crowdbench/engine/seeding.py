"""Random number streams of a training, each derived from its purpose.

None is ever saved: a training that goes on asks for the same stream again.
"""

import numpy as np

# What numbers are drawn for; streams of different use never meet.
_ORDER, _EXAMPLE, _STEP = range(3)


def order_generator(seed: int, epoch: int) -> np.random.Generator:
    """What the images of an epoch are shuffled with."""
    return np.random.default_rng([seed, _ORDER, epoch])


def example_generator(seed: int, epoch: int, image: int) -> np.random.Generator:
    """What an image is augmented with in an epoch, whichever worker of whichever process prepares it."""
    return np.random.default_rng([seed, _EXAMPLE, epoch, image])


def step_seed(seed: int, rank: int, step: int) -> int:
    """What a process's own random numbers (dropout) begin with in a step."""
    return int(np.random.default_rng([seed, _STEP, rank, step]).integers(2**63))
