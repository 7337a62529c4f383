import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from crowdbench.cli.leaderboard import leaderboard
from crowdbench.errors import MissingDataError
from crowdbench.leaderboard import board, to_markdown, to_text
from crowdbench.record import Protocol, Record, Weights
from crowdbench.run_directory import Run, find_runs, runs

PROTOCOL = Protocol("crowdpose", "test", "a" * 64, "gt", 8000, True, True, (256, 192))


def make_run(root: Path, number: int, ap: float | None, **changes: Any) -> Run:
    protocol = dataclasses.replace(PROTOCOL, **{k: v for k, v in changes.items() if hasattr(PROTOCOL, k)})
    record = Record(
        id=f"{number:010x}",
        method=changes.get("method", f"method-{number}"),
        method_origin="toys 1.0",
        paradigm="top-down",
        state=changes.get("state", "done"),
        protocol=protocol,
        settings={},
        weights=Weights("none"),
        precision="fp32",
        device="cpu",
        batch_size=8,
        seed=0,
        versions={},
        host={},
        command=[],
        started="2026-01-01T00:00:00+00:00",
        scores=None if ap is None else {"AP": ap, "AP_hard": -1.0},
    )
    run = Run(Run.place(root, record), record)
    run.write_record()
    return run


def test_a_record_survives_writing_and_reading(tmp_path: Path) -> None:
    run = make_run(tmp_path, 1, 0.5)
    assert Run.read(run.directory) == run
    assert run.directory == tmp_path / "crowdpose-test" / "method-1" / "0000000001"


def test_best_comes_first_and_a_split_without_persons_shows_no_number(tmp_path: Path) -> None:
    (table,) = board([make_run(tmp_path, 1, 0.5), make_run(tmp_path, 2, 0.7)])
    assert list(table.rows["method"]) == ["method-2", "method-1"]
    assert list(table.rows["AP"]) == [70.0, 50.0]
    assert table.rows["AP_hard"].isna().all()
    assert "70.0" in to_text([table])
    assert not re.search(r"\bnan\b", to_text([table]))
    assert "-1" not in to_text([table]).replace("method-1", "")
    assert to_markdown([table]).startswith("**crowdpose test, ground-truth boxes")


def test_settings_that_are_not_as_published_are_told_apart(tmp_path: Path) -> None:
    published = make_run(tmp_path, 1, 0.5)
    changed = make_run(tmp_path, 2, 0.7, changed_settings={"nms_threshold": 0.8, "group_detections": True})
    (table,) = board([published, changed])
    assert list(table.rows["not as published"]) == ["group_detections=true nms_threshold=0.8", ""]
    assert "group_detections=true" in to_text([table])
    assert "not as published" not in to_text(board([published]))


@pytest.mark.parametrize(
    "difference",
    [
        {"boxes": "detector:0123456789abcdef"},
        {"boxes": "none"},
        {"dataset": "ochuman"},
        {"split": "val"},
        {"annotations": "b" * 64},
        {"images": 100, "complete": False},
    ],
    ids=lambda d: next(iter(d)),
)
def test_runs_that_cannot_be_compared_never_share_a_table(tmp_path: Path, difference: dict[str, Any]) -> None:
    tables = board([make_run(tmp_path, 1, 0.5), make_run(tmp_path, 2, 0.7, **difference)])
    assert [len(table.rows) for table in tables] == [1, 1]
    assert tables[0].title != tables[1].title


def test_unfinished_failed_and_unscored_runs_are_not_ranked(tmp_path: Path) -> None:
    found = [
        make_run(tmp_path, 1, None, state="running"),
        make_run(tmp_path, 2, None, state="failed"),
        make_run(tmp_path, 3, None),
    ]
    assert board(found) == []


def test_foreign_and_half_written_directories_are_passed_over(tmp_path: Path) -> None:
    make_run(tmp_path, 1, 0.5)
    for name, content in {"a": b"", "b": b"{", "c": b"[]", "d": b'{"id": 3}'}.items():
        folder = tmp_path / "crowdpose-test" / "foreign" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_bytes(content)
    (tmp_path / "notes.txt").write_text("mine")
    assert len(find_runs(tmp_path)) == 1


def test_a_record_of_a_newer_version_is_read_as_far_as_it_is_understood(tmp_path: Path) -> None:
    run = make_run(tmp_path, 1, 0.5)
    path = run.directory / "run.json"
    path.write_text(path.read_text().replace('"schema"', '"a_field_of_tomorrow": {"x": 1}, "schema"'))
    assert find_runs(tmp_path) == [run]


def test_runs_as_a_frame_hold_protocol_and_scores_side_by_side(tmp_path: Path) -> None:
    make_run(tmp_path, 1, 0.5)
    frame = runs(tmp_path)
    assert frame.loc[0, ["method", "dataset", "boxes", "AP"]].to_list() == [
        "method-1",
        "crowdpose",
        "gt",
        0.5,
    ]


def test_an_id_that_looks_like_a_number_is_printed_as_it_is(tmp_path: Path) -> None:
    run = make_run(tmp_path, 1, 0.5)
    odd = Run(run.directory, dataclasses.replace(run.record, id="31e4000000"))
    assert "31e4000000" in to_text(board([odd]))


def test_the_command_prints_every_format(tmp_path: Path) -> None:
    make_run(tmp_path, 1, 0.5)
    for style, sign in (("text", "ground-truth boxes"), ("markdown", "|"), ("json", '"AP":50.0')):
        result = CliRunner().invoke(leaderboard, [str(tmp_path), "--format", style])
        assert result.exit_code == 0
        assert sign in result.output


def test_a_folder_that_is_not_there_is_an_error_and_an_empty_one_is_not(tmp_path: Path) -> None:
    result = CliRunner().invoke(leaderboard, [str(tmp_path)])
    assert result.exit_code == 0
    assert "No finished run" in result.output
    assert isinstance(CliRunner().invoke(leaderboard, [str(tmp_path / "none")]).exception, MissingDataError)
