"""One training step of the released network: outputs, losses, gradients, running statistics."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support.reference.i2rnet_networks import filling
from support.reference.pinet_networks import filled_network, golden
from torch import Tensor

from crowdbench_pinet.losses import heatmap_loss, offset_loss
from crowdbench_pinet.network import Proposals
from crowdbench_pinet.recipe import Losses


def in_pairs(maps: Tensor) -> Tensor:
    """``(B, 2 m, h, w)`` to ``(B, m, h, w, 2)``."""
    return maps.unflatten(1, (-1, 2)).movedim(2, -1)


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["crowdpose", "coco"])
def test_a_training_step_equals_the_released_one(goldens: Path, dataset: str) -> None:
    facts = golden(goldens, "targets_loss.json")["synthetic"][dataset]["train_step"]
    arrays = golden(goldens, "targets_loss.npz")
    stem = f"synthetic/{dataset}/batch/"

    def both(name: str) -> Tensor:
        images = [arrays[f"synthetic/{dataset}/image{index}/{name}"] for index in (0, 1)]
        return torch.from_numpy(np.stack(images))

    chosen = [torch.from_numpy(arrays[f"{stem}proposals.part{part}"]) for part in range(3)]
    counts = torch.tensor([pixels.shape[1] for pixels in chosen])
    proposals = Proposals(torch.arange(3).repeat_interleave(counts), torch.cat(chosen, dim=1))
    network = filled_network(dataset).train()
    images = filling().input(f"pinet/step/{dataset}/images", (2, 3, 128, 128))
    maps, poses = network(images, proposals)
    refined = poses.offsets.detach() + poses.corrections

    factors = Losses()
    keypoints = maps.heatmaps.shape[1]
    flat = torch.from_numpy(arrays[f"{stem}proposals.gt_offset"])
    weights = torch.from_numpy(arrays[f"{stem}proposals.weight"])[..., ::2]
    losses = {
        "heatmap": heatmap_loss(
            torch.cat([maps.heatmaps, maps.parts], dim=1),
            torch.cat([both("heatmap"), both("partmap")], dim=1),
            torch.cat([both("heatmap_mask"), both("partmap_mask")], dim=1),
        ),
        "offset": offset_loss(
            in_pairs(maps.offsets), in_pairs(both("offset")), in_pairs(both("weight"))[..., 0], factors.beta
        ),
        "refine": offset_loss(refined, flat.unflatten(2, (keypoints, 2)), weights, factors.beta),
    }
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(facts["unweighted"][f"{name}_loss"], rel=2e-5)
    total = losses["heatmap"] + factors.offset * losses["offset"] + factors.refine * losses["refine"]
    total.backward()  # type: ignore[no-untyped-call]

    for name, output in (
        ("heatmap", maps.heatmaps[:, :, ::4, ::4]),
        ("offset", maps.offsets[:, :, ::4, ::4]),
        ("partmap", maps.parts[:, :, ::2, ::2]),
        ("refined", refined.flatten(2)),
    ):
        arrays.assert_close(f"{stem}step.{name}", output.detach(), rtol=1e-7, atol=1e-4)
    gradients = {name: p.grad for name, p in network.named_parameters()}
    norms = [gradient.norm().item() for gradient in gradients.values() if gradient is not None]
    expected = arrays[stem + "step.grad_norms"]
    np.testing.assert_allclose(norms, expected, rtol=2e-2, atol=1e-5 * expected.max())
    for name in ("pr.adj", "ppg.offset_head.bias", "backbone.conv1.weight"):
        key = f"{stem}step.grad.{name}"
        wanted = arrays.values(key)
        # Sums that nearly cancel, through a hundred batch norms: float32 leaves them two digits.
        gradient = gradients[name]
        assert gradient is not None
        difference = np.linalg.norm(arrays.kept(key, gradient) - wanted) / np.linalg.norm(wanted)
        assert difference < 3e-2
    after = network.state_dict()
    for name in ("backbone.bn1", "pr.gconv_head.bn"):
        for statistic in ("running_mean", "running_var"):
            wanted = arrays[f"{stem}step.after.{name}.{statistic}"]
            np.testing.assert_allclose(after[f"{name}.{statistic}"], wanted, rtol=1e-5, atol=1e-5)
    tracked = {int(v) for name, v in after.items() if name.endswith("num_batches_tracked")}
    assert tracked == {facts["bn_num_batches_tracked_after"]}
