"""Training recipes: everything that determines the trained weights except data, seed and machine."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

_MOST = 1_000_000  # epochs, images, batches
_LONGEST = 1_000_000_000  # steps
_STEEPEST = 1000  # of learning rates and what is like them
OLD_NAMES = {
    "images": "batch_size",
    "least_keypoints": "min_keypoints",
    "drops": "milestones",
    "average": "loss_reduction",
}
"""Earlier names of fields, which `crowdbench.training.recipe_with` accepts for one release."""


@dataclass(frozen=True)
class Recipe:
    """A training recipe. A method publishes one for each dataset; the command line overrides single values.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per batch of one process. The number of persons varies.
        processes: how many the published training used. Not applied: a training runs on as many as it is
            started on, and the learning rate is not scaled.
        split: the split to train on.
        min_keypoints: images with fewer labelled keypoints, of all persons together, are left out.
        validation_split: the split to validate on; None if all labelled images are trained on.
        start: the name of published weights to start from; None for random ones.
        optimizer: Adam, AdamW (decoupled weight decay) or SGD with Nesterov momentum.
        learning_rate: at the beginning, after any warm-up.
        betas, epsilon: of Adam and AdamW.
        momentum: of SGD.
        weight_decay: as the optimizer applies it.
        schedule: of the learning rate, stepped once per epoch. ``"cosine"`` falls to `final_learning_rate`;
            ``"steps"`` multiplies it by `drop_factor` after the epochs in `milestones`.
        warmup_steps: optimizer steps over which the learning rate rises from 0.
        accumulate: batches of a process whose gradients are averaged in one optimizer step.
        clip_norm: gradients of a larger norm are scaled down to it; None for no clipping.
        ema: decay of a moving average of the weights, which is then validated and kept; None for none.
        loss_reduction: how losses are averaged when processes, or accumulated batches, hold different numbers
            of persons. ``"batches"``, as published, weighs all batches equally; ``"persons"`` all persons, so
            that the number of processes changes nothing.
        batch_norm: ``"process"``, as published: statistics of each process's batch; ``"synchronized"``: of
            all processes' (GPUs only); ``"frozen"``: running statistics are used and not updated.
        freeze: parts of the network, by name, whose parameters and batch norm statistics do not change and
            in which dropout is off.
        validate_every: epochs between two validations.
        not_applied: what the published configuration names and the published code does not do.
    """

    epochs: int = 210
    batch_size: int = 8
    processes: int = 1
    split: str = "train"
    min_keypoints: int = 1
    validation_split: str | None = "val"
    start: str | None = None
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine", "steps"] = "cosine"
    final_learning_rate: float = 0.0
    milestones: tuple[int, ...] = ()
    drop_factor: float = 0.1
    warmup_steps: int = 0
    accumulate: int = 1
    clip_norm: float | None = None
    ema: float | None = None
    loss_reduction: Literal["batches", "persons"] = "batches"
    batch_norm: Literal["process", "synchronized", "frozen"] = "process"
    freeze: tuple[str, ...] = ()
    validate_every: int = 1
    not_applied: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "processes", "min_keypoints", "accumulate", "validate_every"):
            value = getattr(self, name)
            _require(1 <= value <= _MOST, name, f"at least 1 and at most {_MOST}", value)
        for name in ("learning_rate", "epsilon"):
            value = getattr(self, name)
            _require(0 < value <= _STEEPEST, name, f"positive and at most {_STEEPEST}", value)
        for name in ("weight_decay", "final_learning_rate"):
            value = getattr(self, name)
            _require(0 <= value <= _STEEPEST, name, f"not negative and at most {_STEEPEST}", value)
        _require(
            0 <= self.warmup_steps <= _LONGEST,
            "warmup_steps",
            f"not negative and at most {_LONGEST}",
            self.warmup_steps,
        )
        for name, value in (("betas", self.betas[0]), ("betas", self.betas[1]), ("momentum", self.momentum)):
            _require(0 <= value < 1, name, "at least 0 and below 1", value)
        _require(0 < self.drop_factor <= 1, "drop_factor", "above 0 and at most 1", self.drop_factor)
        clip = self.clip_norm
        _require(clip is None or 0 < clip < math.inf, "clip_norm", "positive and finite", clip)
        _require(self.ema is None or 0 < self.ema < 1, "ema", "between 0 and 1", self.ema)
        rising = sorted(set(self.milestones))
        _require(list(self.milestones) == rising, "milestones", "rising epochs", self.milestones)

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0, without warm-up."""
        if self.schedule == "constant":
            return self.learning_rate
        if self.schedule == "steps":
            return self.learning_rate * self.drop_factor ** sum(epoch >= drop for drop in self.milestones)
        span = self.learning_rate - self.final_learning_rate
        return self.final_learning_rate + span * (1 + math.cos(math.pi * epoch / self.epochs)) / 2


def _require(holds: bool, name: str, what: str, value: Any) -> None:
    if not holds:
        raise ValueError(f"{name} must be {what}, got {value}.")
