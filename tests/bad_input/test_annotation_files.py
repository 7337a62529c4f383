"""The section "Annotation files" of docs/bad-input.md."""

from pathlib import Path

import coco_files
import pytest
from bad_input_cases import Cases

case = Cases("Annotation files")


@case("a-web-page")
def _(folder: Path) -> list[str]:
    coco_files.write(folder / "data", "json/crowdpose_test.json")
    (folder / "data/json/crowdpose_test.json").write_text("<!DOCTYPE html><html></html>")
    (folder / "predictions.json").write_text("[]")
    return ["score", "predictions.json", "crowdpose", "--root", "data"]


def test_every_row_has_a_case() -> None:
    case.check_complete()


@pytest.mark.parametrize("name", case.makers)
def test_the_command_says_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case.check(name, tmp_path, monkeypatch, capsys)
