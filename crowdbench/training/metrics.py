"""The metrics of a training: ``metrics.jsonl``, the plot, and loggers."""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec

from crowdbench.errors import InputError, UnknownNameError
from crowdbench.system.files.os_errors import writing
from crowdbench.system.files.reading import read_bytes
from crowdbench.system.files.writing import write_whole

Line = dict[str, Any]


class Tracker(Protocol):
    """A logger of a training's metrics."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log the values of a step."""

    def close(self) -> None:
        """Flush and close."""


class MetricsFile:
    """``metrics.jsonl``: one JSON object per line.

    Each has ``kind`` (``"train"``, ``"epoch"`` or ``"validation"``), ``step`` and ``epoch``, counted from 1.

    Args:
        path: the file.
        step: lines of later steps are dropped; a training that resumes from this step writes them again.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.lines = _each_once(line for line in _read(path) if line.get("step", 0) <= step)
        write_whole(path, b"".join(msgspec.json.encode(line) + b"\n" for line in self.lines))

    def write(self, line: Line) -> None:
        """Append a line, unless it is there already; raises MachineError."""
        known = {_name(earlier) for earlier in self.lines[-_LINES_A_STEP:]}
        if _name(line) in known:
            return  # repeated after a restart
        self.lines.append(line)
        with writing(self.path), self.path.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")

    def of_kind(self, kind: str) -> list[Line]:
        """The lines of a kind, in order."""
        return [line for line in self.lines if line.get("kind") == kind]


_LINES_A_STEP = 4  # more than there are kinds


def _name(line: Line) -> tuple[Any, Any]:
    return line.get("kind"), line.get("step")


def _each_once(lines: Iterable[Line]) -> list[Line]:
    """The lines without duplicates that a restart after a kill has written."""
    return list({msgspec.json.encode(_name(line)): line for line in lines}.values())


def _read(path: Path) -> list[Line]:
    """The valid lines of a file; a kill may have truncated the last one."""
    if not path.exists():
        return []
    lines = []
    for text in read_bytes(path, "what was measured").splitlines():
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            lines.append(msgspec.json.decode(text, type=dict[str, Any]))
    return lines


def write_curve(path: Path, metrics: MetricsFile, title: str) -> None:
    """Plot losses and validation scores over epochs; without a finished epoch, write nothing."""
    from crowdbench.visualization.plots import line_figure

    epochs: dict[int, float] = {line["epoch"]: line["epoch_loss"] for line in metrics.of_kind("epoch")}
    if not epochs:
        return
    scored = [line for line in metrics.of_kind("validation") if line["AP"] >= 0]
    ap = {"validation": ([line["epoch"] for line in scored], [100 * line["AP"] for line in scored])}
    line_figure(
        path,
        {"loss": (list(epochs), list(epochs.values()))},
        x_label="epoch",
        y_label="training loss",
        title=title,
        second=ap if scored else None,
        second_label="validation AP" if scored else None,
    )


class _TensorBoard:
    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / "tensorboard"))

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        self.writer.close()


class _WeightsAndBiases:
    def __init__(self, folder: Path, training: str, facts: Mapping[str, Any]) -> None:
        import wandb

        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "crowdbench"),
            id=training,
            resume="allow",
            dir=str(folder),
            config=dict(facts),
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.run.log(dict(values), step=step)

    def close(self) -> None:
        self.run.finish()


TRACKERS = ("tensorboard", "wandb")


def open_trackers(
    names: Sequence[str], folder: Path, training: str, facts: Mapping[str, Any]
) -> list[Tracker]:
    """Open the loggers of a training.

    Args:
        names: names from `TRACKERS`.
        folder: the training's directory.
        training: the training's id.
        facts: its configuration, shown next to its curves.

    Raises:
        UnknownNameError: a tracker is unknown.
        InputError: a tracker is not installed.
    """
    made: list[Tracker] = []
    for name in names:
        if name not in TRACKERS:
            raise UnknownNameError("tracker", name, TRACKERS)
        try:
            made.append(
                _TensorBoard(folder) if name == "tensorboard" else _WeightsAndBiases(folder, training, facts)
            )
        except ImportError as error:
            raise InputError(
                f"{name} is not installed ({error}).\npip install 'crowdbench[{name}]'"
            ) from None
    return made
