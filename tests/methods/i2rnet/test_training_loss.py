"""The losses of all methods, as the training loop asks for them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from support.reference.i2rnet_networks import Filling, filling
from torch import Tensor, nn

from crowdbench.api.load_method import load_method
from crowdbench.api.types import Instance, Sample
from crowdbench_backbones.top_down.losses import keypoint_loss
from crowdbench_backbones.top_down.method import TopDownMethod
from crowdbench_backbones.top_down.training_examples import SupervisedBatch

ALL = [
    "hrnet-tiny",
    "i2rnet-tiny",
    "hrnet-w48-s",
    "i2rnet-vanilla",
    "transpose-h",
    "i2rnet-transpose",
    "hrformer-b",
    "i2rnet-hrformer",
]
TINY = ["hrnet-tiny", "i2rnet-tiny"]


@pytest.fixture(scope="module")
def fill() -> Filling:
    return filling()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Four images of two persons each: grey noise, with a disc of its own colour on every keypoint."""
    folder, samples = tmp_path_factory.mktemp("pictures"), []
    for index in range(4):
        rng = np.random.default_rng(index)
        image = np.repeat(rng.integers(90, 160, (140, 200, 1), dtype=np.uint8), 3, axis=2)
        instances = []
        for left in (5, 105):
            keypoints = np.full((14, 3), 2.0)
            keypoints[:, :2] = rng.integers((left + 10, 15), (left + 80, 125), (14, 2))
            for k, (x, y, _) in enumerate(keypoints.astype(int).tolist()):
                colour = [int(c) for c in np.random.default_rng(100 + k).choice([0, 128, 255], 3)]
                cv2.circle(image, (x, y), 4, colour, thickness=-1)
            instances.append(Instance(np.array([left, 5, 90, 130]), keypoints, 1.0))
        assert cv2.imwrite(str(folder / f"{index}.png"), image)
        samples.append(Sample(index, folder / f"{index}.png", 200, 140, tuple(instances)))
    return samples


def configured(name: str, **changes: Any) -> TopDownMethod:
    method = load_method(name, "crowdpose", **changes)
    assert isinstance(method, TopDownMethod)
    return method


def batch_of(method: TopDownMethod, samples: list[Sample]) -> SupervisedBatch[Any]:
    examples = [method.prepare(sample, np.random.default_rng(i)) for i, sample in enumerate(samples)]
    batch = method.collate(examples)
    assert isinstance(batch, SupervisedBatch)
    return batch


def without_persons(samples: list[Sample], *empty: int) -> list[Sample]:
    return [replace(s, instances=()) if i in empty else s for i, s in enumerate(samples)]


class Given(nn.Module):
    """Returns what it is given, however it is called, and counts."""

    def __init__(self, heatmaps: Any) -> None:
        super().__init__()
        self.anything = nn.Parameter(torch.zeros(1))
        self.heatmaps, self.calls = heatmaps, 0

    def forward(self, images: Tensor, *_: Any) -> Any:
        self.calls += 1
        return self.heatmaps


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("i2rnet-transpose", {"intra": 0.5, "inter": 0.5}),
        ("i2rnet-hrformer", {"intra": 0.5, "inter": 0.5}),
        ("i2rnet-tiny", {"intra": 0.5, "inter": 0.5}),
        ("i2rnet-vanilla", {"inter": 1.0}),
        ("hrnet-w48-s", {"heatmap": 1.0}),
        ("hrnet-tiny", {"heatmap": 1.0}),
    ],
)
def test_losses_of_released_heatmaps_are_the_released_losses(
    goldens: Path, fill: Filling, pictures: list[Sample], name: str, shares: dict[str, float]
) -> None:
    golden = np.load(goldens / "i2rnet/loss_14_64x48.npz")
    method = configured(name, input_size=(256, 192))
    batch = replace(
        batch_of(method, pictures[:2]),
        positions=torch.from_numpy(golden["joints_heatmap"][..., :2].astype(np.float64)),
        visible=torch.from_numpy(golden["joints_vis"][..., 0] > 0),
    )
    stages = {
        stage: (fill.input(str(golden[f"{stage}_name"]), (4, 14, 64, 48)) * float(golden["output_scale"]))
        for stage in ("single", "multi")
    }
    first = stages["single"] if "intra" in shares else None
    network = Given(stages["multi"] if "heatmap" in shares else {"intra": first, "inter": stages["multi"]})
    losses = method.loss(network, batch)
    assert network.calls == 1
    assert losses.keys() == shares.keys()
    for stage, share in shares.items():
        released = float(golden["loss_single" if stage == "intra" else "loss_multi"])
        assert losses[stage].item() == pytest.approx(share * released, rel=0, abs=1e-7)
    if "intra" in shares:
        assert sum(losses.values()).item() == pytest.approx(float(golden["loss"]), rel=0, abs=1e-7)


@pytest.mark.parametrize("name", ALL)
def test_images_without_persons_teach_nothing_and_break_nothing(pictures: list[Sample], name: str) -> None:
    method = configured(name, input_size=(64, 64))
    torch.manual_seed(0)
    network = method.build_network().train()

    def learnt(samples: list[Sample]) -> dict[str, Tensor | None]:
        batch = batch_of(method, samples)
        assert method.count_targets(batch) == sum(len(sample.instances) for sample in samples)
        network.zero_grad(set_to_none=True)
        losses = method.loss(network, batch)
        total = torch.stack(list(losses.values())).sum()
        total.backward()
        assert torch.isfinite(total)
        assert (total.item() == 0) == (method.count_targets(batch) == 0)
        return {parameter: p.grad for parameter, p in network.named_parameters()}

    some = learnt(without_persons(pictures[:3], 0, 2))
    before = {entry: value.clone() for entry, value in network.state_dict().items()}
    none = learnt(without_persons(pictures[:2], 0, 1))
    for parameter, gradient in none.items():
        # Whatever has a gradient at all has one always, so that processes can share theirs.
        assert (gradient is None) == (some[parameter] is None), parameter
        assert gradient is None or not gradient.any(), parameter
    for entry, value in network.state_dict().items():
        assert torch.isfinite(value.float()).all(), entry
        if "num_batches_tracked" not in entry:
            torch.testing.assert_close(value, before[entry], rtol=0, atol=0, msg=entry)


@pytest.mark.parametrize("name", TINY)
def test_an_image_without_persons_changes_no_loss_of_others(pictures: list[Sample], name: str) -> None:
    method = configured(name)
    torch.manual_seed(0)
    network = method.build_network().eval()
    with torch.no_grad():
        together = method.loss(network, batch_of(method, pictures[:2]))
        with_empty = [*pictures[:2], *without_persons(pictures[2:], 0, 1)]
        torch.testing.assert_close(method.loss(network, batch_of(method, with_empty)), together)


class Wrapped(nn.Module):
    """A network as DistributedDataParallel shows it: a function with parameters, and nothing else."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.module = network

    def forward(self, *given: Any) -> Any:
        return self.module(*given)


@pytest.mark.parametrize("name", TINY)
def test_a_wrapped_network_has_the_losses_of_the_network(pictures: list[Sample], name: str) -> None:
    method = configured(name)
    network, batch = method.build_network().eval(), batch_of(method, pictures)
    with torch.no_grad():
        torch.testing.assert_close(method.loss(Wrapped(network), batch), method.loss(network, batch))


@pytest.mark.parametrize("name", TINY)
def test_in_half_precision_losses_are_computed_in_full(pictures: list[Sample], name: str) -> None:
    method = configured(name)
    torch.manual_seed(0)
    network, batch = method.build_network().train(), batch_of(method, pictures)
    nn.init.normal_(network.get_submodule("final_layer").weight, std=0.1)  # type: ignore[arg-type]
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "dropout") and isinstance(module.dropout, float):
            module.dropout = 0.0  # type: ignore[assignment]
    full = method.loss(network, batch)
    with torch.autocast("cpu", torch.bfloat16):
        half = method.loss(network, batch)
    for stage, loss in half.items():
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(full[stage].item(), rel=0.05)
        assert loss.item() != full[stage].item()


@pytest.mark.parametrize("name", TINY)
def test_four_images_are_learnt_by_heart(pictures: list[Sample], name: str) -> None:
    method = configured(name, input_size=(64, 64))
    torch.manual_seed(0)
    network, batch = method.build_network().train(), batch_of(method, pictures)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = torch.stack(list(method.loss(network, batch).values())).sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    targets, weights = batch.targets(method.target_sigma)
    of_nothing = keypoint_loss(torch.zeros_like(targets), targets, weights).item()
    assert losses[0] == pytest.approx(of_nothing, rel=0.2)  # heads start near 0
    assert losses[-1] < losses[0] / 5
