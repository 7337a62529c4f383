"""Training recipe of PINet: the values of its release (Wang et al., NeurIPS 2021) on each dataset."""

from dataclasses import dataclass, field
from typing import Literal

from crowdbench.api.recipe import Recipe
from crowdbench.api.types import KeypointSet
from crowdbench_pinet.augmentation import STRIDE, Augmentation

# The trunk's lowest branch sees one pixel of so many.
_COARSEST = 32


@dataclass(frozen=True)
class Targets:
    """What heatmaps and offsets are trained towards.

    Attributes:
        sigma: of the Gaussians on keypoints, in heatmap pixels.
        part_sigma: of those on part centers.
        background: weight of a heatmap's pixels that are near none of its peaks.
        offset_radius: pixels around a part center that tell where the keypoints are: so many before it, and
            one less behind it.
        smallest_area: persons of smaller boxes, in square pixels of the network's input, have no part
            centers, and so no offsets; their keypoints stand in the heatmaps all the same.
        mask_ignored: exclude the pixels of persons without annotated keypoints (`Sample.ignored`).
    """

    sigma: float = 2.0
    part_sigma: float = 2.0
    background: float = 0.1
    offset_radius: int = 2
    smallest_area: float = 0.0
    mask_ignored: bool = False

    def __post_init__(self) -> None:
        for name in ("sigma", "part_sigma"):
            if not 0 < getattr(self, name) <= 100:
                raise ValueError(f"{name} must be above 0 and at most 100, got {getattr(self, name)}.")
        for name in ("background", "smallest_area"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}.")
        if self.offset_radius < 1:
            raise ValueError(f"offset_radius must be at least 1, got {self.offset_radius}.")


@dataclass(frozen=True)
class Proposing:
    """Which pixels propose poses that the refinement is trained on.

    Attributes:
        limit: of the pixels of each part in an image.
        count: all images of a process's batch have equally many. ``"minimum"``, as released: as many as the
            one with the fewest near part centers; ``"maximum"``: as many as the one with the most; `limit` if
            that is none. Where they do not suffice, pixels of weight 0 are added; they take part in the
            statistics of batch norms, but in no loss.
    """

    limit: int = 40
    count: Literal["minimum", "maximum"] = "minimum"

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"limit must be at least 1, got {self.limit}.")


@dataclass(frozen=True)
class Losses:
    """How the losses are measured and weighed against each other.

    Attributes:
        heatmap, offset, refine: factors of the losses.
        beta: from this difference on, in heatmap pixels, the losses of offsets and of their refinement grow
            linearly.
    """

    heatmap: float = 1.0
    offset: float = 0.03
    refine: float = 0.03
    beta: float = 1 / 9

    def __post_init__(self) -> None:
        for name in ("heatmap", "offset", "refine"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}.")
        if not self.beta > 0:
            raise ValueError(f"beta must be positive, got {self.beta}.")


@dataclass(frozen=True)
class PINetRecipe(Recipe):
    """How PINet is trained.

    Attributes:
        input_size: of the square that is cut out of an image, in pixels.
        augmentation: how strongly images are changed.
        targets: what the network is trained towards.
        proposing: which poses the refinement is trained on.
        losses: how they are weighed.
    """

    input_size: int = 512
    augmentation: Augmentation = field(default_factory=Augmentation)
    targets: Targets = field(default_factory=Targets)
    proposing: Proposing = field(default_factory=Proposing)
    losses: Losses = field(default_factory=Losses)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.input_size < _COARSEST or self.input_size % _COARSEST:
            raise ValueError(f"input_size must be a multiple of {_COARSEST}, got {self.input_size}.")
        if self.proposing.limit > self.heatmap_size**2:
            raise ValueError(
                f"limit must be at most {self.heatmap_size**2}, the pixels of a heatmap, "
                f"got {self.proposing.limit}."
            )

    @property
    def heatmap_size(self) -> int:
        """Height and width of the heatmaps."""
        return self.input_size // STRIDE


IMAGENET = "pinet/imagenet"
# Dataset: epochs, those after which the learning rate falls, images per GPU, split.
_RELEASED = {
    "crowdpose": (300, (200, 260), 20, "trainval"),
    "ochuman": (140, (90, 120), 10, "val"),
    "coco": (140, (90, 120), 20, "train2017"),
}
# Only on CrowdPose every person has part centers, however small.
_SMALLEST_AREA = {"ochuman": 32.0**2, "coco": 32.0**2}
# In all configurations; Adam is built without it.
NOT_APPLIED = {"WD": 1e-4}


def published(dataset: str, keypoints: KeypointSet) -> PINetRecipe:
    """The released recipe of a dataset; CrowdPose's for one that the release does not know.

    The release trains on all that is labelled but for the split that its figures are on, and takes the last
    epoch. What an unknown dataset calls ``train`` and ``val`` is trained on and chosen by.

    Args:
        dataset: by name.
        keypoints: that it labels; the recipe does not depend on them.
    """
    epochs, milestones, images, split = _RELEASED.get(dataset, _RELEASED["crowdpose"])
    known = dataset in _RELEASED
    return PINetRecipe(
        epochs=epochs,
        batch_size=images,
        processes=2,
        split=split if known else "train",
        # The release leaves out COCO's images of 10 keypoints and fewer, and no others.
        min_keypoints=11 if dataset == "coco" else 1,
        validation_split=None if known else "val",
        start=IMAGENET,
        optimizer="adam",
        learning_rate=1e-3,
        schedule="steps",
        milestones=milestones,
        drop_factor=0.1,
        not_applied=NOT_APPLIED,
        targets=Targets(
            smallest_area=_SMALLEST_AREA.get(dataset, 0.0),
            mask_ignored=dataset == "coco",
        ),
    )


# For a network that starts from nothing, on a data set of a few thousand images; our own numbers.
TINY = PINetRecipe(
    epochs=20,
    batch_size=8,
    split="train",
    validation_split="val",
    optimizer="adam",
    learning_rate=2e-3,
    schedule="cosine",
    final_learning_rate=2e-5,
    input_size=256,
    augmentation=Augmentation(smallest_side=0.75, largest_side=1.25, rotation_limit=15.0),
    targets=Targets(sigma=1.5, part_sigma=1.5),
    validate_every=2,
)
