"""Targets made on the network's device, against those of `crowdbench.vision.heatmaps` and the release."""

from pathlib import Path

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from crowdbench.vision.heatmaps import gaussian_targets
from crowdbench_backbones.top_down.targets import separable_targets

SIZE = (32, 24)
# Around the map and far from it, and exactly where the box around a keypoint begins to miss it.
coordinates = st.one_of(
    st.floats(-12, 45), st.floats(-1e6, 1e6), st.sampled_from([-7.0, -8.0, -7.9, 24.0, 30.0, 31.0, 38.0])
)


@settings(deadline=None)
@given(
    positions=arrays.arrays(np.float64, (3, 5, 2), elements=coordinates),
    visible=arrays.arrays(np.bool_, (3, 5)),
    sigma=st.sampled_from([1.0, 1.5, 2.0, 3.0]),
)
def test_maps_and_weights_are_those_of_whole_gaussians(
    positions: np.ndarray, visible: np.ndarray, sigma: float
) -> None:
    expected, expected_weights = gaussian_targets(positions, visible, SIZE, sigma)
    targets, weights = separable_targets(torch.from_numpy(positions), torch.from_numpy(visible), SIZE, sigma)
    assert targets.dtype == weights.dtype == torch.float32
    np.testing.assert_array_equal(weights, expected_weights)
    np.testing.assert_allclose(targets, expected, rtol=0, atol=1e-6)
    assert not targets[weights == 0].any()


def test_they_are_the_released_targets(goldens: Path) -> None:
    golden = np.load(goldens / "i2rnet/loss_14_64x48.npz")
    positions = torch.from_numpy(golden["joints_heatmap"][..., :2].astype(np.float64))
    targets, weights = separable_targets(
        positions, torch.from_numpy(golden["joints_vis"][..., 0] > 0), (64, 48), 2.0
    )
    assert golden["target"].max() > 0.9
    np.testing.assert_allclose(targets, golden["target"], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(weights, golden["target_weight"][..., 0])


def test_nobody_has_no_targets() -> None:
    targets, weights = separable_targets(torch.zeros(0, 14, 2), torch.zeros(0, 14, dtype=torch.bool), SIZE, 2)
    assert (tuple(targets.shape), tuple(weights.shape)) == ((0, 14, *SIZE), (0, 14))
