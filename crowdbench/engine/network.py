"""Build networks with their weights, ready for inference."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from crowdbench.api.method import Method, NetworkMethod
from crowdbench.api.types import Precision
from crowdbench.engine import hooks
from crowdbench.engine.progress import EvaluationProgress
from crowdbench.errors import SettingsError
from crowdbench.system.malloc import retain_freed_memory
from crowdbench.weights import ResolvedWeights, Transfer, resolve_weights
from crowdbench.weights.checkpoint_file.state_dict import put_weights

if TYPE_CHECKING:
    import torch
    from torch import nn


def resolve_method_weights(
    method: Method,
    dataset: str,
    weights: str | Path,
    on_progress: Callable[[EvaluationProgress | Transfer], None] | None,
) -> ResolvedWeights:
    """The weights that an evaluation takes, on this machine; fetched if they are not.

    Args:
        method: for which.
        dataset: its name.
        weights, on_progress: as `evaluate` takes them.

    Raises:
        InputError: there are none, or they are not what was published.
    """
    if method.takes_weights:
        if weights == "none" and not isinstance(method, NetworkMethod):
            raise SettingsError(f"{method.name} does nothing without its file; name one with --weights FILE.")
        size = getattr(method.settings, "input_size", None)
        return resolve_weights(
            weights,
            method=method.name,
            dataset=dataset,
            input_size=size if isinstance(size, tuple) else None,
            on_progress=on_progress,
        )
    if weights not in ("published", "none"):
        raise SettingsError(f"{method.name} takes no weights; leave --weights out.")
    return ResolvedWeights("none needed", None, None, None)


def build_network(
    method: NetworkMethod,
    weights: Path | None,
    *,
    seed: int = 0,
    device: "torch.device",
    precision: Precision = "fp32",
    compiled: bool = False,
    on_note: Callable[[str], None] = lambda note: None,
) -> "nn.Module":
    """The method's network with its weights, in eval mode on a device, made fast for predictions.

    On a CPU, this process keeps memory that it frees from now on (`crowdbench.system.malloc`).

    Args:
        method: whose network.
        weights: a checkpoint; None leaves the network's own random weights.
        seed: of random weights.
        device: where it will run.
        precision, compiled: see `NetworkMethod.optimize_for_inference`.
        on_note: called with what was decided while the weights were read, in sentences for the record.

    Raises:
        WeightsError: the weights do not fit.
    """
    import torch

    torch.manual_seed(seed)
    network = hooks.build_network(method)
    if weights is not None:
        for note in put_weights(network, weights, partial(hooks.convert_state_dict, method)):
            on_note(note)
    # Full float32 where float32 is asked for, and the same algorithm for the same shape every time.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    if device.type == "cpu":
        retain_freed_memory()
    network = network.to(device).eval()
    return hooks.optimize_for_inference(method, network, precision=precision, compiled=compiled)
