"""The command: filters, order, formats, and what it says of directories that are no runs."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.runs.fake_runs import make_run

Command = Callable[..., Any]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Five runs of four methods."""
    root = tmp_path / "runs"
    make_run(root, 1, 0.5, method="net-small", scores={"AP_hard": 0.3})
    make_run(root, 2, 0.7, method="net-large", scores={"AP_hard": 0.2})
    make_run(root, 3, 0.6, method="other", boxes="detector:0123456789abcdef")
    make_run(root, 4, 0.4, method="other", complete=False, images=10)
    make_run(root, 5, 0.3, method="bottom", dataset="coco", split="val2017", boxes="none", images=5000)
    return root


def shown(crowdbench: Command, kept: Path, *options: str) -> list[str]:
    status, out, err = crowdbench("leaderboard", kept, "--json", *options)
    assert (status, err) == (0, "")
    return [row["run"].lstrip("0") for table in json.loads(out) for row in table["rows"]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--method", "net-*"], "21"),
        (["--method", "net-small", "--method", "bot*"], "51"),
        (["--dataset", "c[o]co"], "5"),
        (["--split", "test"], "3214"),
        (["--boxes", "gt"], "214"),
        (["--boxes", "detector:*"], "3"),
        (["--boxes", "none"], "5"),
        (["--complete"], "5321"),
        (["--partial"], "4"),
        (["--partial", "--method", "net-*"], ""),
        ([], "53214"),
    ],
    ids=" ".join,
)
def test_filters_are_shell_patterns(
    crowdbench: Command, kept: Path, options: list[str], expected: str
) -> None:
    assert sorted(shown(crowdbench, kept, *options)) == sorted(expected)


@pytest.mark.parametrize(
    ("column", "expected"),
    [("AP", "21"), ("ap_hard", "12"), ("method", "21"), ("run", "12")],
)
def test_tables_are_sorted_by_the_better_end_of_a_column(
    crowdbench: Command, kept: Path, column: str, expected: str
) -> None:
    found = shown(crowdbench, kept, "--method", "net-*", "--sort", column)
    assert "".join(found) == expected


def test_an_unknown_column_is_an_error_that_lists_the_known(crowdbench: Command, kept: Path) -> None:
    status, _, err = crowdbench("leaderboard", kept, "--sort", "AP_hrad")
    assert status == 2
    assert "Did you mean 'AP_hard'?" in err


@pytest.mark.parametrize("style", ["text", "markdown", "csv", "json", "latex", "html"])
def test_odd_directories_are_named_in_a_line_each_and_spoil_no_format(
    crowdbench: Command, kept: Path, style: str
) -> None:
    for name, content in {
        "cut\x1b[31m off": b"{",
        "foreign\nname": b'{"a": 1}',
        "newer": b'{"schema": 99}',
    }.items():
        folder = kept / "crowdpose-test" / "odd" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_bytes(content)
    (kept / "crowdpose-test" / "odd" / "half").mkdir()
    status, out, err = crowdbench("leaderboard", kept, "--format", style)
    assert status == 0
    assert "net-large" in out
    lines = err.splitlines()
    assert len(lines) == 4
    assert all(line.isprintable() and str(kept) in line for line in lines)


def test_published_figures_need_no_runs(
    crowdbench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, _ = crowdbench(
        "leaderboard", "--published", "--method", "i2rnet-*", "--dataset", "crowdpose"
    )
    assert status == 0
    assert [line.split("  ")[0] for line in out.splitlines() if line.startswith("I2R-Net")] == [
        "I2R-Net HRFormer-B",
        "I2R-Net TransPose-H",
        "I2R-Net HRNet-W48-S (vanilla)",
    ]
    assert crowdbench("leaderboard")[0] == 2
    assert crowdbench("leaderboard", "nowhere", "--published")[0] == 2


def test_a_filter_that_nothing_meets_says_so(crowdbench: Command, kept: Path) -> None:
    status, out, _ = crowdbench("leaderboard", kept, "--method", "nobody")
    assert status == 0
    assert "None of the 5 runs" in out


def test_levels_of_crowding_are_columns_on_request(crowdbench: Command, kept: Path) -> None:
    make_run(kept, 6, 0.5, method="net-mid", scores={"AP_easy": 0.6, "AP_medium": 0.5, "AP_hard": 0.1})
    status, out, _ = crowdbench("leaderboard", kept, "--by-crowding", "--method", "net-mid")
    assert status == 0
    assert out.splitlines()[2].split()[:7] == ["method", "AP", "AP_easy", "AP_medium", "AP_hard", "hard", "-"]
    assert "-50.0" in out


def test_an_interval_that_cannot_be_computed_costs_nobody_the_table(
    crowdbench: Command, kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    status, out, _ = crowdbench("leaderboard", kept, "--intervals")
    assert status == 0
    assert "net-large" in out
    assert "no interval" in caplog.text


@pytest.mark.parametrize("style", ["text", "markdown", "csv", "json", "latex", "html"])
def test_a_folder_whose_name_is_no_text_spoils_no_format(crowdbench: Command, kept: Path, style: str) -> None:
    strange = kept / "crowdpose-test" / os.fsdecode(b"\xff\x1b")
    (kept / "crowdpose-test" / "net-large").rename(strange)
    (strange / "half").mkdir()
    status, out, err = crowdbench("leaderboard", kept, "--format", style)
    assert status == 0
    assert "net-large" in out
    (line,) = err.splitlines()
    assert line.isprintable()


@pytest.mark.parametrize("content", ['{"parameters": "many"}', "{", "[]", ""])
def test_a_count_that_cannot_be_read_is_named_and_passed_over(
    crowdbench: Command, kept: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = next((kept / "crowdpose-test" / "net-large").iterdir())
    for name in ("complexity.json", "interval.json"):
        (folder / name).write_text(content)
    status, out, _ = crowdbench("leaderboard", kept)
    assert status == 0
    assert "net-large" in out
    assert "params (M)" not in out
    assert "ignored: " in caplog.text
