"""The section "Files for servers" of docs/bad-input.md."""

from pathlib import Path
from typing import Any

import pytest
from support.bad_input_cases import Cases, Make
from support.runs.fake_runs import make_run

case = Cases("Files for servers")
WHOLE = {"method": "pose", "dataset": "coco", "split": "test-dev2017", "images": 20288}


def _exported(*options: str, **changes: Any) -> Make:
    def make(folder: Path) -> list[str]:
        make_run(folder / "runs", 1, None, **{**WHOLE, **changes})
        return ["export", "pose", "--for", "coco-server", *options]

    return make


case("a-run-of-another-dataset")(_exported(dataset="crowdpose", split="test"))
case("a-server-of-another-name")(_exported("--for", "coco-sever"))
case("a-run-of-a-split-that-no-server-scores")(_exported(split="train2017"))
case("a-run-of-the-first-images")(_exported(images=100, complete=False))
case("a-run-of-a-sample")(_exported(images=53))
case("a-run-that-was-killed")(_exported(state="interrupted"))
case("a-run-on-common-keypoints")(_exported(keypoints=("nose", "left_eye"), made_for="crowdpose"))
case("a-run-without-its-predictions")(_exported())
case("a-name-with-a-folder")(_exported("--name", "../mine"))
case("a-name-with-an-underscore")(_exported("--name", "my_pose"))


@case("two-runs-of-a-method")
def _(folder: Path) -> list[str]:
    for number in (1, 2):
        make_run(folder / "runs", number, None, **WHOLE)
    return ["export", "pose", "--for", "coco-server"]


@case("no-such-run")
def _(folder: Path) -> list[str]:
    return ["export", "nobody", "--for", "coco-server"]


def test_every_row_has_a_case() -> None:
    case.check_complete()


@pytest.mark.parametrize("name", case.makers)
def test_the_command_says_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case.check(name, tmp_path, monkeypatch, capsys)
    assert not list(tmp_path.glob("*.zip"))
