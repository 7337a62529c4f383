"""Run directories that no method has made: records with any content."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from crowdbench.leaderboard.published import PublishedResult
from crowdbench.run_store.record import Protocol, Record, Weights
from crowdbench.run_store.run import Run

PROTOCOL = Protocol("crowdpose", "test", "a" * 64, "gt", 8000, True, True, (256, 192))
# Of a record that stands for a published one: what the row of the release says.
AS_PUBLISHED = {"training_data": "crowdpose trainval"}
# Names that would be something else in a terminal, in Markdown, LaTeX, HTML, CSV or a spreadsheet.
HOSTILE = (
    "<script>alert(1)</script>",
    "a|b",
    "**bold** _it_ `code` [x](http://y) ![i](j) ~~gone~~ # head",
    "&amp; & \\ \\\\ 100% $x^2$ #1 {a} ~ a_b _c_ [1]",
    "\x1b[31mred\x1b[0m\x07",
    "two\nlines\r\tand a tab",
    "\u202egnorw ti daer",
    "\"quoted\", and ; 'more'",
    "=HYPERLINK(1)",
    "@SUM(1)",
    "＝SUM(1)",
    "+1 -- --- ``?`",
    "-2",
    "漢字 e\u0301",
    "\\end{tabular}\\input{/etc/passwd}",
    " ",
)


def make_run(root: Path, number: int, ap: float | None, **changes: Any) -> Run:
    """Write a finished run's directory.

    Args:
        root: the folder of all runs.
        number: makes the id.
        ap: in [0, 1]; None is a run that was not scored.
        changes: fields of the protocol or of the record; ``scores`` stand beside AP.
    """
    of_protocol = {field.name for field in dataclasses.fields(Protocol)}
    protocol = dataclasses.replace(PROTOCOL, **{k: v for k, v in changes.items() if k in of_protocol})
    more = changes.get("scores", {"AP_hard": -1.0})
    record = Record(
        id=f"{number:010x}",
        method=f"method-{number}",
        method_origin="toys 1.0",
        paradigm="top-down",
        state="done",
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
        scores=None if ap is None else {"AP": ap, **more},
    )
    own = {k: v for k, v in changes.items() if k not in of_protocol and k != "scores"}
    record = dataclasses.replace(record, **own)
    run = Run(Run.place(root, record), record)
    run.write_record()
    return run


def published_row(**fields: Any) -> PublishedResult:
    """A row as somebody might print it, on CrowdPose's test split with ground-truth boxes."""
    known: dict[str, Any] = {
        "dataset": "crowdpose",
        "split": "test",
        "method": "Printed",
        "protocol": "gt-box",
        "source": "somebody/somewhere:README.md",
        "year": 2024,
        "ap": 70.0,
    }
    return PublishedResult(**{**known, **fields})


def write_interval(run: Run, low: float, high: float) -> None:
    """Write what `crowdbench.analysis.bootstrap` keeps beside a run, for the run's own AP."""
    content = {
        "AP": (run.scores or {})["AP"],
        "low": low,
        "high": high,
        "level": 0.95,
        "resamples": 1000,
        "seed": 0,
        "predictions": "0" * 64,
    }
    (run.directory / "interval.json").write_text(json.dumps(content))
