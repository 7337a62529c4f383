"""Evaluation options, shared by the command line, requests and `evaluate`."""

import dataclasses
from dataclasses import dataclass

from crowdbench.api.option_limits import require_options
from crowdbench.api.types import Precision


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Options of `crowdbench.evaluate`.

    Attributes:
        limit: evaluate only the first images of the split.
        batch_size: persons (top-down methods) or images in the network at a time; None takes what suits the
            device. Halved once if memory runs out.
        workers: loader processes; None takes half the CPUs, at most 8.
        seed: the seed for random weights.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        precision: ``"fp32"`` (no TF32 either), ``"bf16"`` or ``"fp16"``.
        compiled: use `torch.compile`, which takes a minute or two to start.
        again: recompute a finished run. The old result is kept until the new one is complete.
        save_every_s: seconds between writes of predictions; a run that is killed loses no more than that.
    """

    limit: int | None = None
    batch_size: int | None = None
    workers: int | None = None
    seed: int = 0
    device: str = "auto"
    precision: Precision = "fp32"
    compiled: bool = False
    again: bool = False
    save_every_s: float = 5.0

    def require_valid(self) -> None:
        """Raise SettingsError if an option is out of range, whatever the method and the machine."""
        require_options(
            seed=self.seed,
            limit=self.limit,
            batch_size=self.batch_size,
            workers=self.workers,
            save_every_s=self.save_every_s,
        )

    def evaluation_options(self) -> "EvaluationOptions":
        """These options alone, of an object that has more."""
        names = [field.name for field in dataclasses.fields(EvaluationOptions)]
        return EvaluationOptions(**{name: getattr(self, name) for name in names})
