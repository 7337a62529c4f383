"""The networks of I2R-Net against the released ones.

Expected values: the release's forward passes and training steps on deterministic weights
(tests/data, and whole in ../shared/reference), in float32 and float64.
"""

import copy
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from _pytest.mark import ParameterSet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.goldens import load_arrays
from support.reference.i2rnet_networks import Filling, build, build_config, filling, masks_of
from torch import Tensor, nn

from crowdbench.api.load_method import load_method
from crowdbench.errors import ShapeError
from crowdbench_backbones.networks.fuse import optimize
from crowdbench_backbones.networks.hrformer import DropPath
from crowdbench_backbones.networks.transformer import SelfAttention
from crowdbench_backbones.top_down.method import TopDownMethod

CONFIGS = [
    f"interformer_{dataset}_{variant}"
    for dataset, variants in {
        "crowdpose": ["w48_pure_en6", "tph_192_p6_b4", "hrt_192_p4_b4"],
        "ochuman": ["w48_pure_en6", "tph_192_p3_b8", "hrt_192_p3_b8"],
        "coco": ["w48_pure_en6", "tph_192_p4_b4", "hrt_192_p2_b12", "hrt_288_p2_b4"],
    }.items()
    for variant in variants
]
# file: float32 tolerance of the plain filling, which is ill conditioned in the transformers
FORWARDS = {
    "vanilla_crowdpose_256x192": 1e-5,
    "vanilla_crowdpose_256x192_len1": 1e-5,
    "vanilla_crowdpose_256x192_len3": 1e-5,
    "vanilla_ochuman_256x192": 1e-5,
    "vanilla_coco_256x192": 1e-5,
    "transpose_crowdpose_256x192": 1e-3,
    "transpose_ochuman_256x192": 1e-3,
    "transpose_coco_256x192": 1e-3,
    "hrformer_crowdpose_256x192": 5e-4,
    "hrformer_coco_256x192": 5e-4,
    "hrformer_coco_384x288": 5e-4,
}
STEPS = [
    "vanilla_crowdpose_256x192",
    "transpose_crowdpose_256x192",
    "transpose_ochuman_256x192",
    "transpose_coco_256x192",
    "hrformer_crowdpose_256x192",
]
METHODS = ["i2rnet-vanilla", "i2rnet-transpose", "i2rnet-hrformer"]


FILL = cache(filling)


@pytest.fixture(scope="module")
def fill() -> Filling:
    return FILL()


@pytest.mark.parametrize("config", CONFIGS)
def test_names_shapes_and_kinds_of_all_weights_are_the_released_ones(goldens: Path, config: str) -> None:
    expected = json.loads((goldens / "i2rnet/manifest.json").read_text())["configs"][config]
    network = build_config(config)
    entries = {
        name: (list(value.shape), str(value.dtype).removeprefix("torch."))
        for name, value in network.state_dict().items()
    }
    assert entries == {name: (shape, kind) for name, shape, kind in expected["state_dict"]}
    trainable = [name for name, p in network.named_parameters() if not p.requires_grad]
    assert trainable == expected["non_trainable"]
    assert sum(p.numel() for p in network.parameters()) == expected["parameters_total"]


def test_the_settings_are_those_of_the_released_configurations(goldens: Path) -> None:
    manifest = json.loads((goldens / "i2rnet/manifest.json").read_text())["configs"]
    assert sorted(manifest) == sorted(CONFIGS)
    for config, facts in manifest.items():
        own = load_method(facts["variant"], facts["dataset"]).settings
        model, test, data = facts["model"], facts["test"], facts["data"]
        assert own.use_position_mask == model["use_multi_pos"], config
        assert own.relation_layers == model["encoder_layers_used"]["inter"], config
        assert own.max_persons == data["max_patch"], config
        assert own.flip_test == test["flip_test"], config
        assert own.flip_shift == test["shift_applied"], config
        assert own.blur_kernel == test["blur_kernel"], config
        assert own.nms_threshold == test["oks_thre"], config
        assert own.confidence_threshold == test["in_vis_thre"], config
        if model["singleformer"]:
            assert own.mask_embedding == model["multi_pos_embedding"], config


# Heatmaps by stage, of the network in float32, of the optimized one, and of the one in float64.
Outputs = tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]


@dataclass(frozen=True)
class Forward:
    """A forward pass that the compact and the whole golden numbers are both compared with."""

    config: str
    kind: str
    images_name: str
    images_shape: tuple[int, ...]
    rectangles: bytes
    lengths: tuple[int, ...]

    @cache  # noqa: B019  (of this module's tests)
    def outputs(self) -> Outputs:
        fill, network = FILL(), build_config(self.config)
        images = fill.input(self.images_name, self.images_shape)
        rectangles = np.frombuffer(self.rectangles, np.int64).reshape(-1, 4)
        masks, lengths = masks_of(rectangles, images.shape[-2:]), list(self.lengths)
        with torch.inference_mode():
            single = fill.into(network, self.kind)(images, masks, lengths)
            fast = optimize(copy.deepcopy(network), precision="fp32", compiled=False)(images, masks, lengths)
            return single, fast, network.double()(images.double(), masks.double(), lengths)


def in_one_process(names: Iterable[str], what: str) -> list[ParameterSet]:
    """Cases that compute once what the compact and the whole golden numbers are compared with."""
    return [pytest.param(name, marks=pytest.mark.xdist_group(f"{what}-{name}")) for name in names]


@pytest.mark.slow
@pytest.mark.parametrize("name", in_one_process(FORWARDS, "forward"))
def test_heatmaps_equal_the_released_ones(goldens: Path, name: str) -> None:
    golden = load_arrays(goldens / f"i2rnet/forward_{name}.npz")
    stats = json.loads((goldens / "i2rnet/forward_stats.json").read_text())
    compared = 0
    for kind, suffix in (("plain", "_f64"), ("centred", "_centred_f64")):
        single, fast, double = Forward(
            stats[f"forward_{name}.npz"]["config"],
            kind,
            str(golden["images_name"]),
            tuple(golden["images_shape"].tolist()),
            golden["rectangles"].astype(np.int64).tobytes(),
            tuple(golden["length"].tolist()),
        ).outputs()
        for theirs, ours in (("single", "intra"), ("multi", "inter")):
            if theirs + suffix not in golden.files:
                assert ours == "intra"
                assert name.startswith("vanilla")
                continue
            golden.assert_close(theirs + suffix, double[ours][:, :, ::2, ::2], atol=1e-5)
            compared += 1
            if kind == "centred":
                golden.assert_close(theirs + suffix, single[ours][:, :, ::2, ::2], atol=1e-4)
                golden.assert_close(theirs + suffix, fast[ours][:, :, ::2, ::2], atol=1e-4)
            elif theirs in golden.files:
                golden.assert_close(theirs, single[ours], atol=FORWARDS[name])
    assert compared == (2 if name.startswith("vanilla") else 4)


def test_the_sine_table_is_the_released_one(goldens: Path) -> None:
    golden = np.load(goldens / "i2rnet/sine_table_64x48_96.npz")
    network = build("i2rnet-vanilla", "coco")
    assert isinstance(network.pos_embedding, Tensor)
    table = network.pos_embedding.detach().numpy().reshape(64, 48, 96)
    y, x = np.broadcast_to(golden["y_part"][:, None], (64, 48, 48)), golden["x_part"][None]
    np.testing.assert_allclose(table[:, :, :48], y, atol=1e-6)
    np.testing.assert_allclose(table[:, :, 48:], np.broadcast_to(x, (64, 48, 48)), atol=1e-6)


SMALL = (64, 64)


@pytest.fixture(scope="module", params=[*METHODS, "i2rnet-transpose with masks"])
def network(request: pytest.FixtureRequest, fill: Filling) -> nn.Module:
    """Small inputs; in float64, so that "the same" means the same and not the same up to conditioning."""
    method, masks, _ = str(request.param).partition(" with masks")
    return fill.into(build(method, "ochuman" if masks else "crowdpose", SMALL)).double()


def small_batch(seed: int, count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, *SMALL, generator=generator, dtype=torch.float64)
    masks = (torch.rand(count, 1, *SMALL, generator=generator) > 0.5).double()
    return images, masks


def same(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


@settings(deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=5).filter(any),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_an_image_comes_out_the_same_alone_and_in_any_batch_and_order(
    network: nn.Module, lengths: list[int], seed: int, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(lengths))))
    images, masks = small_batch(seed, sum(lengths))
    ends = np.cumsum(lengths)
    rows = [torch.arange(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    shuffled = torch.cat([rows[i] for i in order])
    with torch.inference_mode():
        together = network(images, masks, lengths)["inter"]
        elsewhere = network(images[shuffled], masks[shuffled], [lengths[i] for i in order])["inter"]
        same(elsewhere, together[shuffled])
        for own in rows:
            if len(own):
                same(together[own], network(images[own], masks[own], [len(own)])["inter"])


def test_persons_of_an_image_may_come_in_any_order(network: nn.Module) -> None:
    images, masks = small_batch(1, 4)
    order = [2, 0, 3, 1]
    with torch.inference_mode():
        heatmaps = network(images, masks, [4])["inter"]
        same(network(images[order], masks[order], [4])["inter"], heatmaps[order])


def test_a_crowd_is_computed_in_portions_to_the_same_heatmaps(
    network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, masks = small_batch(4, 7)
    features, seen = network.features, []

    def watched(images: Tensor) -> Tensor:
        seen.append(len(images))
        return features(images)

    monkeypatch.setattr(network, "features", watched)
    with torch.inference_mode():
        whole = network(images, masks, [5, 2])["inter"]
        same(network(images, masks, [5, 2], portion=2)["inter"], whole)
    assert seen == [7, 2, 2, 2, 1]


def test_a_person_influences_its_image_and_no_other(network: nn.Module) -> None:
    images, masks = small_batch(2, 4)
    changed = images.clone()
    changed[0] = -changed[0]
    with torch.inference_mode():
        before, after = network(images, masks, [2, 2]), network(changed, masks, [2, 2])
    difference = (after["inter"] - before["inter"]).abs().amax(dim=(1, 2, 3))
    assert difference[1] > 1e-6
    assert (difference[2:] < 1e-9).all()
    if before["intra"] is not None:  # the first stage knows nothing of others
        assert (after["intra"] - before["intra"])[1:].abs().max() < 1e-9


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dataset", ["crowdpose", "ochuman", "coco"])
def test_the_position_mask_matters_only_where_the_settings_say_so(
    fill: Filling, method: str, dataset: str
) -> None:
    images, masks = small_batch(3, 2)
    network = fill.into(build(method, dataset, SMALL)).double()
    with torch.inference_mode():
        seen, other = (network(images, m, [2])["inter"] for m in (masks, 1 - masks))
    used = load_method(method, dataset).settings.use_position_mask
    assert ((seen - other).abs().max() > 1e-6).item() == used


@pytest.mark.parametrize("method", METHODS)
def test_lengths_that_do_not_fit_are_refused(method: str) -> None:
    images, masks = (x.float() for x in small_batch(0, 3))
    with pytest.raises(ShapeError, match=r"3 crops, 3 masks and lengths \[2, 2\]"):
        build(method, "crowdpose", SMALL)(images, masks, [2, 2])


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_builds_the_same_network(method: str) -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(7)
        states.append(build(method, "coco").state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def without_chance(network: nn.Module) -> nn.Module:
    """Training mode without dropout and drop-path."""
    for module in network.train().modules():
        match module:
            case nn.Dropout():
                module.p = 0.0
            case SelfAttention():
                module.dropout = 0.0
            case DropPath():
                module.rate = 0.0
    return network


@dataclass(frozen=True)
class GivenCrops:
    """A batch whose crops and masks are given as the network's input, not as pixels."""

    inputs: Tensor
    rectangles: Tensor
    groups: list[int]

    def images(self, dtype: torch.dtype) -> Tensor:
        return self.inputs.to(dtype)

    def masks(self, dtype: torch.dtype) -> Tensor:
        return self.rectangles.to(dtype)


@dataclass(frozen=True)
class GivenBatch:
    """The same with targets that are no Gaussians."""

    crops: GivenCrops
    heatmaps: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> "GivenBatch":
        assert device.type == "cpu"
        return self

    def targets(self, sigma: float) -> tuple[Tensor, Tensor]:
        return self.heatmaps, self.weights


@dataclass(frozen=True)
class Step:
    """A training step on a filled network, in float64 and without dropout."""

    name: str
    images_name: str
    rectangles: str
    lengths: tuple[int, ...]

    @cache  # noqa: B019  (of this module's tests)
    def taken(self) -> tuple[float, dict[str, float | None], dict[str, tuple[float, float]]]:
        """The loss, the norms of gradients, and the means and norms of the weights and statistics after it."""
        fill = FILL()
        variant, dataset, _ = self.name.split("_")
        method = load_method(f"i2rnet-{variant}", dataset)
        assert isinstance(method, TopDownMethod)
        network = without_chance(fill.into(method.build_network()).double())
        count = sum(self.lengths)
        shape = (count, 14 if dataset == "crowdpose" else 17, 64, 48)
        batch = GivenBatch(
            GivenCrops(
                fill.input(self.images_name, (count, 3, 256, 192)),
                masks_of(json.loads(self.rectangles), (256, 192)),
                list(self.lengths),
            ),
            0.1 * fill.input("train/target", shape).double().abs(),
            (fill.input("train/weight", (*shape[:2], 1))[..., 0] > -1).double(),
        )
        losses = method.loss(network, batch)  # type: ignore[arg-type]
        loss = torch.stack(list(losses.values())).sum()
        loss.backward()
        norms = {n: None if p.grad is None else p.grad.norm().item() for n, p in network.named_parameters()}
        state = {n: value.double() for n, value in network.state_dict().items()}
        return loss.item(), norms, {n: (v.mean().item(), v.norm().item()) for n, v in state.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", in_one_process(STEPS, "step"))
def test_a_training_step_equals_the_released_one(goldens: Path, name: str) -> None:
    """Loss, gradients and batch-norm statistics, padding persons included."""
    golden = json.loads((goldens / f"i2rnet/trainstep_{name}.json").read_text())
    rectangles = json.dumps(golden["rectangles"])
    loss, norms, state = Step(name, golden["images_name"], rectangles, tuple(golden["length"])).taken()

    np.testing.assert_allclose(loss, golden["loss"], rtol=1e-6)
    for parameter, norm in norms.items():
        expected = golden["grad_norm"][parameter]
        if expected is None:
            assert norm is None, parameter
        else:
            assert norm is not None, parameter
            np.testing.assert_allclose(norm, expected, rtol=1e-4, atol=1e-9, err_msg=parameter)
    for entry, (mean, norm) in golden["running_stats_after_forward_mean_and_norm"].items():
        np.testing.assert_allclose(state[entry][0], mean, rtol=1e-5, atol=1e-8, err_msg=entry)
        np.testing.assert_allclose(state[entry][1], norm, rtol=1e-5, err_msg=entry)
