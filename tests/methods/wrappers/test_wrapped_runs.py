"""Wrapped systems from the command line: a file in, a scored record out; and what the pages say of them."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import save_file
from support.data import onnx_models

from crowdbench.api.load_method import load_method
from crowdbench.api.method_cards import card_of
from crowdbench.cli import cli
from crowdbench.plugins import Plugin, installed
from crowdbench_wrappers import vitpose
from crowdbench_wrappers.vitpose import Size

PAGE = Path(__file__).resolve().parents[3] / "docs" / "wrappers.md"
WRAPPERS = sorted(
    name
    for name, plugin in installed("method").items()
    if isinstance(plugin, Plugin) and plugin.target.startswith("crowdbench_wrappers")
)
OPTIONS = {
    "vitpose": ["--set", "variant=small-simple", "--set", "input_size=64x48", "--workers", "0"],
    "rtmpose": ["--set", "input_size=64x48"],
    "rtmo": ["--set", "input_size=64x64"],
    "yolo-pose": ["--set", "input_size=64x64"],
}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """ViTPose's small networks are tiny ones."""
    monkeypatch.setitem(vitpose.SIZES, "small", Size(16, 2, 2, 4))


@pytest.fixture(scope="module")
def crowds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crowds")
    made = CliRunner().invoke(
        cli,
        [
            "data",
            "synth",
            str(folder),
            "--images",
            "3",
            "--size",
            "160x120",
            "--people",
            "2",
            "--workers",
            "1",
        ],
    )
    assert made.exit_code == 0, made.output
    return folder


def model(name: str, folder: Path, keypoints: int = 14) -> Path:
    if name == "rtmpose":
        return onnx_models.rtmpose_spot(folder / "model.onnx", keypoints)
    if name == "rtmo":
        return onnx_models.rtmo_spot(folder / "model.onnx", keypoints)
    if name == "yolo-pose":
        return onnx_models.yolo_spot(folder / "model.onnx", keypoints)
    dataset = "synthcrowd" if keypoints == 14 else "coco"
    torch.manual_seed(0)
    method: Any = load_method("vitpose", dataset, variant="small-simple", input_size="64x48")
    save_file(method.build_network().state_dict(), folder / "model.safetensors")
    return folder / "model.safetensors"


def run(name: str, crowds: Path, weights: Path, out: Path, *more: str) -> Result:
    command = ["run", name, "synthcrowd", "--root", str(crowds), "--limit", "3", "--device", "cpu"]
    return CliRunner().invoke(
        cli, [*command, "--weights", str(weights), "--out", str(out), *OPTIONS[name], *more]
    )


@pytest.mark.parametrize("name", OPTIONS)
def test_a_run_ends_with_a_scored_record_that_has_the_files_hash(
    name: str, crowds: Path, tmp_path: Path
) -> None:
    weights = model(name, tmp_path)
    done = run(name, crowds, weights, tmp_path / "runs")
    assert done.exit_code == 0, done.output
    (record_file,) = (tmp_path / "runs").rglob("run.json")
    record = json.loads(record_file.read_text())
    assert record["state"] == "done"
    assert record["weights"]["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert record["counts"]["images"] == 3
    assert record["counts"]["predictions"] >= 3
    assert 0 <= record["scores"]["AP"] <= 1
    height, width = record["protocol"]["input_size"]
    assert f"input_size={height}x{width}" in OPTIONS[name]
    assert record["protocol"]["boxes"] == ("none" if name in ("rtmo", "yolo-pose") else "gt")
    if name != "vitpose":
        assert record["settings"]["provider"] == "cpu"
        assert "ONNX Runtime" in (record_file.parent / "log.txt").read_text()


@pytest.mark.parametrize("name", OPTIONS)
def test_a_model_of_17_keypoints_is_refused_on_a_dataset_of_14(
    name: str, crowds: Path, tmp_path: Path
) -> None:
    refused = run(name, crowds, model(name, tmp_path, keypoints=17), tmp_path / "runs")
    assert refused.exit_code != 0
    said = f"{refused.output} {refused.exception}"
    assert "17 keypoints a person; crowdpose-14 has 14" in said


@pytest.mark.parametrize("name", ["rtmpose", "rtmo", "yolo-pose"])
def test_without_a_file_nothing_runs(name: str, crowds: Path, tmp_path: Path) -> None:
    command = ["run", name, "synthcrowd", "--root", str(crowds), "--out", str(tmp_path)]
    for given in (["--weights", "none"], []):
        refused = CliRunner().invoke(cli, [*command, *given])
        assert refused.exit_code != 0
        assert "--weights" in f"{refused.output} {refused.exception}"


@pytest.mark.parametrize("name", OPTIONS)
def test_a_wrapped_system_says_what_it_is_and_what_to_cite(name: str) -> None:
    card = card_of(name)
    assert card is not None
    assert card.description.endswith(".")
    assert str(card.work.year) in card.work.citation
    assert all(author.split()[-1] in card.work.citation for author in card.work.authors)


def test_the_page_tells_of_every_wrapper() -> None:
    assert set(OPTIONS) <= set(WRAPPERS)
    told = set(re.findall(r"`([a-z0-9-]+)`", PAGE.read_text()))
    assert set(WRAPPERS) <= told


@pytest.mark.parametrize("name", OPTIONS)
def test_the_page_tells_every_setting_and_its_value(name: str) -> None:
    import msgspec

    rows = re.findall(r"^\| `([a-z_]+)` \| ([^|]*) \| `([^|]*)` \|", PAGE.read_text(), re.MULTILINE)
    told = {
        setting: json.loads(value)
        for setting, methods, value in rows
        if name in re.findall(r"`([a-z-]+)`", methods)
    }
    settings = msgspec.to_builtins(load_method(name, "coco").settings)
    assert told == json.loads(
        json.dumps({**settings, "provider": "cpu"} if "provider" in settings else settings)
    )
