"""What lies among runs and is none is named, once each, and costs nobody the others."""

import os
from pathlib import Path

import pytest
from support.runs.fake_runs import make_run

from crowdbench.errors import MissingDataError
from crowdbench.jobs.status import list_statuses
from crowdbench.run_store.record import SCHEMA
from crowdbench.run_store.run import Run
from crowdbench.run_store.scan import find_runs, scan_runs


def odd(root: Path, name: str, content: bytes | None) -> Path:
    folder = root / "crowdpose-test" / "odd" / name
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "run.json").write_bytes(content)
    return folder


def newer(run: Run, more: str = "") -> bytes:
    text = (run.directory / "run.json").read_text()
    assert f'"schema": {SCHEMA}' in text
    return text.replace(f'"schema": {SCHEMA}', f'{more}"schema": 99').encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(None, "no run.json: half-written, or not a run", id="nothing"),
        pytest.param(b"", "not the record of a run", id="empty"),
        pytest.param(b'{"id": "00', "not the record of a run", id="cut off"),
        pytest.param(b"\xff\xfe\x00", "not the record of a run", id="no text"),
        pytest.param(b'{"id": "\xff"}', "not the record of a run", id="no UTF-8"),
        pytest.param(b"[]", "not the record of a run", id="a list"),
        pytest.param(b'{"name": "mine"}', "not the record of a run", id="somebody else's"),
        pytest.param(b'{"schema": 99}', "of a newer crowdbench (format 99", id="newer and different"),
        pytest.param(b"[" * 100_000, "not the record of a run", id="deep"),
        pytest.param(b'{"a": ' * 100_000, "not the record of a run", id="deep objects"),
    ],
)
def test_an_odd_directory_is_named_and_passed_over(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    run = make_run(tmp_path, 1, 0.5)
    folder = odd(tmp_path, "one", content)
    found, oddities = scan_runs(tmp_path)
    assert found == [run] == find_runs(tmp_path)
    (oddity,) = oddities
    assert oddity.path in (folder, folder / "run.json")
    assert oddity.reason.startswith(reason)
    assert "\n" not in oddity.reason
    with pytest.raises(MissingDataError):
        Run.read(folder)


def test_a_newer_record_that_can_be_understood_is_shown_and_named(tmp_path: Path) -> None:
    run = make_run(tmp_path, 1, 0.5)
    folder = odd(tmp_path, "newer", newer(run, '"of_tomorrow": {"x": 1}, '))
    found, (oddity,) = scan_runs(tmp_path)
    assert [run.record.id for run in found] == ["0000000001", "0000000001"]
    assert oddity.path == folder / "run.json"
    assert "newer crowdbench (format 99)" in oddity.reason


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """A folder, a pipe and a link to nowhere, each where a record should be."""
    (odd(tmp_path, "folder", None) / "run.json").mkdir()
    os.mkfifo(odd(tmp_path, "pipe", None) / "run.json")
    (odd(tmp_path, "link", None) / "run.json").symlink_to(tmp_path / "nowhere")
    run = make_run(tmp_path, 1, 0.5)
    found, oddities = scan_runs(tmp_path)
    assert found == [run]
    assert sorted(oddity.path.relative_to(tmp_path).parts[2] for oddity in oddities) == [
        "folder",
        "link",
        "pipe",
    ]


def test_trainings_jobs_hidden_folders_and_files_are_not_odd(tmp_path: Path) -> None:
    (odd(tmp_path, "training", None) / "training.json").write_text("{}")
    (tmp_path / "jobs" / "a-job" / "logs").mkdir(parents=True)
    (tmp_path / ".cache" / "a" / "b").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "crowdpose-test" / "notes.txt").write_text("mine")
    (tmp_path / "synthcrowd-test-crowding").mkdir()
    assert scan_runs(tmp_path) == ([], [])


def test_runs_come_in_the_order_of_their_directories(tmp_path: Path) -> None:
    for number, dataset in ((3, "coco"), (1, "coco"), (2, "crowdpose"), (4, "a-b")):
        make_run(tmp_path, number, 0.5, dataset=dataset, method="m")
    directories = [run.directory for run in find_runs(tmp_path)]
    assert directories == sorted(directories)
    assert len(directories) == 4


def test_a_folder_that_is_not_there_has_no_runs(tmp_path: Path) -> None:
    assert find_runs(tmp_path / "none") == []


def test_a_run_that_links_lead_to_as_well_is_listed_once_and_where_it_lies(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    run = make_run(root, 1, 0.5)
    group = run.directory.parent.parent
    (root / "a-link").symlink_to(group)
    (group / "a-link").symlink_to(run.directory.parent)
    (run.directory.parent / "0-link").symlink_to(run.directory)
    assert [found.directory for found in find_runs(root)] == [run.directory]
    assert [row.directory for row in list_statuses(root)[0]] == [run.directory]


def test_runs_that_only_links_lead_to_are_listed(tmp_path: Path) -> None:
    run = make_run(tmp_path / "elsewhere", 1, 0.5)
    (tmp_path / "runs").mkdir()
    for name in ("first", "second"):
        (tmp_path / "runs" / name).symlink_to(run.directory.parent.parent)
    assert [found.directory.parts[-3] for found in find_runs(tmp_path / "runs")] == ["first"]
    assert len(list_statuses(tmp_path / "runs")[0]) == 1
