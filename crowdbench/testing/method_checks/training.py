"""Can the method learn, from its own examples and by its own loss?"""

import numpy as np

from crowdbench.errors import SettingsError
from crowdbench.method import Batch, NetworkMethod
from crowdbench.recipe import Recipe
from crowdbench.testing.outcome import Check, Failed, Outcome, Passed, Unanswerable
from crowdbench.testing.subject import MethodSubject, own_randomness, random_state
from crowdbench.testing.values import difference

_STEPS = 6
_WHY_LOSS = "crowdbench train would spend days on a network that cannot learn."
_WHY_DRAWS = (
    "trainings are repeated, continued and shared among processes by giving each image its own generator; "
    "whatever else is asked for random numbers is not repeated."
)


def _in_training(subject: MethodSubject) -> tuple[NetworkMethod, Recipe]:
    """A method of its own, told its recipe."""
    subject.require_network()
    subject.require_answers()
    method = subject.fresh_method()
    assert isinstance(method, NetworkMethod)
    try:
        recipe = type(method).published_recipe(subject.dataset, method.keypoints)
    except SettingsError as error:
        raise Unanswerable(f"the method cannot be trained: {error}") from None
    method.train_with(recipe)
    return method, recipe


def check_preparation(subject: MethodSubject) -> Outcome:
    """An augmented example, twice with equal generators and other global random numbers."""
    method, _ = _in_training(subject)
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
    """A few steps on one batch, by Adam at the recipe's learning rate."""
    method, recipe = _in_training(subject)
    rng = np.random.default_rng(8)
    batch = method.collate([method.prepare(subject.sample(scene), rng) for scene in subject.small[:2]])
    counted = method.counted(batch)
    if counted < 1:
        return Failed("a batch of at least one person or image", f"counted says {counted}", _WHY_LOSS)
    losses = _losses(subject, method, recipe, batch)
    if not np.isfinite(losses).all():
        return Failed("a finite loss", f"losses {_shown(losses)}", _WHY_LOSS)
    if not min(losses[-2:]) < losses[0]:
        return Failed(
            f"a loss that decreases in {_STEPS} steps on one batch", f"losses {_shown(losses)}", _WHY_LOSS
        )
    return Passed(f"loss {losses[0]:.4g} → {losses[-1]:.4g} in {_STEPS} steps")


def _losses(subject: MethodSubject, method: NetworkMethod, recipe: Recipe, batch: Batch) -> list[float]:
    import torch

    with own_randomness(0):
        network = method.network().train()
        parameters = [p for p in network.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(parameters, lr=recipe.learning_rate)
        losses = []
        for step in range(_STEPS + 1):
            total = torch.stack([loss.float() for loss in method.loss(network, batch).values()]).sum()
            losses.append(float(total.detach()))
            if step < _STEPS:
                optimizer.zero_grad()
                total.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    return losses


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
