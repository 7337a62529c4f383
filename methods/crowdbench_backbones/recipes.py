"""How the networks here, and those of I2R-Net around them, are trained.

The numbers are those of I2R-Net's configurations (Ding et al., IJCAI 2022), one for each network and dataset,
as its code applies them: Adam without weight decay, a cosine over 240 epochs, so many images on each of eight
GPUs. The single-person networks were trained elsewhere, by recipes that the release does not tell; here they
get the numbers of the I2R-Net that they are the first stage of, so that the two differ in nothing else.
"""

from dataclasses import replace

from crowdbench.recipe import Recipe
from crowdbench.types import KeypointSet
from crowdbench_backbones.augmentation import Augmentation

IMAGENET_HRNET, IMAGENET_HRFORMER = "hrnet-w48-s/imagenet", "hrformer-b/imagenet"

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


def published(network: str, dataset: str, start: str) -> Recipe:
    """The recipe of I2R-Net's release for a network on a dataset; CrowdPose's for one that it does not know.

    Args:
        network: ``"vanilla"``, ``"transpose"`` or ``"hrformer"``.
        dataset: by name.
        start: the name of the weights to start from.
    """
    rates = _RATES[network]
    first, last, images = rates.get(dataset, rates["crowdpose"])
    recipe = Recipe(
        epochs=240,
        images=images,
        processes=8,
        start=start,
        optimizer="adam",
        learning_rate=first,
        schedule="cosine",
        final_learning_rate=last,
    )
    if dataset in _SPLITS:
        return replace(recipe, split=_SPLITS[dataset], validation_split=None)
    return replace(recipe, split="train", validation_split="val")


# For networks that start from nothing, on a data set of a few thousand images; our own numbers.
TINY = Recipe(
    epochs=60,
    images=8,
    split="train",
    validation_split="val",
    optimizer="adam",
    learning_rate=2e-3,
    schedule="cosine",
    final_learning_rate=2e-5,
)

# As SimpleBaseline, HRNet and I2R-Net augment.
AUGMENTATION = Augmentation()
# Milder, for networks that do not have the strength to learn every view.
TINY_AUGMENTATION = Augmentation(rotation_std=30.0, rotation_limit=60.0, scale_std=0.25, scale_limit=0.25)


def transformer_augmentation(keypoints: KeypointSet) -> Augmentation:
    """Of TransPose and HRFormer: with CrowdPose's 14 keypoints, 7 visible ones are enough for a half body."""
    return replace(AUGMENTATION, half_body_keypoints=6) if keypoints.name == "crowdpose-14" else AUGMENTATION
