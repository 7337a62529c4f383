"""The learning rate over a training, and values of a recipe that make no sense."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowdbench.api.recipe import Recipe


def test_steps_fall_at_the_named_epochs_and_nowhere_else() -> None:
    recipe = Recipe(epochs=10, schedule="steps", learning_rate=0.1, milestones=(3, 7), drop_factor=0.5)
    assert [recipe.rate(epoch) for epoch in range(10)] == [0.1] * 3 + [0.05] * 4 + [0.025] * 3


def test_steps_that_name_no_epoch_and_a_constant_rate_never_fall() -> None:
    for recipe in (Recipe(schedule="steps", milestones=()), Recipe(schedule="constant")):
        assert {recipe.rate(epoch) for epoch in range(recipe.epochs)} == {1e-3}


@given(epochs=st.integers(1, 300), final=st.floats(0, 1e-3))
def test_a_cosine_begins_at_the_learning_rate_and_falls_toward_the_last_one(
    epochs: int, final: float
) -> None:
    recipe = Recipe(epochs=epochs, schedule="cosine", learning_rate=1e-3, final_learning_rate=final)
    rates = [recipe.rate(epoch) for epoch in range(epochs)]
    assert rates[0] == pytest.approx(1e-3)
    assert rates == sorted(rates, reverse=True)
    assert recipe.rate(epochs) == pytest.approx(final)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"milestones": (7, 3)}, "milestones"),
        ({"milestones": (3, 3)}, "milestones"),
        ({"drop_factor": 0.0}, "drop_factor"),
        ({"drop_factor": 1.5}, "drop_factor"),
        ({"learning_rate": math.inf}, "learning_rate"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"epochs": 0}, "epochs"),
        ({"betas": (1.0, 0.9)}, "betas"),
        ({"weight_decay": -1.0}, "weight_decay"),
    ],
    ids=str,
)
def test_values_that_make_no_sense_are_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Recipe(**changes)
