"""Training recipes of I2R-Net.

The numbers lie in `crowdbench_backbones.top_down.recipes`, because the single-person networks borrow them.
"""

from dataclasses import replace

from crowdbench.api.types import KeypointSet
from crowdbench_backbones.top_down.recipes import IMAGENET_HRFORMER, IMAGENET_HRNET, TopDownRecipe
from crowdbench_backbones.top_down.recipes import published as published_for

# In all of the release's configurations, by their names there; its code reads none of them, or for nothing.
NOT_APPLIED = {
    "WD": 0.1,
    "MOMENTUM": 0.9,
    "NESTEROV": False,
    "GAMMA1": 0.99,
    "GAMMA2": 0.0,
    "LR_STEP": (50, 100, 150, 200),
    "LR_FACTOR": 0.25,
}
# On these the release has trained first stages; elsewhere training starts from ImageNet's trunks.
_FIRST_STAGES = {
    "transpose": ("transpose-h", IMAGENET_HRNET),
    "hrformer": ("hrformer-b", IMAGENET_HRFORMER),
}
_KNOWN = ("crowdpose", "ochuman", "coco")


def published(network: str, dataset: str, keypoints: KeypointSet) -> TopDownRecipe:
    """The recipe of a network (``"vanilla"``, ``"transpose"``, ``"hrformer"``) on a dataset, by name."""
    recipe = published_for(network, dataset, keypoints, _start(network, dataset))
    return replace(recipe, not_applied=NOT_APPLIED)


def _start(network: str, dataset: str) -> str:
    if network not in _FIRST_STAGES:
        return IMAGENET_HRNET
    first_stage, trunk = _FIRST_STAGES[network]
    return f"{first_stage}/{dataset}" if dataset in _KNOWN else trunk
