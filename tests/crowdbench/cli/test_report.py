"""``crowdbench report``."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.runs import report_runs

from crowdbench.cli.report import report
from crowdbench.errors import InputError, MissingDataError


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(report, [str(argument) for argument in arguments], catch_exceptions=False)


def test_a_page_is_written_and_its_size_is_said(tmp_path: Path) -> None:
    root = report_runs.dataset(tmp_path / "data")
    for method in ("one", "two"):
        report_runs.run(tmp_path / "runs", root, method)
    page = tmp_path / "pages" / "both.html"
    done = invoke(tmp_path / "runs", "--root", root, "--out", page, "--pictures", "2")
    assert done.exit_code == 0, done.output
    assert f"{page}: 2 runs, 0." in done.output
    text = page.read_text()
    assert "2 runs on crowdpose test" in text
    assert "data:image/jpeg" in text


def test_equal_runs_give_equal_pages(tmp_path: Path) -> None:
    root = report_runs.dataset(tmp_path / "data")
    run = report_runs.run(tmp_path / "runs", root, "one")
    for _ in range(2):
        invoke(run.directory, "--root", root, "--out", tmp_path / "page.html")
    first = (tmp_path / "page.html").read_bytes()
    (run.directory / "analysis.json").unlink()
    invoke(run.directory, "--root", root, "--out", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_bytes() == first


def test_the_wrong_annotations_are_refused(tmp_path: Path) -> None:
    run = report_runs.run(tmp_path / "runs", report_runs.dataset(tmp_path / "data"), "one")
    other = report_runs.dataset(tmp_path / "other", images=3)
    with pytest.raises(InputError, match="SHA-256"):
        invoke(run.directory, "--root", other, "--out", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_folder_without_runs_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="no run here"):
        invoke(tmp_path)
