"""Settings for prediction and training. Runs and trainings record all of them."""

from dataclasses import dataclass

from crowdbench.api.recipe import Recipe

from .network import DEEPEST


@dataclass(frozen=True)
class ImageSettings:
    """All that can change a prediction. Users change it with ``--set flip_test=false``.

    Attributes:
        input_size: (height, width) of the network's input, in pixels.
        flip_test: average what the network finds with what it finds in the mirrored image.
        max_people: poses of an image, at most.
        min_score: centers with a lower probability are dropped.
        nms_threshold: of two poses whose OKS is above it, the better one stays.
    """

    input_size: tuple[int, int] = (256, 320)
    flip_test: bool = True
    max_people: int = 30
    min_score: float = 0.05
    nms_threshold: float = 0.7

    def __post_init__(self) -> None:
        if any(side < DEEPEST or side % DEEPEST for side in self.input_size):
            raise ValueError(f"input_size must be multiples of {DEEPEST}, got {self.input_size}.")
        if self.max_people < 1:
            raise ValueError(f"max_people must be at least 1, got {self.max_people}.")


@dataclass(frozen=True)
class TrainingRecipe(Recipe):
    """All that can change the weights. Users change it with ``--recipe scaling=1``.

    Attributes:
        center_sigma: of the Gaussians that centres are trained towards, in cells.
        offset_weight: of the loss of offsets beside that of centres.
        scaling: images are enlarged, or reduced, by up to this factor.
    """

    epochs: int = 60
    batch_size: int = 4
    learning_rate: float = 2e-3
    final_learning_rate: float = 2e-5
    center_sigma: float = 1.5
    offset_weight: float = 2.0
    scaling: float = 1.2
