"""The golden numbers in tests/data are what their script makes of the whole ones, and they tell small changes."""

import gzip
import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import fills
from support.goldens import DATA, Arrays, load_arrays

LIMIT = 4_000_000  # bytes

of_the_whole = pytest.mark.parametrize(
    "goldens", [pytest.param("whole", marks=pytest.mark.reference)], indirect=True
)


def content(path: Path) -> Any:
    """What a file says, however it is compressed."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def committed() -> list[Path]:
    return [p.relative_to(DATA) for p in DATA.rglob("*") if p.suffix in {".npz", ".gz", ".json"}]


def test_they_are_small() -> None:
    files = [path for path in DATA.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) <= LIMIT


@of_the_whole
@pytest.mark.slow
def test_the_script_makes_these_files_of_the_whole_ones(goldens: Path, tmp_path: Path) -> None:
    script = DATA / "make_compact_goldens.py"
    subprocess.run([sys.executable, script, goldens, tmp_path], check=True, capture_output=True)
    made = [p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()]
    assert sorted(made) == sorted(committed())
    for name in made:
        again, kept = content(tmp_path / name), content(DATA / name)
        if isinstance(kept, bytes):
            assert again == kept, name
            continue
        assert list(again) == list(kept), name
        for key, array in kept.items():
            if key.endswith(("@norm", "@mean")):  # summed in the order that suits the machine
                np.testing.assert_allclose(again[key], array, rtol=1e-13, err_msg=f"{name}: {key}")
            else:
                np.testing.assert_array_equal(again[key], array, err_msg=f"{name}: {key}")


@of_the_whole
def test_the_drawn_crowd_has_the_numbers_that_were_measured_of_it_before(
    goldens: Path, compact_goldens: Path
) -> None:
    """By another program (LRP-Error's copy of the COCO API), before groups were given no keypoints."""
    before = json.loads((goldens / "metrics_extended/expected.json").read_text())["lrp"]["crowd"]["summary"]
    now = json.loads((compact_goldens / "metrics/expected.json").read_text())["crowd_50"]["authority_stats"]
    names = ("AP", "AP50", "AP75", "AR", "AR50", "AR75")
    assert now[:6] == pytest.approx([before[name] for name in names], abs=1e-9)


@of_the_whole
def test_weights_and_inputs_are_filled_as_for_the_measurements(
    goldens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(goldens))
    plain = runpy.run_path(str(goldens / "fill.py"))
    centred = runpy.run_path(str(goldens / "i2rnet/fill_centered.py"))
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.BatchNorm2d(5), torch.nn.Linear(7, 2))
    state = network.state_dict()
    for name, theirs in (
        ("fill_state_dict", plain["fill_state_dict"]),
        ("fill_state_dict_centered", centred["fill_state_dict_centered"]),
    ):
        ours, expected = getattr(fills, name)(state), theirs(state)
        assert all(torch.equal(ours[key], expected[key]) for key in state)
    assert torch.equal(fills.fill_input("images", (2, 3)), plain["fill_input"]("images", (2, 3)))


@pytest.fixture
def arrays(tmp_path: Path) -> Arrays:
    """A file in which one array is a sample."""
    made = runpy.run_path(str(DATA / "make_compact_goldens.py"))["sampled"]
    whole = np.random.default_rng(0).normal(1, 1, (4, 50, 60)).astype(np.float32)
    np.savez(tmp_path / "some.npz", small=whole[0, :3], **made("large", whole))
    np.save(tmp_path / "whole.npy", whole)
    return load_arrays(tmp_path / "some.npz")


def test_a_sample_is_equal_to_its_array_and_to_the_first_rows(arrays: Arrays, tmp_path: Path) -> None:
    whole = np.load(tmp_path / "whole.npy")
    assert arrays.files == ["small", "large"]
    assert arrays.sample("small") is None
    arrays.assert_close("small", whole[0, :3])
    arrays.assert_close("large", whole)
    arrays.assert_close("large", whole + 9e-6, atol=1e-5)
    arrays.assert_close("large", whole[:2], rows=2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda whole: whole + 2e-5, "large", id="all values, by little"),
        pytest.param(lambda whole: whole[:, :, ::-1], "large", id="mirrored"),
        pytest.param(lambda whole: whole[:, :-1], "large", id="another shape"),
    ],
)
def test_a_sample_tells_a_change(arrays: Arrays, tmp_path: Path, change: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        arrays.assert_close("large", change(np.load(tmp_path / "whole.npy")), atol=1e-5)


def test_norm_and_mean_tell_changes_where_no_value_is_kept(arrays: Arrays, tmp_path: Path) -> None:
    whole = np.load(tmp_path / "whole.npy")
    sample = arrays.sample("large")
    assert sample is not None
    changed = whole.ravel() * 1.001
    changed[sample.positions] = whole.ravel()[sample.positions]
    with pytest.raises(AssertionError, match="norm of large"):
        arrays.assert_close("large", changed.reshape(whole.shape), atol=1e-5)
    # The same norm, another mean.
    changed = -whole.ravel()
    changed[sample.positions] = whole.ravel()[sample.positions]
    with pytest.raises(AssertionError, match="mean of large"):
        arrays.assert_close("large", changed.reshape(whole.shape), atol=1e-5)
