"""The optimizer step: forward and backward passes of some batches, then an update of the weights."""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from crowdbench.api.method import Batch, NetworkMethod
from crowdbench.api.recipe import Recipe
from crowdbench.api.types import Precision
from crowdbench.engine import hooks
from crowdbench.engine.precision import autocast
from crowdbench.engine.seeding import step_seed
from crowdbench.errors import RunError, SettingsError
from crowdbench.training.collectives import Collectives

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer


@dataclass(frozen=True)
class StepResult:
    """The result of a step in this process.

    Attributes:
        losses: the losses by name, summed over persons.
        persons: the number of persons.
        rate: the learning rate of the step.
    """

    losses: dict[str, float]
    persons: int
    rate: float


class Trainer:
    """A network, its optimizer, its loss scaler and its moving average.

    Args:
        method: computes the losses.
        network: on the device of `processes`.
        recipe: how to train.
        processes: share the training.
        precision: the precision of the forward pass; weights stay float32.
        seed: the training's seed.
        compiled: use `torch.compile`.
    """

    def __init__(
        self,
        method: NetworkMethod,
        network: "nn.Module",
        recipe: Recipe,
        processes: Collectives,
        *,
        precision: Precision = "fp32",
        seed: int = 0,
        compiled: bool = False,
    ) -> None:
        import torch

        self.method = method
        self.network = _with_batch_norm(network, recipe, processes)
        self.recipe = recipe
        self.processes = processes
        self.precision = precision
        self.seed = seed
        self._frozen = _freeze(network, recipe)
        self._named = {name: p for name, p in self.network.named_parameters() if p.requires_grad}
        self.optimizer = _optimizer(list(self._named.values()), recipe)
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=precision == "fp16")
        self.average = (
            {n: p.detach().clone() for n, p in self._named.items()} if recipe.ema is not None else None
        )
        if compiled:
            self.network.compile()
        self._wrapped = _distributed(self.network, processes)

    def train_mode(self) -> None:
        """Put the network in training mode, except for its frozen parts."""
        self.network.train()
        for module in self._frozen:
            module.eval()

    def step(self, batches: Sequence[Batch], step: int, epoch: int) -> StepResult:
        """Update the weights once.

        Args:
            batches: their gradients are averaged.
            step: the number of earlier steps.
            epoch: the epoch, from 0.

        Raises:
            RunError: memory ran out.
        """
        import torch

        _seed_all(step_seed(self.seed, self.processes.rank, step))
        rate = self.recipe.rate(epoch) * min(1.0, (step + 1) / max(1, self.recipe.warmup_steps))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        persons = [hooks.count_targets(self.method, batch) for batch in batches]
        try:
            found = [
                self._backward(batch, weight, last=index == len(batches) - 1)
                for index, (batch, weight) in enumerate(zip(batches, self._weights(persons), strict=True))
            ]
        except torch.OutOfMemoryError as error:
            raise RunError(
                f"out of memory with {sum(persons)} persons in {len(batches)} batches: "
                f"{str(error).splitlines()[0]}\n"
                "Set --recipe batch_size=N to fewer images, and --recipe accumulate=M to average M batches."
            ) from error
        if self.recipe.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self._named.values(), self.recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self._update_average()
        return StepResult(_summed(found, persons), sum(persons), rate)

    def _weights(self, persons: Sequence[int]) -> list[float]:
        """The factor of each batch's loss, before gradients are averaged over processes."""
        if self.recipe.loss_reduction == "batches":
            return [1 / len(persons)] * len(persons)
        (total,) = self.processes.all_reduce_sum(sum(persons))
        return [count * self.processes.world_size / max(total, 1) for count in persons]

    def _backward(self, batch: Batch, weight: float, *, last: bool) -> "dict[str, Tensor]":
        import torch

        # Gradients are synchronized between processes once a step.
        wrapped = self._wrapped
        sync = nullcontext() if last or wrapped is self.network else wrapped.no_sync()  # type: ignore[operator]
        with sync:
            with autocast(self.processes.device, self.precision):
                losses = hooks.loss(self.method, wrapped, batch)
            total = torch.stack([loss.float() for loss in losses.values()]).sum()
            self.scaler.scale(total * weight).backward()  # type: ignore[no-untyped-call]
        return {name: loss.detach() for name, loss in losses.items()}

    def _update_average(self) -> None:
        if self.average is None:
            return
        import torch

        assert self.recipe.ema is not None
        torch._foreach_lerp_(list(self.average.values()), list(self._named.values()), 1 - self.recipe.ema)

    def weights(self) -> "dict[str, Tensor]":
        """The weights to keep: parameters, replaced by their moving average if there is one, and buffers."""
        state = dict(self.network.state_dict())
        return state if self.average is None else {**state, **self.average}

    def state(self) -> "dict[str, Tensor]":
        """The other tensors that a checkpoint needs, by name."""
        held: dict[str, Tensor] = {}
        names = list(self._named)
        for index, values in self.optimizer.state_dict()["state"].items():
            held |= {f"optimizer.{names[index]}:{key}": value for key, value in values.items()}
        if self.average is not None:
            held |= {f"network.{name}": parameter for name, parameter in self._named.items()}
        return held

    def load(
        self, weights: "Mapping[str, Tensor]", state: "Mapping[str, Tensor]", scaler: dict[str, Any]
    ) -> None:
        """Restore the state of a checkpoint."""
        self.network.load_state_dict(dict(weights))
        if self.average is not None:
            self.average = {n: p.detach().clone() for n, p in self._named.items()}
            own = {n.removeprefix("network."): t for n, t in state.items() if n.startswith("network.")}
            self.network.load_state_dict(own, strict=False)
        moments: dict[int, dict[str, Tensor]] = {}
        names = {name: index for index, name in enumerate(self._named)}
        for name, tensor in state.items():
            if name.startswith("optimizer."):
                parameter, _, key = name.removeprefix("optimizer.").rpartition(":")
                moments.setdefault(names[parameter], {})[key] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        if scaler:
            self.scaler.load_state_dict(scaler)


def _with_batch_norm(network: "nn.Module", recipe: Recipe, processes: Collectives) -> "nn.Module":
    if recipe.batch_norm != "synchronized" or processes.world_size == 1:
        return network
    if processes.device.type != "cuda":
        raise SettingsError(
            "batch_norm=synchronized needs GPUs: PyTorch does not synchronize batch norms on CPUs.\n"
            "Set --recipe batch_norm=process or batch_norm=frozen."
        )
    from torch import nn

    synchronized: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    return synchronized


def _freeze(network: "nn.Module", recipe: Recipe) -> "list[nn.Module]":
    """Freeze the parameters that the recipe names.

    Returns:
        The modules that stay in eval mode.

    Raises:
        SettingsError: a name matches nothing in the network.
    """
    from torch import nn

    def is_within(name: str, part: str) -> bool:
        return name == part or name.startswith(f"{part}.")

    def frozen(name: str) -> bool:
        return any(is_within(name, part) for part in recipe.freeze)

    names = [name for name, _ in (*network.named_modules(), *network.named_parameters()) if name]
    for part in recipe.freeze:
        if not any(is_within(name, part) for name in names):
            known = sorted({name.split(".", maxsplit=1)[0] for name in names})
            raise SettingsError(
                f"freeze: the network has no part {part!r}; its parts are: {', '.join(known)}."
            )
    for name, parameter in network.named_parameters():
        if frozen(name):
            parameter.requires_grad_(False)
    norms = (nn.modules.batchnorm._BatchNorm,)
    return [
        module
        for name, module in network.named_modules()
        if frozen(name) or (recipe.batch_norm == "frozen" and isinstance(module, norms))
    ]


def _optimizer(parameters: "list[nn.Parameter]", recipe: Recipe) -> "Optimizer":
    from torch import optim

    if not parameters:
        raise SettingsError("freeze leaves nothing to train.")
    common: dict[str, Any] = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
    if recipe.optimizer == "sgd":
        return optim.SGD(parameters, momentum=recipe.momentum, nesterov=recipe.momentum > 0, **common)
    kind = optim.Adam if recipe.optimizer == "adam" else optim.AdamW
    return kind(parameters, betas=recipe.betas, eps=recipe.epsilon, **common)


def _distributed(network: "nn.Module", processes: Collectives) -> "nn.Module":
    if processes.world_size == 1:
        return network
    from torch.nn.parallel import DistributedDataParallel

    devices = [processes.device] if processes.device.type == "cuda" else None
    # Some released networks have parameters that their forward pass never uses.
    return DistributedDataParallel(network, device_ids=devices, find_unused_parameters=True)


def _seed_all(seed: int) -> None:
    import torch

    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  (a method may use the legacy generator)
    random.seed(seed)


def _summed(found: "Sequence[Mapping[str, Tensor]]", persons: Sequence[int]) -> dict[str, float]:
    """Each loss, summed over persons. This synchronizes with the device."""
    import torch

    names = list(found[0])
    values = torch.stack([torch.stack([losses[name].float() for name in names]) for losses in found])
    counts = torch.tensor(persons, dtype=torch.float64)
    return dict(zip(names, (values.double().cpu() * counts[:, None]).sum(dim=0).tolist(), strict=True))


def require_finite(result: StepResult, image_ids: Sequence[int], step: int) -> None:
    """Raise RunError, with the images of the batch, if a loss is not finite."""
    if all(math.isfinite(loss) for loss in result.losses.values()):
        return
    shown = ", ".join(f"{name} {value}" for name, value in result.losses.items())
    raise RunError(
        f"the loss is not finite in step {step + 1} ({shown}).\n"
        f"The images of its batch: {', '.join(map(str, image_ids))}. Check them and their annotations, or "
        "lower the learning rate (--recipe learning_rate=...). The last checkpoint is of an earlier step."
    )


def in_groups(batches: Iterator[Any], size: int, first: int, total: int) -> Iterator[list[Any]]:
    """Group the batches of an epoch by optimizer step; the last group may be smaller.

    Args:
        batches: the batches of the epoch from number `first` on.
        size: batches in a step.
        first: where the epoch resumes; a multiple of `size`.
        total: batches in the epoch.
    """
    for start in range(first, total, size):
        yield [next(batches) for _ in range(min(size, total - start))]
