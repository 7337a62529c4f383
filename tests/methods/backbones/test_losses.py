"""The loss of heatmap networks, against the released losses and gradients."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.fills import fill_input
from support.goldens import load_arrays
from torch import Tensor

from crowdbench.errors import ShapeError
from crowdbench.vision.heatmaps import gaussian_targets
from crowdbench_backbones.top_down.losses import keypoint_loss


@pytest.fixture(scope="module")
def golden(goldens: Path) -> Any:
    return load_arrays(goldens / "i2rnet/loss_14_64x48.npz")


@pytest.fixture(scope="module")
def predicted(golden: Any) -> Callable[[str], Tensor]:
    def make(which: str) -> Tensor:
        heatmaps = fill_input(str(golden[f"{which}_name"]), (4, 14, 64, 48))
        return (heatmaps * float(golden["output_scale"])).requires_grad_()

    return make


def test_losses_and_gradients_equal_the_released_ones(
    golden: Any, predicted: Callable[[str], Tensor]
) -> None:
    single, multi = predicted("single"), predicted("multi")
    target = torch.from_numpy(golden["target"])
    weight = torch.from_numpy(golden["target_weight"][..., 0])
    of_single, of_multi = keypoint_loss(single, target, weight), keypoint_loss(multi, target, weight)
    loss = 0.5 * of_single + 0.5 * of_multi
    loss.backward()

    assert of_single.item() == pytest.approx(float(golden["loss_single"]), rel=0, abs=1e-7)
    assert of_multi.item() == pytest.approx(float(golden["loss_multi"]), rel=0, abs=1e-7)
    assert loss.item() == pytest.approx(float(golden["loss"]), rel=0, abs=1e-7)
    first = keypoint_loss(multi[:1], target[:1], weight[:1])
    assert first.item() == pytest.approx(float(golden["loss_multi_first_person_only"]), rel=0, abs=1e-7)
    # Gradients are divided by 172,032 pixels: relative to the largest they agree to float32's last bits.
    for gradient, which in ((single.grad, "single"), (multi.grad, "multi")):
        assert gradient is not None
        largest = np.abs(golden.values(f"grad_{which}_sub")).max()
        assert largest > 1e-7
        golden.assert_close(f"grad_{which}_sub", gradient[..., ::4, ::4], atol=1e-6 * largest)


def test_the_released_targets_and_weights_are_made_from_their_keypoints(golden: Any) -> None:
    targets, weights = gaussian_targets(
        golden["joints_heatmap"][..., :2], golden["joints_vis"][..., 0], (64, 48)
    )
    np.testing.assert_allclose(targets, golden["target"], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(weights, golden["target_weight"][..., 0])


def test_an_unlabelled_keypoint_adds_nothing_but_is_counted() -> None:
    heatmaps, targets = torch.ones(1, 2, 4, 4, requires_grad=True), torch.zeros(1, 2, 4, 4)
    assert keypoint_loss(heatmaps, targets, torch.ones(1, 2)).item() == 0.5
    loss = keypoint_loss(heatmaps, targets, torch.tensor([[1.0, 0.0]]))
    assert loss.item() == 0.25
    (gradient,) = torch.autograd.grad(loss, heatmaps)
    assert gradient[0, 0].abs().min() > 0
    assert not gradient[0, 1].any()


def test_a_weight_multiplies_the_difference_before_it_is_squared() -> None:
    heatmaps, targets = torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    assert keypoint_loss(heatmaps, targets, torch.tensor([[0.5]])).item() == 0.125


def test_half_precision_heatmaps_are_compared_in_full_precision() -> None:
    heatmaps = torch.full((2, 3, 64, 48), 0.1, dtype=torch.bfloat16)
    loss = keypoint_loss(heatmaps, torch.zeros(2, 3, 64, 48), torch.ones(2, 3))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(0.5 * heatmaps[0, 0, 0, 0].item() ** 2, rel=1e-6)


def test_no_persons_are_no_loss_and_no_gradient() -> None:
    heatmaps = torch.zeros(0, 3, 4, 4, requires_grad=True)
    loss = keypoint_loss(heatmaps, torch.zeros(0, 3, 4, 4), torch.zeros(0, 3))
    assert loss.item() == 0
    loss.backward()


@pytest.mark.parametrize(
    ("targets", "weights"),
    [
        pytest.param((2, 3, 4, 5), (2, 3), id="heatmaps of another size"),
        pytest.param((2, 3, 4, 4), (2, 3, 1), id="weights with an axis too many"),
        pytest.param((2, 3, 4, 4), (3,), id="weights that would broadcast"),
        pytest.param((1, 3, 4, 4), (2, 3), id="one person's targets for two"),
    ],
)
def test_shapes_that_disagree_are_refused(targets: tuple[int, ...], weights: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="weights"):
        keypoint_loss(torch.zeros(2, 3, 4, 4), torch.zeros(targets), torch.zeros(weights))
