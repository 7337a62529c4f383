"""Several processes at one run, killed at any moment: nothing is lost, and nothing is done twice."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crowdbench.leaderboard.board import build_leaderboard
from crowdbench.run_store.run import Run
from crowdbench.run_store.scan import find_runs

IMAGES = 6
FILES = ["log.txt", "predictions.json.gz", "run.json", "scores.json"]
# Before the first image is done, between two, while files are written, and at the end.
MOMENTS = ["image:0", "image:3", "write:5", "predictions", "record"]
Start = Callable[..., list[tuple[int, str]]]


@dataclass
class Folder:
    """A folder of runs, and the count of images that all processes have computed."""

    path: Path
    begin: Start

    def start(self, *dies: str, **more: Any) -> list[tuple[int, str]]:
        """Processes that all start now, each killed where it is said ("" is never)."""
        shared = {"out": str(self.path / "runs"), "steps": str(self.path / "steps"), **more}
        return self.begin([{**shared, "dies": moment} for moment in dies])

    @property
    def steps(self) -> int:
        """How many images were computed, by all."""
        path = self.path / "steps"
        return path.stat().st_size if path.exists() else 0

    @property
    def run(self) -> Run:
        """The one run."""
        (run,) = find_runs(self.path / "runs")
        return run

    def files(self) -> list[str]:
        """What is in the run's directory."""
        return sorted(path.name for path in self.run.directory.iterdir())

    def predictions(self) -> bytes:
        """Of the run."""
        return self.run.predictions_file.read_bytes()


@pytest.fixture(scope="module")
def begin() -> Iterator[Start]:
    """Starts processes, as support.runs.run_in_subprocess describes them."""
    # In this order: what lies in tests/crowdbench is not the package.
    tests = str(Path(__file__).resolve().parents[2])
    program = f"import sys, crowdbench; sys.path.append({tests!r}); from support.runs import run_in_subprocess as r; r.main()"
    with subprocess.Popen(
        [sys.executable, "-P", "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:

        def begin(specs: list[dict[str, Any]]) -> list[tuple[int, str]]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(specs) + "\n")
            process.stdin.flush()
            return [(status, said) for status, said in json.loads(process.stdout.readline())]

        yield begin
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def undisturbed(begin: Start, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The predictions of a run that nothing has disturbed."""
    folder = Folder(tmp_path_factory.mktemp("undisturbed"), begin)
    ((status, said),) = folder.start("")
    assert status == 0, said
    assert folder.steps == IMAGES
    return folder.predictions()


@pytest.fixture
def folder(tmp_path: Path, begin: Start) -> Folder:
    """A new one."""
    return Folder(tmp_path, begin)


@pytest.mark.parametrize("second", MOMENTS)
@pytest.mark.parametrize("first", MOMENTS)
def test_of_two_that_are_killed_at_any_moments_nothing_is_lost_nor_computed_twice(
    folder: Folder, undisturbed: bytes, first: str, second: str
) -> None:
    killed = folder.start(first, second)
    assert all(status in (0, -9) for status, _ in killed), killed
    # One that was to be killed lives where the other one has left it nothing to do.
    deaths = sum(status == -9 for status, _ in killed)
    assert deaths >= 1
    ((status, said),) = folder.start("")
    assert status == 0, said
    assert folder.predictions() == undisturbed
    assert folder.files() == FILES
    assert IMAGES <= folder.steps <= IMAGES + deaths


def test_ten_at_once_compute_each_image_once_and_all_show_the_result(
    folder: Folder, undisturbed: bytes
) -> None:
    ended = folder.start(*[""] * 10)
    assert [status for status, _ in ended] == [0] * 10, ended
    assert folder.steps == IMAGES
    assert folder.predictions() == undisturbed
    assert folder.files() == FILES
    assert any("is at this very run" in said for _, said in ended)


def test_a_frozen_process_is_taken_over_from_and_shows_the_result_when_it_thaws(
    folder: Folder, undisturbed: bytes
) -> None:
    ended = folder.start("stop:2", "", silent_s=5)
    statuses = [status for status, _ in ended]
    assert statuses == [0, 0], ended
    assert folder.run.record.state == "done"
    assert folder.predictions() == undisturbed
    assert folder.files() == FILES


@pytest.mark.parametrize("moment", [*MOMENTS, "promotion"])
def test_the_old_result_stands_until_the_new_one_is_whole(
    folder: Folder, undisturbed: bytes, moment: str
) -> None:
    assert folder.start("")[0][0] == 0
    old = folder.run.record
    ((status, said),) = folder.start(moment, again=True)
    assert status == -9, said
    assert folder.run.record == old
    assert len(build_leaderboard([folder.run])) == 1
    before = folder.steps
    ((status, said),) = folder.start("")
    assert status == 0, said
    assert folder.steps == before, "a plain command computes nothing"
    if moment not in ("record", "promotion"):
        assert folder.run.record == old
        assert "an unfinished recomputation lies in" in said
        ((status, said),) = folder.start("", again=True)
        assert status == 0, said
    assert folder.run.record != old
    assert folder.predictions() == undisturbed
    assert folder.files() == FILES
    assert folder.steps <= 2 * IMAGES + 1


def test_ten_that_compute_anew_at_once_do_it_once(folder: Folder, undisturbed: bytes) -> None:
    assert folder.start("")[0][0] == 0
    ended = folder.start(*[""] * 10, again=True)
    assert [status for status, _ in ended] == [0] * 10, ended
    # One that comes when all is over computes anew: it was asked to.
    assert folder.steps >= 2 * IMAGES
    assert folder.predictions() == undisturbed
    assert folder.files() == FILES


def test_what_was_kept_of_the_old_result_does_not_outlive_it(folder: Folder) -> None:
    assert folder.start("")[0][0] == 0
    for name in ("interval.json", "analysis.json", "complexity.json"):
        (folder.run.directory / name).write_text("{}")
    assert folder.start("", again=True)[0][0] == 0
    assert folder.files() == FILES


def rank(number: int) -> dict[str, str]:
    return {"RANK": str(number), "WORLD_SIZE": "2", "LOCAL_RANK": str(number), "SLURM_JOB_ID": "1"}


def test_the_first_of_two_processes_of_a_start_notices_that_the_other_was_killed(
    folder: Folder, undisturbed: bytes
) -> None:
    shared = {"out": str(folder.path / "runs"), "steps": str(folder.path / "steps")}
    first, second = folder.begin(
        [
            {**shared, "environment": rank(0)},
            {**shared, "environment": rank(1), "dies": "image:1"},
        ]
    )
    assert second[0] == -9
    assert first[0] == 1
    assert "process 1 (number" in first[1]
    assert "has died; 2 of 6 batches are missing" in first[1]
    ((status, said),) = folder.start("")
    assert status == 0, said
    assert folder.predictions() == undisturbed
    assert folder.steps == IMAGES + 1
    assert folder.files() == FILES


def test_left_overs_of_killed_processes_are_removed_by_the_next_start(folder: Folder) -> None:
    assert folder.start("write:10")[0][0] == -9
    directory = folder.run.directory
    assert list(directory.rglob("*.tmp"))
    (directory / ".somebodys.tmp").touch()
    (directory / f".run.json.{os.getpid()}.00000000.tmp").touch()  # of another machine, and new
    assert folder.start("")[0][0] == 0
    assert folder.files() == sorted([*FILES, ".somebodys.tmp", f".run.json.{os.getpid()}.00000000.tmp"])
    (directory / "parts").mkdir()
    (directory / "parts" / "000000-000001.json").touch()
    assert folder.start("")[0][0] == 0
    assert "parts" not in folder.files()


@pytest.mark.parametrize("largest", [0, 100, 300, 600, 1200, 2400, 4800])
@pytest.mark.parametrize("again", [False, True])
def test_where_files_cannot_grow_a_line_says_so_and_nothing_is_lost(
    folder: Folder, undisturbed: bytes, largest: int, again: bool
) -> None:
    if again:
        assert folder.start("")[0][0] == 0
        old = folder.run.record
    ((status, said),) = folder.start("", again=again, largest_file=largest)
    assert "a bug" not in said
    if status != 0:
        assert status == 1, said
        last = said.split("MachineError: ")[-1]
        assert "cannot be written (File too large)" in last
        assert "ulimit -f" in last
        if again:
            assert folder.run.record == old
    before = folder.steps
    ((status, said),) = folder.start("", again=again)
    assert status == 0, said
    assert folder.predictions() == undisturbed
    assert folder.files() == FILES
    assert folder.steps - before <= IMAGES
