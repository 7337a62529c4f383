"""An evaluation shared by processes ends with the bytes of one process, whatever happens on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from crowdbench.run_store.run import Run
from crowdbench.run_store.scan import find_runs

pytestmark = pytest.mark.slow
IMAGES = 16
PATIENCE_S = 240
FILES = ["log.txt", "predictions.json.gz", "run.json", "scores.json"]


def command(out: Path, *more: str) -> list[str]:
    run = ["run", "toy-network", "synthcrowd", "--weights", "none", "--device", "cpu", "--workers", "0"]
    return [*run, "--batch-size", "1", "--limit", str(IMAGES), "--save-every", "0", "--out", str(out), *more]


class Crew:
    """Starts a command in so many processes, with torchrun if they are several."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = {**environment, "CUDA_VISIBLE_DEVICES": ""}
        self.started: list[subprocess.Popen[str]] = []

    def start(self, processes: int, arguments: Sequence[str], **environment: str) -> "subprocess.Popen[str]":
        torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
        process = subprocess.Popen(
            [sys.executable, "-m", *(torchrun if processes > 1 else []), "crowdbench", *arguments],
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def finish(self, processes: int, arguments: Sequence[str], **environment: str) -> tuple[Run, str]:
        """The finished run, and what was printed."""
        process = self.start(processes, arguments, **environment)
        output, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, errors
        (run,) = find_runs(Path(arguments[arguments.index("--out") + 1]))
        assert run.record.state == "done"
        return run, output


def kill(process: "subprocess.Popen[str]") -> None:
    """Kill torchrun and those that it has started, which it gives sessions of their own."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    doomed = [process.pid]
    for pid in doomed:
        doomed += [child for child, parent in parents.items() if parent == pid]
    for pid in doomed:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


@pytest.fixture
def crew(toy_plugins: dict[str, str]) -> Iterator[Crew]:
    """Whoever is still at work in the end is killed."""
    found = Crew(toy_plugins)
    yield found
    for process in found.started:
        if process.poll() is None:
            kill(process)


def batches_on_disk(out: Path) -> int:
    return sum(len(json.loads(path.read_bytes())["batches"]) for path in out.glob("*/*/*/parts/*.json"))


def killed_half_way(crew: Crew, processes: int, arguments: Sequence[str]) -> int:
    """A run that was killed when some of its batches were done; how many are."""
    out = Path(arguments[arguments.index("--out") + 1])
    process = crew.start(processes, arguments, TOY_SLEEP_S="0.3")
    deadline = time.monotonic() + 120
    while batches_on_disk(out) < 4:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    kill(process)
    done = batches_on_disk(out)
    assert 4 <= done < IMAGES
    return done


def test_processes_write_the_bytes_of_one_and_speak_with_one_voice(tmp_path: Path, crew: Crew) -> None:
    alone, said_alone = crew.finish(1, command(tmp_path / "alone"))
    shared, said = crew.finish(2, command(tmp_path / "shared"), TOY_STEPS=str(tmp_path / "steps"))
    assert shared.predictions_file.read_bytes() == alone.predictions_file.read_bytes()
    assert shared.directory.name == alone.directory.name
    assert shared.scores == alone.scores
    assert (tmp_path / "steps").stat().st_size == IMAGES, "a batch was computed twice, or not at all"
    assert (alone.record.timings["processes"], shared.record.timings["processes"]) == (1, 2)
    assert shared.record.counts == alone.record.counts
    assert sorted(path.name for path in shared.directory.iterdir()) == FILES
    assert said.count("Run: ") == said_alone.count("Run: ") == 1


@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 1), (1, 2)])
def test_a_run_that_was_killed_goes_on_in_another_number_of_processes(
    tmp_path: Path, crew: Crew, before: int, after: int
) -> None:
    alone, _ = crew.finish(1, command(tmp_path / "alone"))
    done = killed_half_way(crew, before, command(tmp_path / "killed"))
    steps = tmp_path / "steps"
    run, _ = crew.finish(after, command(tmp_path / "killed"), TOY_STEPS=str(steps))
    assert run.predictions_file.read_bytes() == alone.predictions_file.read_bytes()
    assert run.scores == alone.scores
    assert f"of {IMAGES} batches were done before" in (run.directory / "log.txt").read_text()
    # In its share, each process computes what was not done when it looked.
    assert steps.stat().st_size == IMAGES - done
    assert sorted(path.name for path in run.directory.iterdir()) == FILES


def test_more_processes_than_batches_have_nothing_to_do_and_hold_nobody_up(
    tmp_path: Path, crew: Crew
) -> None:
    alone, _ = crew.finish(1, [*command(tmp_path / "alone"), "--limit", "1"])
    shared, _ = crew.finish(2, [*command(tmp_path / "shared"), "--limit", "1"])
    assert shared.predictions_file.read_bytes() == alone.predictions_file.read_bytes()


def test_a_run_that_is_done_is_shown_by_the_first_process(tmp_path: Path, crew: Crew) -> None:
    run, _ = crew.finish(1, command(tmp_path / "runs"))
    again, said = crew.finish(2, command(tmp_path / "runs"), TOY_STEPS=str(tmp_path / "steps"))
    assert again.record == run.record
    assert said.count("Run: ") == 1
    assert not (tmp_path / "steps").exists()


@pytest.mark.parametrize("before", ["done", "killed"])
def test_again_computes_every_batch_anew(tmp_path: Path, crew: Crew, before: str) -> None:
    alone, _ = crew.finish(1, command(tmp_path / "alone"))
    if before == "killed":
        killed_half_way(crew, 2, command(tmp_path / "runs"))
    else:
        crew.finish(2, command(tmp_path / "runs"))
    steps = tmp_path / "steps"
    run, _ = crew.finish(2, command(tmp_path / "runs", "--again"), TOY_STEPS=str(steps))
    assert steps.stat().st_size == IMAGES
    assert run.predictions_file.read_bytes() == alone.predictions_file.read_bytes()
    assert sorted(path.name for path in run.directory.iterdir()) == FILES


def has_loaded_torch(pid: int) -> bool:
    with suppress(OSError):
        return "libtorch_cpu" in Path(f"/proc/{pid}/maps").read_text()
    return False


def test_again_takes_no_old_predictions_for_new_ones_where_the_first_process_comes_late(
    tmp_path: Path, crew: Crew
) -> None:
    killed_half_way(crew, 2, command(tmp_path / "runs"))
    arguments, steps = command(tmp_path / "runs", "--again"), str(tmp_path / "steps")
    places = [{"SLURM_JOB_ID": "7", "WORLD_SIZE": "2", "RANK": rank, "LOCAL_RANK": rank} for rank in "01"]
    second = crew.start(1, arguments, TOY_STEPS=steps, **places[1])
    deadline = time.monotonic() + 60
    while not has_loaded_torch(second.pid):  # a start behind, the first one clears after this one has looked
        assert second.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    crew.finish(1, arguments, TOY_STEPS=steps, **places[0])
    second.communicate(timeout=60)
    assert second.returncode == 0
    assert Path(steps).stat().st_size == IMAGES
