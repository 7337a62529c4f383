"""The section "Numbers and settings" of docs/bad-input.md."""

import json
import sys
from pathlib import Path

import pytest
from support.bad_input_cases import Cases
from support.data import coco_files
from support.methods.faulty_plugins import METHOD, NETWORK, install, with_hook

from crowdbench import plugins

case = Cases("Numbers and settings")

SETTINGS = """
from dataclasses import dataclass

@dataclass(frozen=True)
class OddSettings:
    scale: float = 1.0
    steps: int = 3
    parts: tuple[int, ...] = ()
    label: str = ""
"""
DEEP = "[" * 100_000
LARGE = "9" * 400


def run_with(folder: Path, *more: str) -> list[str]:
    install(folder / "site", "odd_numbers", SETTINGS + with_hook(METHOD, "Settings = OddSettings"))
    coco_files.write(folder / "data", "json/crowdpose_test.json")
    return ["run", "odd", "crowdpose", "--root", "data", "--workers", "0", *more]


# What is added to the command, by the name of the case.
ARGUMENTS = {
    "a-seed-beyond-64-bits": ("--seed", str(2**70)),
    "a-negative-seed": ("--seed", "-1"),
    "too-many-workers": ("--workers", "1000000000"),
    "too-large-a-batch": ("--batch-size", "10000000000000000000000"),
    "a-limit-without-end": ("--limit", "9" * 30),
    "writes-every-nan-seconds": ("--save-every", "nan"),
    "a-device-that-pytorch-has-not": ("--device", "toaster"),
    "a-device-that-is-not-here": ("--device", "xpu:9"),
    "a-gpu-that-is-not-here": ("--device", "cuda:99"),
    "the-device-that-computes-nothing": ("--device", "meta"),
    "a-setting-of-nan": ("--set", "scale=nan"),
    "a-setting-of-infinity": ("--set", "scale=1e999"),
    "a-setting-nested-deeply": ("--set", f"parts={DEEP}"),
    "a-setting-of-many-digits": ("--set", f"steps={LARGE}"),
    "a-setting-beyond-64-bits": ("--set", f"parts=[{2**70}]"),
    "a-setting-without-an-encoding": ("--set", "label=\udc80"),
    "a-setting-of-another-kind": ("--set", 'steps={"a": 1}'),
}
for name, more in ARGUMENTS.items():
    case(name)(lambda folder, more=more: run_with(folder, *more))

RECIPES = {
    "a-learning-rate-of-1e300": "learning_rate=1e300",
    "epochs-without-end": "epochs=1000000000000",
    "a-decay-of-nan": "weight_decay=nan",
    "a-clip-norm-of-infinity": "clip_norm=1e999",
}
TRAINABLE = (
    "@classmethod\ndef published_recipe(cls, dataset, keypoints):\n    from crowdbench.api.recipe import Recipe\n"
    "    return Recipe(validation_split=None)"
)
for name, value in RECIPES.items():

    @case(name)
    def _(folder: Path, value: str = value) -> list[str]:
        install(folder / "site", "odd_recipe", with_hook(NETWORK, TRAINABLE))
        coco_files.write(folder / "data", "json/crowdpose_train.json")
        return ["train", "odd", "crowdpose", "--root", "data", "--recipe", value]


@case("a-gaussian-of-1e300")
def _(folder: Path) -> list[str]:
    coco_files.write(folder / "data", "json/crowdpose_train.json")
    return ["train", "hrnet-tiny", "crowdpose", "--root", "data", "--recipe", "target_sigma=1e300"]


def suite(folder: Path, grid: str) -> list[str]:
    (folder / "own.toml").write_text(f'name = "own"\ndescription = "Many."\n[[grid]]\n{grid}\n')
    return ["sweep", "own.toml", "--dry-run"]


def names(letter: str, count: int) -> str:
    return json.dumps([f"{letter}{number}" for number in range(count)])


@case("a-suite-of-millions-of-runs")
def _(folder: Path) -> list[str]:
    return suite(folder, f"methods = {names('m', 3000)}\ndatasets = {names('d', 3000)}")


@case("a-suite-of-many-seeds")
def _(folder: Path) -> list[str]:
    seeds = list(range(20_000))
    return suite(folder, f'methods = ["m"]\ndatasets = ["d"]\nweights = "none"\nseeds = {seeds}')


@case("a-suite-with-a-negative-seed")
def _(folder: Path) -> list[str]:
    return suite(folder, 'methods = ["m"]\ndatasets = ["d"]\nweights = "none"\nseeds = [-1]')


def test_every_row_has_a_case() -> None:
    case.check_complete()


@pytest.fixture(autouse=True)
def _site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    plugins.installed.cache_clear()
    for module in [name for name in sys.modules if name.startswith("odd_")]:
        monkeypatch.delitem(sys.modules, module)


@pytest.mark.parametrize("name", case.makers)
def test_the_command_says_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case.check(name, tmp_path, monkeypatch, capsys)
