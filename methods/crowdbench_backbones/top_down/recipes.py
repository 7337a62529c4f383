"""Training recipes of the networks here, and of I2R-Net around them.

The numbers are those of I2R-Net's configurations (Ding et al., IJCAI 2022), one for each network and dataset,
as its code applies them: Adam without weight decay, a cosine over 240 epochs, so many images on each of eight
GPUs. The single-person networks were trained elsewhere, by recipes that the release does not tell; here they
get the numbers of the I2R-Net that they are the first stage of, so that the two differ in nothing else.
"""

from dataclasses import dataclass, field, replace

from crowdbench.api.recipe import Recipe
from crowdbench.api.types import KeypointSet
from crowdbench_backbones.top_down.augmentation import Augmentation

IMAGENET_HRNET, IMAGENET_HRFORMER = "hrnet-w48-s/imagenet", "hrformer-b/imagenet"

# As SimpleBaseline, HRNet and I2R-Net augment.
AUGMENTATION = Augmentation()


@dataclass(frozen=True)
class TopDownRecipe(Recipe):
    """How a top-down heatmap method is trained.

    Attributes:
        augmentation: how strongly images are changed.
        target_sigma: of the Gaussians that heatmaps are trained towards, in heatmap pixels.
    """

    augmentation: Augmentation = field(default_factory=Augmentation)
    target_sigma: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.target_sigma <= 100:
            raise ValueError(f"target_sigma must be above 0 and at most 100, got {self.target_sigma}.")


# The release's name of a network: dataset: learning rate at the beginning and the end, images per GPU.
_RATES = {
    "vanilla": {"crowdpose": (1e-4, 1e-5, 32), "ochuman": (1e-4, 1e-5, 32), "coco": (5e-4, 5e-5, 8)},
    "transpose": {"crowdpose": (1e-4, 1e-5, 4), "ochuman": (1e-4, 1e-5, 8), "coco": (1e-4, 1e-5, 4)},
    # 12 images are for crops of 256x192; at 384x288 the release has 4, and equal rates.
    "hrformer": {"crowdpose": (5e-4, 5e-6, 4), "ochuman": (1e-4, 1e-5, 8), "coco": (1e-4, 1e-5, 12)},
}
# The release trains on all that is labelled but for the split that its figures are on, and chooses the best
# of all epochs on that one. Nothing is left to choose by: the last epoch counts.
_SPLITS = {"crowdpose": "trainval", "ochuman": "val", "coco": "train2017"}


def published(network: str, dataset: str, keypoints: KeypointSet, start: str) -> TopDownRecipe:
    """The recipe of I2R-Net's release for a network on a dataset; CrowdPose's for one that it does not know.

    Args:
        network: ``"vanilla"``, ``"transpose"`` or ``"hrformer"``.
        dataset: by name.
        keypoints: that it labels.
        start: the name of the weights to start from.
    """
    rates = _RATES[network]
    first, last, images = rates.get(dataset, rates["crowdpose"])
    # With CrowdPose's 14 keypoints, 7 visible ones are enough for TransPose and HRFormer to see half a body.
    few = network != "vanilla" and keypoints.name == "crowdpose-14"
    recipe = TopDownRecipe(
        epochs=240,
        batch_size=images,
        processes=8,
        start=start,
        optimizer="adam",
        learning_rate=first,
        schedule="cosine",
        final_learning_rate=last,
        augmentation=replace(AUGMENTATION, half_body_keypoints=6) if few else AUGMENTATION,
    )
    if dataset in _SPLITS:
        return replace(recipe, split=_SPLITS[dataset], validation_split=None)
    return replace(recipe, split="train", validation_split="val")


# For networks that start from nothing, on a data set of a few thousand images; our own numbers.
TINY = TopDownRecipe(
    epochs=15,
    batch_size=8,
    split="train",
    validation_split="val",
    optimizer="adam",
    learning_rate=2e-3,
    schedule="cosine",
    final_learning_rate=2e-5,
    # Milder: they do not have the strength to learn every view.
    augmentation=Augmentation(
        rotation_std=20.0, rotation_limit=45.0, scale_std=0.2, scale_limit=0.25, half_body_probability=0.1
    ),
    # Heatmaps of 32x24 pixels hold sharper peaks than those of 64x48.
    target_sigma=1.5,
)
