"""The table "What decides a number" of docs/architecture.md: every row, changed."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from support.data import coco_files
from support.methods.toy import ToySettings

from crowdbench import evaluate
from crowdbench.api.boxes import box_source
from crowdbench.api.dataset import Dataset
from crowdbench.api.method import Method
from crowdbench.engine.network import resolve_method_weights
from crowdbench.errors import PredictionError, SettingsError
from crowdbench.evaluation.provenance import Execution, code_used, new_record
from crowdbench.evaluation.shards import PredictionShards
from crowdbench.run_store.integrity import doubt_about
from crowdbench.run_store.record import Record
from crowdbench.run_store.run import Run

ROOT = Path(__file__).resolve().parents[3]


def table() -> dict[str, str]:
    """What is covered how."""
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    text = text.split("### What decides a number\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `([^`]+)` \| (\w+) \|", text, re.MULTILINE)
    assert len(rows) == text.count("\n|") - 2
    return dict(rows)


@dataclass
class Asked:
    """A run that is asked for, in a folder of its own."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    settings: ToySettings = field(default_factory=ToySettings)
    weights: str | Path = "none"
    boxes: str | Path = "gt"
    split: str = "test"
    count: int = 2
    execution: Execution = field(default_factory=lambda: Execution(2, 0, "fp32", False, torch.device("cpu")))
    name: str = "toy"
    tracked_packages: tuple[str, ...] = ("toy-arithmetic",)

    def method(self) -> Method:
        method = load("toy_of_mine").Toy(self.dataset().keypoints, self.settings, self.name)
        assert isinstance(method, Method)
        method.tracked_packages = self.tracked_packages  # type: ignore[misc]
        return method

    def dataset(self) -> Dataset:
        opened = load("set_of_mine").Mine.open(self.split, self.folder / "data", box_source(self.boxes))
        assert isinstance(opened, Dataset)
        return opened

    def record(self) -> Record:
        method, dataset = self.method(), self.dataset()
        found = resolve_method_weights(method, "crowdpose", self.weights, None)
        code = code_used(method, type(dataset))
        return new_record(method, dataset, found, self.count, self.execution, code, ["crowdbench"])

    def run(self, **options: Any) -> Run:
        more = {"weights": self.weights, "out": self.folder / "runs", "workers": 0, **options}
        return evaluate(self.method(), self.dataset(), **more)


def load(name: str) -> Any:
    """Import a module as a process does that has just begun."""
    for module in ("helper_of_mine", name):
        sys.modules.pop(module, None)
    return importlib.import_module(name)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    monkeypatch.setenv("CROWDBENCH_CACHE", str(tmp_path / "cache"))
    data = coco_files.write(tmp_path / "data", "json/crowdpose_test.json")
    shutil.copy(data / "json/crowdpose_test.json", data / "json/crowdpose_val.json")
    path = tmp_path / "path"
    (path / "toy_arithmetic-1.dist-info").mkdir(parents=True)
    (path / "toy_arithmetic-1.dist-info/METADATA").write_text("Name: toy-arithmetic\nVersion: 1\n")
    (path / "toy_of_mine.py").write_text(
        "import helper_of_mine\nfrom support.methods.toy import ToyNetwork\n\nclass Toy(ToyNetwork):\n    pass\n"
    )
    (path / "helper_of_mine.py").write_text("OFFSET = 0\n")
    (path / "set_of_mine.py").write_text(
        "from crowdbench_datasets.crowdpose import CrowdPose\n\nclass Mine(CrowdPose):\n    pass\n"
    )
    monkeypatch.syspath_prepend(path)
    torch.save({"weight": torch.zeros(28, 3), "bias": torch.zeros(28)}, tmp_path / "one.pth")
    torch.save({"weight": torch.ones(28, 3), "bias": torch.zeros(28)}, tmp_path / "two.pth")
    for name in ("one", "two"):
        box = {
            "image_id": 1,
            "category_id": 1,
            "bbox": [5, 5, len(name) + 10 * (name == "two"), 20],
            "score": 0.9,
        }
        (tmp_path / f"{name}.json").write_text(json.dumps([box]))
    return Asked(tmp_path, monkeypatch)


def execution(**changes: Any) -> Callable[[Asked], None]:
    def change(asked: Asked) -> None:
        asked.execution = replace(asked.execution, **changes)

    return change


def edited(name: str, old: str, new: str) -> Callable[[Asked], None]:
    def change(asked: Asked) -> None:
        path = asked.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


def setting(name: str, value: Any) -> Callable[[Asked], None]:
    def change(asked: Asked) -> None:
        found = value(asked) if callable(value) else value
        setattr(asked, name, found)

    return change


def _another_picture(asked: Asked) -> None:
    cv2.imwrite(str(asked.folder / "data/images/000002.jpg"), np.zeros((40, 60, 3), np.uint8))


def _another_version(asked: Asked) -> None:
    path = asked.folder / "path/toy_arithmetic-1.dist-info/METADATA"
    path.write_text("Name: toy-arithmetic\nVersion: 2\n")


def _deterministic(asked: Asked) -> None:
    asked.monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)


OTHER_IDS: dict[str, Callable[[Asked], object]] = {
    "method": setting("name", "toy-2"),
    "settings": setting("settings", ToySettings(scale=0.5)),
    "weights": setting("weights", lambda asked: asked.folder / "two.pth"),
    "random weights": execution(seed=1),
    "annotations": edited("data/json/crowdpose_test.json", '"bbox": [5', '"bbox": [6'),
    "boxes": setting("boxes", lambda asked: asked.folder / "two.json"),
    "split": setting("split", "val"),
    "limit": setting("count", 3),
    "images": _another_picture,
    "code of the method": edited("path/toy_of_mine.py", "pass", "include_boxes = False"),
    "code that the method imports": edited("path/helper_of_mine.py", "0", "1"),
    "code of the dataset": edited("path/set_of_mine.py", "pass", "more = 1"),
    "versions": _another_version,
    "batch size": execution(batch_size=3),
    "precision": execution(precision="bf16"),
    "compile": execution(compiled=True),
    "kind of device": execution(device=torch.device("meta")),
    "variables": lambda asked: asked.monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1"),
    "switches": _deterministic,
}
BEFORE: dict[str, Callable[[Asked], object]] = {
    "weights": setting("weights", lambda asked: asked.folder / "one.pth"),
    "boxes": setting("boxes", lambda asked: asked.folder / "one.json"),
}


@pytest.mark.parametrize("row", OTHER_IDS)
def test_another_value_is_another_run(asked: Asked, row: str) -> None:
    BEFORE.get(row, lambda _: None)(asked)
    before = asked.record()
    assert asked.record().id == before.id
    OTHER_IDS[row](asked)
    assert asked.record().id != before.id


def test_code_of_crowdbench(asked: Asked) -> None:
    """In a copy of the checkout, as a process sees it that has just begun."""
    copy = asked.folder / "copy"
    shutil.copytree(ROOT / "crowdbench", copy / "crowdbench", ignore=shutil.ignore_patterns("__pycache__"))
    ask = "from crowdbench.system.source_code.digest import *; print(code_of([])['crowdbench'])"

    def digest() -> str:
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        done = subprocess.run(
            [sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=True, cwd=copy
        )
        assert str(copy) in done.stdout
        return done.stdout

    before = digest()
    assert digest() == before
    with (copy / "crowdbench/vision/geometry.py").open("a") as file:
        file.write("# changed\n")
    assert digest() != before


def test_code_of_a_notebook(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)

    def digest(offset: int) -> str:
        typed: dict[str, Any] = {"__name__": "__main__", "offset": offset}
        exec(  # noqa: S102
            "from support.methods.toy import BoxCentre\nclass Typed(BoxCentre):\n"
            "    def estimate(self, image, boxes):\n        return super().estimate(image, boxes + offset)\n",
            typed,
        )
        dataset = asked.dataset()
        method = typed["Typed"](dataset.keypoints, None)
        return code_used(method, type(dataset))["__main__"].digest

    assert digest(1) == digest(1)
    assert digest(1) != digest(2)


def test_model_of_processor_or_gpu_and_threads(asked: Asked) -> None:
    """Parts that two kinds of machines computed, merged."""
    for number, machine in enumerate(["x86_64 AVX2, 4 threads", "x86_64 AVX2, 8 threads"]):
        parts = PredictionShards(asked.folder / "parts", "id", machine=machine)
        parts.add(number, [])
        parts.flush()
    (said,) = PredictionShards(
        asked.folder / "parts", "id", machine="x86_64 AVX2, 8 threads"
    ).said_of_machines()
    assert "4 threads; x86_64 AVX2, 8 threads" in said
    before = asked.record()
    asked.monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    assert asked.record().id == before.id
    assert asked.record().host["threads"] == 77


def test_a_damaged_image(asked: Asked) -> None:
    path = asked.folder / "data/images/000002.jpg"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8))
    whole = path.read_bytes()
    middle = len(whole) * 3 // 4
    path.write_bytes(whole[:middle] + b"\xff\xd9" + whole[middle + 2 :])
    damaged = asked.run()
    (said,) = [text for text in damaged.record.warnings if "decoder" in text]
    assert "000002.jpg" in said
    assert "Corrupt JPEG data" in said
    path.write_bytes(whole)
    mended = asked.run()
    assert mended.record.id != damaged.record.id
    assert not [text for text in mended.record.warnings if "decoder" in text]
    assert "other images" in (mended.directory / "log.txt").read_text()


def test_code_that_is_edited_during_a_run(asked: Asked) -> None:
    def edit(_: object) -> None:
        (asked.folder / "path/helper_of_mine.py").write_text("OFFSET = 5\n")

    run = asked.run(on_progress=edit)
    (said,) = [text for text in run.record.warnings if "was changed while the run went on" in text]
    assert "the code of helper_of_mine" in said
    again = asked.run()
    assert again.record.id != run.record.id
    assert "other code (helper_of_mine)" in (again.directory / "log.txt").read_text()


def test_predictions_json_gz(asked: Asked) -> None:
    run = asked.run()
    run.predictions_file.write_bytes(b"[]")
    with pytest.raises(PredictionError, match="not what this run wrote; .*--again"):
        asked.run()
    assert "not what this run wrote" in (doubt_about(run) or "")
    assert doubt_about(asked.run(again=True)) is None


def test_scores_in_run_json(asked: Asked) -> None:
    run = asked.run()
    assert doubt_about(run) is None
    path = run.directory / "run.json"
    content = json.loads(path.read_text())
    content["scores"]["AP"] = 0.99
    path.write_text(json.dumps(content))
    os.utime(path, (2e9, 2e9))
    assert "run.json and scores.json have different scores" in (doubt_about(Run.read(run.directory)) or "")


def test_where_things_lie(asked: Asked, tmp_path: Path) -> None:
    asked.weights = asked.folder / "one.pth"
    before = asked.record()
    shutil.copytree(asked.folder / "path", tmp_path / "moved/path")
    shutil.copytree(asked.folder / "data", tmp_path / "moved/data")
    shutil.move(asked.folder / "one.pth", tmp_path / "moved/renamed.pth")
    asked.monkeypatch.syspath_prepend(tmp_path / "moved/path")
    asked.folder = tmp_path / "moved"
    asked.weights = asked.folder / "renamed.pth"
    assert asked.record().id == before.id


def test_loader_processes_and_processes_that_share_a_run(asked: Asked) -> None:
    before = asked.record()
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "1"), ("LOCAL_RANK", "1"), ("OMP_NUM_THREADS", "3")):
        asked.monkeypatch.setenv(name, value)
    assert asked.record().id == before.id


def test_precision_without_a_network_is_refused(asked: Asked) -> None:
    from support.methods.toy import BoxCentre

    dataset = asked.dataset()
    method = BoxCentre(dataset.keypoints, BoxCentre.Settings())
    for options in ({"precision": "bf16"}, {"compiled": True}):
        with pytest.raises(SettingsError, match="has no network"):
            evaluate(method, dataset, out=asked.folder / "runs", **options)  # type: ignore[arg-type]
    assert not (asked.folder / "runs").exists()


ELSEWHERE = {
    "memory": "test_evaluate.py: test_when_memory_runs_out_the_batch_is_halved_once_and_the_record_says_so",
    "loader processes": "test_evaluate.py: test_loader_workers_change_nothing",
    "processes that share a run": "test_sharded_evaluation.py: test_",
}


def test_every_row_of_the_table_is_tested() -> None:
    """By a test that has its name, or by one that stands in another file."""
    here = Path(__file__).read_text("utf-8")
    for row, covered in table().items():
        if row in OTHER_IDS:
            assert covered == "id", row
            continue
        words = re.sub(r"\W+", "_", row)
        if row in ELSEWHERE:
            file, test = ELSEWHERE[row].split(": ")
            assert f"def {test}" in Path(__file__).with_name(file).read_text("utf-8")
        else:
            assert re.search(rf"def test_(\w+_)?{words}(_\w+)?\(", here, re.IGNORECASE), row
    assert set(OTHER_IDS) <= set(table())
