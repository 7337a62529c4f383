"""Check that the method can learn from its own examples with its own loss."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from crowdbench.api.method import Batch, NetworkMethod
from crowdbench.errors import SettingsError
from crowdbench.testing.equality import difference, own_randomness, random_state
from crowdbench.testing.outcome import Check, Failed, NotApplicable, Outcome, Passed
from crowdbench.testing.subject import MethodSubject

if TYPE_CHECKING:
    from torch import Tensor, nn

_STEPS = 3
# Of the weights' length, the longest step first.
_STEP_LENGTHS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
_WHY_LOSS = "crowdbench train would spend days on a network that cannot learn."
_WHY_DRAWS = (
    "trainings are repeated, continued and shared among processes by giving each image its own generator; "
    "whatever else is asked for random numbers is not repeated."
)


def _in_training(subject: MethodSubject) -> NetworkMethod:
    """A new method instance, configured with its recipe."""
    subject.require_network()
    subject.require_answers()
    method = subject.fresh_method()
    assert isinstance(method, NetworkMethod)
    try:
        recipe = type(method).published_recipe(subject.dataset, method.keypoints)
    except SettingsError as error:
        raise NotApplicable(f"the method cannot be trained: {error}") from None
    method.configure_training(recipe)
    return method


def check_preparation(subject: MethodSubject) -> Outcome:
    """An augmented example, twice with equal generators and other global random numbers."""
    method = _in_training(subject)
    sample = subject.sample(subject.small[0])
    examples = []
    for seed in (1, 2):
        with own_randomness(seed):
            before = random_state()
            examples.append(method.prepare(sample, np.random.default_rng(7)))
            if difference(before, random_state()):
                return Failed(
                    "random numbers from the given generator only",
                    "the global generators of Python, numpy or PyTorch were asked",
                    _WHY_DRAWS,
                )
    found = difference(examples[0], examples[1], "the example")
    if found:
        return Failed("equal examples from equal generators", found, _WHY_DRAWS)
    return Passed()


def check_training(subject: MethodSubject) -> Outcome:
    """A few steps of plain gradient descent on one batch.

    Each is shortened until the loss decreases. With the same dropout before and after, a short enough step
    along a true gradient always decreases it, whatever the network and however unlucky its random weights.
    """
    method = _in_training(subject)
    rng = np.random.default_rng(8)
    batch = method.collate([method.prepare(subject.sample(scene), rng) for scene in subject.small[:2]])
    counted = method.count_targets(batch)
    if counted < 1:
        return Failed("a batch of at least one person or image", f"counted says {counted}", _WHY_LOSS)
    losses = _losses(method, batch)
    if not np.isfinite(losses).all():
        return Failed("a finite loss", f"losses {_shown(losses)}", _WHY_LOSS)
    if len(losses) <= _STEPS:
        return Failed(
            f"a loss that decreases in {_STEPS} steps along its gradient, on one batch",
            f"losses {_shown(losses)}, and no step from there, however short, that decreases it",
            _WHY_LOSS,
        )
    return Passed(f"loss {losses[0]:.4g} → {losses[-1]:.4g} in {_STEPS} steps")


def _losses(method: NetworkMethod, batch: Batch) -> list[float]:
    """The loss at the start and after each step; it ends where no step decreases the loss."""
    import torch

    with own_randomness(0):
        network = method.build_network().train()
    weights = [p for p in network.parameters() if p.requires_grad]

    def loss() -> "Tensor":
        with own_randomness(0):
            return torch.stack([loss.float() for loss in method.loss(network, batch).values()]).sum()

    losses = [float(loss().detach())]
    for _ in range(_STEPS):
        network.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        after = _descend([p for p in weights if p.grad is not None], loss, losses[-1])
        if after is None:
            break
        losses.append(after)
    return losses


def _descend(weights: "list[nn.Parameter]", loss: "Callable[[], Tensor]", now: float) -> float | None:
    """Take the longest of some steps against the gradient that decreases the loss; the loss after it."""
    import torch

    gradients = [p.grad for p in weights if p.grad is not None]
    length = _norm(gradients)
    if not 0 < length < np.inf:
        return None
    before = [p.detach().clone() for p in weights]
    unit = max(_norm(before), 1e-3) / length
    with torch.no_grad():
        for step in _STEP_LENGTHS:
            for weight, old, gradient in zip(weights, before, gradients, strict=True):
                weight.copy_(old - step * unit * gradient)
            after = float(loss().detach())
            if after < now:
                return after
    return None


def _norm(tensors: "list[Tensor]") -> float:
    import torch

    return float(torch.stack([tensor.double().square().sum() for tensor in tensors]).sum().sqrt())


def _shown(losses: list[float]) -> str:
    return ", ".join(f"{loss:.4g}" for loss in losses)


CHECKS = (
    Check(
        "preparation",
        "are training examples drawn from their generator alone?",
        check_preparation,
        _WHY_DRAWS,
    ),
    Check("training", "does the loss decrease in a few steps?", check_training, _WHY_LOSS),
)
