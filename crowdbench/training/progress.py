"""A training's progress, measured after every step and reported to the loggers and the caller."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crowdbench.api.recipe import Recipe
from crowdbench.training.checkpoint import Position
from crowdbench.training.collectives import Collectives
from crowdbench.training.metrics import MetricsFile, Tracker, write_curve
from crowdbench.training.trainer import StepResult
from crowdbench.training.validate import MAIN_STATISTIC

log = logging.getLogger("crowdbench")
LOG_EVERY_STEPS = 20


@dataclass(frozen=True)
class TrainingProgress:
    """The progress of a training; passed to the caller after every step, in the first process only.

    Attributes:
        epoch, epochs: the current epoch, from 1, and their total number.
        step, steps: the completed steps and their total number.
        loss: the sum of the losses, averaged over the persons of this epoch so far.
        rate: the learning rate.
        images_per_s: images per second since the last log line, over all processes.
        waiting: the fraction of that time in which this process waited for data.
        eta_s: the estimated seconds until the last step, without validations.
        score: the last validation's AP; None before the first validation.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    rate: float
    images_per_s: float
    waiting: float
    eta_s: float
    score: float | None


class Reporter:
    """Measures a training's pace and reports it.

    Args:
        processes: share the training.
        recipe: the training's recipe.
        steps_per_epoch: optimizer steps in an epoch.
        metrics: ``metrics.jsonl``; None in all processes but the first.
        trackers: loggers.
        on_progress: called after every step, in the first process.
    """

    def __init__(
        self,
        processes: Collectives,
        recipe: Recipe,
        steps_per_epoch: int,
        metrics: MetricsFile | None,
        trackers: Sequence[Tracker],
        on_progress: Callable[[TrainingProgress], None] | None,
    ) -> None:
        self.processes = processes
        self.epochs = recipe.epochs
        self.steps = steps_per_epoch * recipe.epochs
        self.metrics = metrics
        self.trackers = trackers
        self.on_progress = on_progress if processes.is_main else None
        scored = metrics.of_kind("validation") if metrics else []
        self.score: float | None = scored[-1][MAIN_STATISTIC] if scored else None
        self.resume_clock()
        self._line = self._new_line()

    @staticmethod
    def _new_line() -> dict[str, float]:
        return {"images": 0.0, "waited": 0.0, "seconds": 0.0, "steps": 0.0}

    def resume_clock(self) -> None:
        """Restart the clock after work that is not training."""
        self._last = time.perf_counter()
        self._waited = 0.0

    def on_batch_ready(self) -> None:
        """Record that a batch has arrived; the time since the last step was spent waiting."""
        self._waited = time.perf_counter() - self._last

    def on_step(self, position: Position, result: StepResult, images: int) -> None:
        """Report a completed step on `images` images of this process."""
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        line = self._line
        line["images"] += images * self.processes.world_size
        line["waited"] += self._waited
        line["seconds"] += seconds
        line["steps"] += 1
        means = _means(position.sums)
        pace = line["seconds"] / line["steps"]
        progress = TrainingProgress(
            epoch=position.epoch + 1,
            epochs=self.epochs,
            step=position.step,
            steps=self.steps,
            loss=sum(means.values()),
            rate=result.rate,
            images_per_s=line["images"] / max(line["seconds"], 1e-9),
            waiting=line["waited"] / max(line["seconds"], 1e-9),
            eta_s=(self.steps - position.step) * pace,
            score=self.score,
        )
        if self.on_progress is not None:
            self.on_progress(progress)
        if position.step % LOG_EVERY_STEPS == 0:
            persons = max(result.persons, 1)
            losses = {f"loss_{name}": value / persons for name, value in result.losses.items()}
            self._write(
                "train",
                position.step,
                position.epoch + 1,
                {
                    **losses,
                    "learning_rate": result.rate,
                    "images_per_s": progress.images_per_s,
                    "data_wait": progress.waiting,
                },
            )
            self._line = self._new_line()

    def on_epoch_end(self, position: Position) -> None:
        """Report the losses over all persons of the epoch; all processes call this."""
        sums = position.sums
        losses = _means(dict(zip(sums, self.processes.all_reduce_sum(*sums.values()), strict=True)))
        named = {f"loss_{name}": value for name, value in losses.items()}
        values = {**named, "epoch_loss": sum(losses.values())}
        self._write("epoch", position.step, position.epoch + 1, values)

    def on_validation(self, position: Position, scores: Mapping[str, float], seconds: float) -> None:
        """Report a validation after `position.epoch` epochs."""
        self.score = scores[MAIN_STATISTIC]
        log.info("epoch %d: AP %.4f", position.epoch, self.score)
        self._write("validation", position.step, position.epoch, {**scores, "seconds": seconds})

    def _write(self, kind: str, step: int, epoch: int, values: Mapping[str, float]) -> None:
        if self.metrics is None:
            return
        self.metrics.write({"kind": kind, "step": step, "epoch": epoch, **values})
        for tracker in self.trackers:
            tracker.log({f"{kind}/{name}": value for name, value in values.items()}, step)

    def draw(self, path: Path, title: str) -> None:
        """Replace the plot of losses and scores."""
        if self.metrics is not None:
            write_curve(path, self.metrics, title)


def _means(sums: Mapping[str, float]) -> dict[str, float]:
    persons = max(sums.get("persons", 0.0), 1.0)
    return {name: value / persons for name, value in sums.items() if name != "persons"}
