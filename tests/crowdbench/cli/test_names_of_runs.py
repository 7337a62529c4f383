"""Every command that takes a run accepts the same names for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.runs import report_runs

from crowdbench.run_store.run import Run

NAMES = ["folder", "record", "predictions", "id", "beginning", "job", "method", "method/dataset", "split"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A finished run of a job, next to a run of another method."""
    monkeypatch.chdir(tmp_path)
    root = report_runs.dataset(tmp_path / "crowdpose")
    monkeypatch.setenv("CROWDBENCH_DATA", str(tmp_path))
    made = report_runs.run(tmp_path / "runs", root, "one")
    report_runs.run(tmp_path / "runs", root, "two")
    job = tmp_path / "runs" / "jobs" / "one-crowdpose-01234567"
    job.mkdir(parents=True)
    order = {
        "name": job.name,
        "request": {"kind": "run", "method": "one", "dataset": "crowdpose"},
        "launcher": "nowhere",
        "profile": "nowhere",
        "resources": {},
        "by": "me@here",
        "at": "2026-11-27T10:00:00",
    }
    (job / "job.json").write_bytes(msgspec.json.encode(order))
    state = {"state": "done", "runs": [str(made.directory)]}
    (job / "state.json").write_bytes(msgspec.json.encode(state))
    return made


def spelled(run: Run, name: str) -> str:
    record = run.record
    return {
        "folder": str(run.directory),
        "record": str(run.directory / "run.json"),
        "predictions": str(run.predictions_file),
        "id": record.id,
        "beginning": record.id[:5],
        "job": "one-crowdpose-01234567",
        "method": "one",
        "method/dataset": "one/crowdpose",
        "split": f"one/crowdpose-{record.protocol.split}",
    }[name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("command", ["compare", "analyse", "report", "leaderboard", "status"])
def test_a_run_has_the_same_names_everywhere(
    run: Run, crowdbench: Callable[..., Any], command: str, name: str
) -> None:
    word = spelled(run, name)
    more = {"compare": ["two", "--resamples", "100"], "report": ["--pictures", "0"]}.get(command, [])
    said = crowdbench(command, word, *more)
    assert said.status == 0, said.err
    text = Path("report.html").read_text() if command == "report" else said.out
    assert "one" in text
    assert command == "compare" or "two" not in said.out
    assert not said.out.startswith("No runs here")
