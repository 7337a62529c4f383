"""The section "Methods and other plugins" of docs/bad-input.md."""

import re
import sys
from pathlib import Path

import pytest
from support.bad_input_cases import Cases
from support.data import coco_files
from support.methods.faulty_plugins import METHOD, NETWORK, install, with_hook

from crowdbench import plugins

case = Cases("Methods and other plugins")


def mute(instead: str) -> str:
    """An error that cannot be put in words."""
    error = f"    class Mute(Exception):\n        def __str__(self):\n            {instead}"
    return f"def estimate(self, image, boxes):\n{error}\n    raise Mute"


# What `estimate` does, by the name of the case.
ESTIMATES = {
    "a-generator": "def estimate(self, image, boxes):\n    yield from map(self.pose, boxes)",
    "none-returned": "def estimate(self, image, boxes):\n    [self.pose(box) for box in boxes]",
    "tuples-returned": "def estimate(self, image, boxes):\n    return [(self.pose(b).keypoints, 1.0) for b in boxes]",
    "dicts-returned": "def estimate(self, image, boxes):\n    return [{'keypoints': []} for _ in boxes]",
    "an-array-returned": "def estimate(self, image, boxes):\n    return np.zeros((len(boxes), 14, 3))",
    "a-pose-alone": "def estimate(self, image, boxes):\n    return self.pose(boxes[0])",
    "a-score-of-none": "def estimate(self, image, boxes):\n    return [Pose(self.pose(b).keypoints, None) for b in boxes]",
    "a-score-in-words": "def estimate(self, image, boxes):\n    return [Pose(self.pose(b).keypoints, '0.9') for b in boxes]",
    "a-complex-score": "def estimate(self, image, boxes):\n    return [Pose(self.pose(b).keypoints, 1j) for b in boxes]",
    "a-score-of-nan": "def estimate(self, image, boxes):\n    return [Pose(self.pose(b).keypoints, np.nan) for b in boxes]",
    "a-tensor-for-a-score": (
        "def estimate(self, image, boxes):\n    import torch\n"
        "    return [Pose(self.pose(b).keypoints, torch.ones(2)) for b in boxes]"
    ),
    "infinite-keypoints": "def estimate(self, image, boxes):\n    return [Pose(np.full((14, 3), np.inf), 1.0)]",
    "ragged-keypoints": "def estimate(self, image, boxes):\n    return [Pose([[1, 2, 3], [4, 5]], 1.0)]",
    "keypoints-in-words": "def estimate(self, image, boxes):\n    return [Pose([['1', '2', '3']] * 14, 1.0)]",
    "complex-keypoints": "def estimate(self, image, boxes):\n    return [Pose(np.ones((14, 3)) * 1j, 1.0)]",
    "keypoints-in-bytes": "def estimate(self, image, boxes):\n    return [Pose(self.pose(b).keypoints.astype(np.uint8), 1.0) for b in boxes]",
    "keypoints-in-half-precision": "def estimate(self, image, boxes):\n    return [Pose(self.pose(b).keypoints.astype(np.float16), 1.0) for b in boxes]",
    "masked-keypoints": "def estimate(self, image, boxes):\n    return [Pose(np.ma.masked_less(self.pose(b).keypoints, 1e9), 1.0) for b in boxes]",
    "keypoints-in-a-half-tensor": (
        "def estimate(self, image, boxes):\n    import torch\n"
        "    return [Pose(torch.tensor(self.pose(b).keypoints).half(), 1.0) for b in boxes]"
    ),
    "rows-of-masked-keypoints": (
        "def estimate(self, image, boxes):\n"
        "    return [Pose(list(np.ma.masked_less(self.pose(b).keypoints, 1e9)), 1.0) for b in boxes]"
    ),
    "a-score-of-true": "def estimate(self, image, boxes):\n    return [Pose(self.pose(b).keypoints, True) for b in boxes]",
    "keypoints-too-few": "def estimate(self, image, boxes):\n    return [Pose(self.pose(b).keypoints[:13], 1.0) for b in boxes]",
    "sys-exit-0": "def estimate(self, image, boxes):\n    raise SystemExit(0)",
    "its-own-keyboard-interrupt": "def estimate(self, image, boxes):\n    raise KeyboardInterrupt",
    "its-own-generator-exit": "def estimate(self, image, boxes):\n    raise GeneratorExit",
    "out-of-memory": "def estimate(self, image, boxes):\n    raise MemoryError",
    "endless-recursion": "def estimate(self, image, boxes):\n    return self.estimate(image, boxes)",
    "stop-iteration": "def estimate(self, image, boxes):\n    return [next(iter(()))]",
    "an-error-without-words": mute("raise RuntimeError"),
    "an-error-with-a-number-for-words": mute("return 5"),
    "a-bug": "def estimate(self, image, boxes):\n    return boxes[99]",
}
# Other functions of a method without a network.
HOOKS = {
    "no-paradigm": "paradigm = None",
    "an-unknown-paradigm": "paradigm = 'topdown'",
    "settings-that-are-no-dataclass": "class Settings:\n    scale = 1.0",
    "settings-of-a-dict": "published = {'*': {'scale': 1.0}}",
    "settings-that-cannot-be-recorded": (
        "from dataclasses import make_dataclass\npublished = {'*': make_dataclass('S', ['scale'])(object())}"
    ),
    "settings-that-exit": (
        "from dataclasses import dataclass\n"
        "@dataclass\nclass Settings:\n    def __post_init__(self):\n        raise SystemExit"
    ),
    "a-hook-of-an-old-name": "def begin(self, samples, complete):\n    pass",
    "an-input-size-of-one-number": (
        "from dataclasses import make_dataclass\npublished = {'*': make_dataclass('S', ['input_size'])(256)}"
    ),
    "a-protocol-that-claims-more-images": "def protocol_overrides(self):\n    return {'images': 5000, 'complete': True}",
    "a-protocol-of-another-kind": "def protocol_overrides(self):\n    return {'flip_test': 'often'}",
    "a-protocol-that-is-none": "def protocol_overrides(self):\n    pass",
    "an-init-that-forgets-its-base": "def __init__(self, keypoints, settings, name=None):\n    pass",
    "an-init-that-fails": "def __init__(self, keypoints, settings, name=None):\n    1 / 0",
    "on-start-that-exits": "def on_start(self, samples, complete):\n    raise SystemExit(0)",
}
# Functions of a method with a network.
NETWORK_HOOKS = {
    "no-network": "def build_network(self):\n    return None",
    "a-network-that-fails": "def build_network(self):\n    raise SystemExit('no GPU')",
    "prepare-that-exits": "def prepare(self, sample, rng=None):\n    raise SystemExit(0)",
    "prepare-that-fails-in-a-worker": "def prepare(self, sample, rng=None):\n    return {}['box']",
    "collate-that-fails": "def collate(self, examples):\n    return examples[99]",
    "predict-of-one-list": "def predict(self, network, batch):\n    return [self.pose(b[0]) for b in batch]",
    "predict-of-too-few-images": "def predict(self, network, batch):\n    return []",
    "predict-of-none": "def predict(self, network, batch):\n    pass",
    "predict-that-is-a-generator": "def predict(self, network, batch):\n    yield []",
    "predict-that-exits": "def predict(self, network, batch):\n    raise SystemExit(0)",
}


def run_of(folder: Path, module: str, code: str, *more: str) -> list[str]:
    """The command that runs a method on three images."""
    install(folder / "site", module, code)
    coco_files.write(folder / "data", "json/crowdpose_test.json")
    return ["run", "odd", "crowdpose", "--root", "data", "--workers", "0", *more]


def module_of(name: str) -> str:
    return f"odd_{name.replace('-', '_')}"


for name, hook in {**ESTIMATES, **HOOKS}.items():
    case(name)(lambda folder, name=name, hook=hook: run_of(folder, module_of(name), with_hook(METHOD, hook)))
for name, hook in NETWORK_HOOKS.items():
    workers = ("--workers", "1") if name.endswith("worker") else ()
    case(name)(
        lambda folder, name=name, hook=hook, workers=workers: run_of(
            folder, module_of(name), with_hook(NETWORK, hook), "--weights", "none", *workers
        )
    )


@case("prints-and-changes-folders")
def _(folder: Path) -> list[str]:
    hook = "def on_start(self, samples, complete):\n    import os\n    print('loading')\n    os.chdir('/')"
    return run_of(folder, "odd_wandering", with_hook(METHOD, hook), "--json")


@case("boxes-none-for-a-top-down-method")
def _(folder: Path) -> list[str]:
    return run_of(folder, "odd_no_boxes", METHOD, "--boxes", "none")


def _without_boxes(folder: Path, module: str) -> list[str]:
    (folder / "boxes.json").write_text(
        '[{"image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "score": 1}]'
    )
    return run_of(folder, module, with_hook(METHOD, "paradigm = 'bottom-up'"))


@case("boxes-for-a-bottom-up-method")
def _(folder: Path) -> list[str]:
    return [*_without_boxes(folder, "odd_boxes"), "--boxes", "boxes.json"]


@case("a-suite-with-boxes-for-a-bottom-up-method")
def _(folder: Path) -> list[str]:
    _without_boxes(folder, "odd_suite")
    (folder / "own.toml").write_text(
        'name = "own"\ndescription = "Boxes that nobody takes."\n[detector.mine]\ndescription = "Mine."\n'
        'file = "boxes.json"\n[[run]]\nmethod = "odd"\ndataset = "crowdpose"\nboxes = "detector:mine"\n'
    )
    return ["sweep", "own.toml", "--root", "crowdpose=data", "--boxes", "mine=boxes.json"]


@case("a-suite-of-a-method-without-weights")
def _(folder: Path) -> list[str]:
    run_of(folder, "odd_no_weights", METHOD)
    (folder / "own.toml").write_text(
        'name = "own"\ndescription = "No weights."\n[[run]]\nmethod = "odd"\ndataset = "crowdpose"\n'
    )
    return ["sweep", "own.toml", "--root", "crowdpose=data", "--workers", "0"]


@case("a-suite-without-boxes-for-a-top-down-method")
def _(folder: Path) -> list[str]:
    run_of(folder, "odd_suite_none", METHOD)
    (folder / "own.toml").write_text(
        'name = "own"\ndescription = "No boxes."\n[[run]]\nmethod = "odd"\ndataset = "crowdpose"\nboxes = "none"\n'
    )
    return ["sweep", "own.toml", "--root", "crowdpose=data"]


DATASET = """
from pathlib import Path
from crowdbench.api.dataset import Dataset
from crowdbench.api.types import Sample
from crowdbench_datasets.crowdpose import CrowdPose

class Odd(CrowdPose):
    name = "odd"
"""
# What is wrong with a dataset, by the name of the case.
DATASETS = {
    "a-dataset-whose-length-lies": "def __len__(self):\n    return 99",
    "a-dataset-of-dicts": "def __getitem__(self, index):\n    return {'image_id': index}",
    "a-dataset-that-exits": "def __getitem__(self, index):\n    raise SystemExit(0)",
    "a-dataset-of-one-image-many-times": "def __getitem__(self, index):\n    return super().__getitem__(0)",
    "a-dataset-of-no-length": "def __len__(self):\n    return -1",
    "a-dataset-without-splits": "splits = None",
    "a-dataset-that-opens-nothing": "@classmethod\ndef open(cls, *a, **k):\n    pass",
    "a-dataset-of-other-keypoints": (
        "@classmethod\ndef open(cls, *a, **k):\n    found = super().open(*a, **k)\n"
        "    found.keypoints = ['nose']\n    return found"
    ),
}
for name, hook in DATASETS.items():

    @case(name)
    def _(folder: Path, name: str = name, hook: str = hook) -> list[str]:
        code = with_hook(DATASET, hook)
        install(folder / "site", module_of(name), code, group="datasets", name="odd")
        run_of(folder, "odd_method_beside", METHOD)
        return ["run", "odd", "odd", "--root", "data", "--workers", "0"]


LAUNCHER = """
class Odd:
    def launch(self, request, on_progress=None):
        pass
"""
QUEUE = """
from crowdbench.jobs.launcher import Queue

class Odd(Queue):
    name = "odd"

    def resolve_resources(self, resources):
        return resources

    def submit(self, jobs, resources, max_parallel):
        return []

    def query(self, tickets):
        return {}

    def cancel(self, tickets):
        pass

    def logs(self, ticket):
        return []

    def explain_exit(self, ticket, seen):
        return ""
"""
# A launcher, and what is wrong with it.
LAUNCHERS = {
    "a-launcher-that-is-not-a-queue": (LAUNCHER, ""),
    "a-queue-that-does-not-start": (QUEUE, "def __init__(self, profile, options):\n    raise SystemExit(0)"),
    "a-queue-that-completes-nothing": (QUEUE, "def resolve_resources(self, resources):\n    pass"),
    "a-queue-without-tickets": (QUEUE, ""),
    "a-queue-with-numbers-for-tickets": (
        QUEUE,
        "def submit(self, jobs, resources, max_parallel):\n    return [1]",
    ),
    "a-queue-that-exits": (
        QUEUE,
        "def submit(self, jobs, resources, max_parallel):\n    raise SystemExit(0)",
    ),
    "a-queue-with-a-bug": (QUEUE, "@property\ndef device(self):\n    return self.cluster.device"),
}
for name, (code, hook) in LAUNCHERS.items():

    @case(name)
    def _(folder: Path, name: str = name, code: str = code, hook: str = hook) -> list[str]:
        install(
            folder / "site", module_of(name), with_hook(code, hook), group="launchers", name="odd-cluster"
        )
        return [*run_of(folder, "odd_method_beside", METHOD), "--on", "odd-cluster"]


@case("settings-of-an-unknown-type")
def _(folder: Path) -> list[str]:
    kind = (
        "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass Settings:\n    least: 'Nowhere' = 1"
    )
    return run_of(folder, "odd_kind", with_hook(METHOD, kind), "--set", "least=2")


@case("nobody-found-anywhere")
def _(folder: Path) -> list[str]:
    return run_of(folder, "odd_nobody", with_hook(METHOD, "def estimate(self, image, boxes):\n    return []"))


def test_every_row_has_a_case() -> None:
    case.check_complete()


@pytest.fixture(autouse=True)
def _site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    plugins.installed.cache_clear()
    for module in [name for name in sys.modules if name.startswith("odd_")]:
        monkeypatch.delitem(sys.modules, module)


@pytest.mark.parametrize("name", case.makers)
def test_the_command_says_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = case.check(name, tmp_path, monkeypatch, capsys)
    if case.rows[name].status == 1:
        assert re.search(r"\b[oO]dd\b", said), "the method is named"
        assert "AP" not in said.split(), "no score is shown"


def test_the_trace_is_in_the_runs_log_and_not_on_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case.check("a-bug", tmp_path, monkeypatch, capsys)
    (log,) = tmp_path.glob("runs/crowdpose-test/odd/*/log.txt")
    assert "return boxes[99]" in log.read_text()
    (record,) = tmp_path.glob("runs/crowdpose-test/odd/*/run.json")
    assert '"failed"' in record.read_text()
