"""Train: recipe → batches → steps → checkpoints → validation → the best weights.

A training can be killed at any moment. Started again with the same arguments it finds its own directory and
goes on from its last checkpoint, to the same weights, bit by bit, that it would have reached undisturbed.
"""

import dataclasses
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from crowdbench import machine, plugins
from crowdbench.allocation import keep_freed_memory
from crowdbench.checkpoints import read_state_dict
from crowdbench.dataset import Dataset
from crowdbench.errors import CrowdbenchError, MissingDataError, RunError, SettingsError, StoppedError
from crowdbench.hashing import file_digest
from crowdbench.loading import load_training_batches, refuse_unguarded_scripts
from crowdbench.logfile import log_file
from crowdbench.method import NetworkMethod, Precision, override
from crowdbench.recipe import Recipe
from crowdbench.record import Weights
from crowdbench.training.checkpoint import Best, Checkpoint, Checkpoints, Position
from crowdbench.training.metrics import MetricsFile, Tracker, open_trackers, write_curve
from crowdbench.training.order import Order
from crowdbench.training.processes import Place, Processes, joined, place_in
from crowdbench.training.record import Selection, TrainingRecord, TrainingRun, training_identity
from crowdbench.training.step import StepResult, Trainer, in_groups, require_finite
from crowdbench.training.validation import MAIN_STATISTIC, validate
from crowdbench.types import Sample
from crowdbench.weights import Transfer, resolve_weights

if TYPE_CHECKING:
    import torch

log = logging.getLogger("crowdbench")
LOG_EVERY_STEPS = 20
# Held while a training runs, so that the same command twice does not write twice.
LOCK = "training.lock"


@dataclass(frozen=True)
class TrainingProgress:
    """How far a training is; given to the caller after every step, in the first process only.

    Attributes:
        epoch: the current one, from 1. `epochs`: of how many.
        step: steps done. `steps`: of how many.
        loss: sum of the losses, mean over the persons of this epoch so far.
        rate: the learning rate.
        images_per_s: since the last report, of all processes.
        waiting: share of the time since then in which this process waited for data.
        eta_s: seconds until all steps are done, at this pace; validations not counted.
        score: the last validation's AP, if there was one.
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


@dataclass(frozen=True)
class _Way:
    """How a training is carried out on this machine."""

    place: Place
    device: "torch.device"
    precision: Precision
    compiled: bool
    deterministic: bool
    seed: int
    workers: int
    save_every_s: float


def train(
    method: NetworkMethod,
    dataset: Dataset,
    *,
    validation: Dataset | None = None,
    selection: Literal["validation", "test"] = "validation",
    recipe: Recipe | None = None,
    start: str | Path | None = None,
    out: str | Path = "runs",
    limit: int | None = None,
    workers: int | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: Precision = "fp32",
    compiled: bool = False,
    deterministic: bool = False,
    save_every_s: float = 600.0,
    trackers: Sequence[str] = (),
    command: Sequence[str] | None = None,
    on_progress: Callable[[TrainingProgress | Transfer], None] | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> TrainingRun:
    """Train a method on a dataset.

    In several processes, started by torchrun or srun, each calls this with equal arguments.

    Args:
        method: configured for this dataset; it must be trainable.
        dataset: an opened split, with ground-truth boxes.
        validation: a split to score every so often; the best of its scores chooses the weights.
        selection: ``"test"`` says that `validation` is the split that will be reported, as some published
            code has it; the record and the weights say so too.
        recipe: None takes the method's published one for this dataset.
        start: weights to begin with: the name of published ones, a URL, a file, or ``"none"``; None takes
            the recipe's.
        out: the folder of all runs.
        limit: the first images of both splits only.
        workers: loader processes of each process; None takes half of its processors, at most 8.
        seed: of everything random.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``. With several processes on a machine each takes its own GPU.
        precision: of the forward pass: ``"fp32"``, ``"bf16"``, or ``"fp16"`` with a loss scaler.
        compiled: use `torch.compile`.
        deterministic: use only operations that give equal bits every time; slower on GPUs.
        save_every_s: a checkpoint is written after every epoch, and when this many seconds have passed.
        trackers: ``"tensorboard"``, ``"wandb"``: whom to report to beside ``metrics.jsonl``.
        command: for the record; None takes this process's.
        on_progress: called after every step in the first process, and while weights are fetched.
        stopping: asked after every step; a training that has to stop writes a checkpoint first.

    Returns:
        The finished training. If the same was done before, that one, unchanged.

    Raises:
        InputError: something given is wrong: weights, settings, recipe, data.
        RunError: the training could not go on; its last checkpoint is kept.
    """
    refuse_unguarded_scripts()
    place = place_in(os.environ)
    target = _device_of(device, place)
    if compiled:
        machine.require_compiler(target)
    recipe = recipe or type(method).published_recipe(dataset.name, dataset.keypoints)
    method.train_with(recipe)
    samples = _worth_training_on(dataset, limit)
    found = resolve_weights(
        start if start is not None else recipe.start or "none",
        method=method.name,
        dataset=dataset.name,
        whole=False,
        on_progress=on_progress,
    )
    way = _Way(
        place,
        target,
        precision,
        compiled,
        deterministic,
        seed,
        _workers(place) if workers is None else workers,
        save_every_s,
    )
    chosen: Selection = "last" if validation is None else selection
    record = _new_record(
        method, dataset, validation, chosen, recipe, found.source, found.sha256, samples, limit, way, command
    )
    run = TrainingRun(TrainingRun.place(Path(out), record), record)
    with joined(place, target) as processes, _alone(run, processes):
        previous = processes.told(_finished(run))
        if previous is not None:
            log.info("done before: %s", run.directory)
            return TrainingRun(run.directory, previous)
        training = _Training(method, dataset, validation, samples, recipe, run, way, processes, found.path)
        with log_file(run.directory / "log.txt", processes.is_first), _repeatable(deterministic):
            return training.carry_out(trackers, on_progress, stopping)


class _Training:
    """One training at work."""

    def __init__(
        self,
        method: NetworkMethod,
        dataset: Dataset,
        validation: Dataset | None,
        samples: Sequence[Sample],
        recipe: Recipe,
        run: TrainingRun,
        way: _Way,
        processes: Processes,
        start: Path | None,
    ) -> None:
        self.method = method
        self.dataset = dataset
        self.validation = validation
        self.samples = samples
        self.recipe = recipe
        self.run = run
        self.way = way
        self.processes = processes
        self.start = start
        self.order = Order(len(samples), recipe.images, processes.count, way.seed)
        self.checkpoints = Checkpoints(run.directory / "checkpoints", run.record.id)
        self.position = Position()

    @property
    def steps_an_epoch(self) -> int:
        return -(-self.order.batches // self.recipe.accumulate)

    def carry_out(
        self,
        trackers: Sequence[str],
        on_progress: Callable[[TrainingProgress], None] | None,
        stopping: Callable[[], bool],
    ) -> TrainingRun:
        """From the last checkpoint, or the beginning, to the end."""
        trainer = self._built()
        first = self.processes.is_first
        self._write_record()
        metrics = MetricsFile(self.run.directory / "metrics.jsonl", self.position.step) if first else None
        followers = (
            open_trackers(trackers, self.run.directory, self.run.record.id, self.run.record.recipe)
            if first
            else []
        )
        clock = time.perf_counter()
        try:
            reporter = _Reporter(self, metrics, followers, on_progress)
            self._validated(trainer, reporter)
            self._epochs(trainer, reporter, stopping)
            weights = trainer.weights()
            if first:
                self.checkpoints.keep("last", weights, self._facts(None))
                self._close("done", None, time.perf_counter() - clock)
        except BaseException as error:
            if first:
                reason = "" if isinstance(error, CrowdbenchError) else f"{type(error).__name__}: "
                stopped = isinstance(error, StoppedError) or not isinstance(error, Exception)
                state = "interrupted" if stopped else "failed"
                self._close(state, f"{reason}{error}", time.perf_counter() - clock)
            raise
        finally:
            for follower in followers:
                follower.close()
        return self.run

    def _built(self) -> Trainer:
        """The network as it was at the last checkpoint, or as training begins."""
        import torch

        torch.manual_seed(self.way.seed)
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        device = self.way.device
        if device.type == "cpu":
            keep_freed_memory()
        network = self.method.network()
        set_names: list[str] = []
        if self.start is not None:
            set_names = self.method.start_from(network, read_state_dict(self.start), str(self.start))
            log.info("begins with %d tensors of %s", len(set_names), self.start)
        parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
        self._note(started_tensors=len(set_names), parameters=parameters)
        network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        trainer = Trainer(
            self.method,
            network,
            self.recipe,
            self.processes,
            precision=self.way.precision,
            seed=self.way.seed,
            compiled=self.way.compiled,
        )
        # Read by the first process alone: the others may not see a checkpoint that it is writing.
        newest = self.checkpoints.newest() if self.processes.is_first else None
        step = self.processes.told(newest.position.step if newest else None)
        if step is not None:
            newest = newest or self.checkpoints.at(step)
            trainer.load(newest.weights, newest.state, newest.position.scaler)
            self.position = newest.position
            log.info("continued from step %d (epoch %d)", step, self.position.epoch + 1)
        return trainer

    def _epochs(self, trainer: Trainer, reporter: "_Reporter", stopping: Callable[[], bool]) -> None:
        batches = self._batches()
        saved = time.monotonic()
        for epoch in range(self.position.epoch, self.recipe.epochs):
            trainer.train_mode()
            first = self.position.batch
            for group in in_groups(batches, self.recipe.accumulate, first, self.order.batches):
                reporter.waited()
                image_ids = [image_id for ids, _ in group for image_id in ids]
                result = trainer.step([batch for _, batch in group], self.position.step, epoch)
                require_finite(result, image_ids, self.position.step)
                self.position = self._after(result, len(group))
                stop = any(self.processes.sums(float(stopping())))
                reporter.stepped(result, len(image_ids))
                if stop:
                    self._save(trainer)
                    raise StoppedError(
                        f"stopped after step {self.position.step}; give the same command again to go on."
                    )
                if time.monotonic() - saved > self.way.save_every_s:
                    self._save(trainer)
                    saved = time.monotonic()
            reporter.epoch_ended()
            self.position = msgspec.structs.replace(
                self.position, epoch=epoch + 1, batch=0, sums={}, validated=False
            )
            self._save(trainer)
            saved = time.monotonic()
            self._validated(trainer, reporter)
            reporter.resume_clock()

    def _batches(self) -> "Iterator[tuple[list[int], Any]]":
        """All that are left, over all epochs, with the ids of their images."""

        def order() -> Iterator[list[tuple[int, int]]]:
            first = self.position.batch
            for epoch in range(self.position.epoch, self.recipe.epochs):
                for batch in self.order.epoch(epoch, self.processes.rank, first):
                    yield [(epoch, image) for image in batch]
                first = 0

        loaded = load_training_batches(
            self.method,
            self.samples,
            order(),
            seed=self.way.seed,
            workers=self.way.workers,
            pin_memory=self.way.device.type == "cuda",
        )
        for asked, batch in zip(order(), loaded, strict=True):
            yield [self.samples[image].image_id for _, image in asked], batch

    def _after(self, result: StepResult, batches: int) -> Position:
        sums = dict(self.position.sums)
        for name, value in {**result.losses, "persons": float(result.persons)}.items():
            sums[name] = sums.get(name, 0.0) + value
        return msgspec.structs.replace(
            self.position, step=self.position.step + 1, batch=self.position.batch + batches, sums=sums
        )

    def _save(self, trainer: Trainer) -> None:
        if not self.processes.is_first:
            return
        position = msgspec.structs.replace(self.position, scaler=trainer.scaler.state_dict())
        self.checkpoints.save(Checkpoint(position, trainer.weights(), trainer.state()))

    def _validated(self, trainer: Trainer, reporter: "_Reporter") -> None:
        """Do what is due at the end of an epoch, if it has not been done."""
        if self.position.validated:
            return
        epoch = self.position.epoch
        due = epoch % self.recipe.validate_every == 0 or epoch == self.recipe.epochs
        best = self.position.best
        if self.validation is not None and due:
            clock = time.perf_counter()
            scores = validate(
                self.method,
                trainer.network,
                trainer.weights(),
                self.validation,
                self.processes,
                self.run.directory / "validation.json.gz",
                limit=self.run.record.limit,
                precision=self.way.precision,
                workers=min(self.way.workers, 2),
            )
            if scores is not None:
                reporter.validated(scores, time.perf_counter() - clock)
                score = scores[MAIN_STATISTIC]
                if best is None or score > best.score:
                    best = Best(epoch, self.position.step, score)
                    self.checkpoints.keep("best", trainer.weights(), self._facts(best))
                    self._note(best=best)
        self.position = msgspec.structs.replace(self.position, validated=True, best=best)
        if self.processes.is_first:
            self.checkpoints.note(msgspec.structs.replace(self.position, scaler=trainer.scaler.state_dict()))
            self._write_record()
            reporter.draw()

    def _facts(self, best: Best | None) -> dict[str, Any]:
        record = self.run.record
        return {
            "method": record.method,
            "dataset": record.dataset,
            "training_data": record.training_data,
            "training": record.id,
            "settings": record.settings,
            "epoch": best.epoch if best else self.position.epoch,
            "validation": msgspec.to_builtins(best),
        }

    def _note(self, **changes: Any) -> None:
        self.run = TrainingRun(self.run.directory, dataclasses.replace(self.run.record, **changes))

    def _write_record(self) -> None:
        if self.processes.is_first:
            _written(self.run)

    def _close(self, state: str, reason: str | None, seconds: float) -> None:
        earlier = self.run.record.seconds
        self._note(
            state=state, reason=reason, finished=_now(), best=self.position.best, seconds=earlier + seconds
        )
        if state == "done":
            log.info("trained %d steps in %.0f s", self.position.step, seconds)
        else:
            log.error("%s: %s", state, reason)
        try:
            self.run.write_record()
        except OSError as error:
            if state == "done":
                raise RunError(f"{self.run.directory}: cannot be written ({error.strerror}).") from error
            log.error("%s: the record cannot be written (%s)", self.run.directory, error.strerror)


class _Reporter:
    """Measures the pace, and tells it to everybody who wants to know."""

    def __init__(
        self,
        training: _Training,
        metrics: MetricsFile | None,
        followers: Sequence[Tracker],
        on_progress: Callable[[TrainingProgress], None] | None,
    ) -> None:
        self.training = training
        self.metrics = metrics
        self.followers = followers
        self.on_progress = on_progress
        scored = metrics.of_kind("validation") if metrics else []
        self.score: float | None = scored[-1][MAIN_STATISTIC] if scored else None
        self.resume_clock()
        self._line = self._fresh()

    @staticmethod
    def _fresh() -> dict[str, float]:
        return {"images": 0.0, "waited": 0.0, "seconds": 0.0, "steps": 0.0}

    def resume_clock(self) -> None:
        """Count time from now on: what was between did not belong to training."""
        self._last = time.perf_counter()
        self._waited = 0.0

    def waited(self) -> None:
        """Data has come; everything since the last step was waiting."""
        self._waited = time.perf_counter() - self._last

    def stepped(self, result: StepResult, images: int) -> None:
        """A step is done."""
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        line = self._line
        line["images"] += images * self.training.processes.count
        line["waited"] += self._waited
        line["seconds"] += seconds
        line["steps"] += 1
        position, steps = self.training.position, self.training.steps_an_epoch
        total = steps * self.training.recipe.epochs
        means = self._means()
        pace = line["seconds"] / line["steps"]
        progress = TrainingProgress(
            epoch=position.epoch + 1,
            epochs=self.training.recipe.epochs,
            step=position.step,
            steps=total,
            loss=sum(means.values()),
            rate=result.rate,
            images_per_s=line["images"] / max(line["seconds"], 1e-9),
            waiting=line["waited"] / max(line["seconds"], 1e-9),
            eta_s=(total - position.step) * pace,
            score=self.score,
        )
        if self.on_progress and self.training.processes.is_first:
            self.on_progress(progress)
        if position.step % LOG_EVERY_STEPS == 0:
            persons = max(result.persons, 1)
            losses = {f"loss_{name}": value / persons for name, value in result.losses.items()}
            self._tell(
                "train",
                {
                    **losses,
                    "learning_rate": result.rate,
                    "images_per_s": progress.images_per_s,
                    "data_wait": progress.waiting,
                },
                position.epoch + 1,
            )
            self._line = self._fresh()

    def _means(self) -> dict[str, float]:
        sums = dict(self.training.position.sums)
        persons = sums.pop("persons", 0.0)
        return {name: value / max(persons, 1.0) for name, value in sums.items()}

    def epoch_ended(self) -> None:
        """All batches of the epoch are done: the losses over all its persons, of all processes."""
        sums = self.training.position.sums
        total = dict(zip(sums, self.training.processes.sums(*sums.values()), strict=True))
        persons = max(total.pop("persons", 0.0), 1.0)
        losses = {f"loss_{name}": value / persons for name, value in total.items()}
        self._tell("epoch", {**losses, "epoch_loss": sum(losses.values())}, self.training.position.epoch + 1)

    def validated(self, scores: Mapping[str, float], seconds: float) -> None:
        """A validation was made, by the first process's reckoning."""
        self.score = scores[MAIN_STATISTIC]
        log.info("epoch %d: AP %.4f", self.training.position.epoch, self.score)
        self._tell("validation", {**scores, "seconds": seconds}, self.training.position.epoch)

    def _tell(self, kind: str, values: Mapping[str, float], epoch: int) -> None:
        if self.metrics is None:
            return
        step = self.training.position.step
        self.metrics.write({"kind": kind, "step": step, "epoch": epoch, **values})
        for follower in self.followers:
            follower.log({f"{kind}/{name}": value for name, value in values.items()}, step)

    def draw(self) -> None:
        """Draw the curve anew."""
        if self.metrics is not None:
            record = self.training.run.record
            title = f"{record.method} on {record.dataset} {record.split}"
            write_curve(self.training.run.directory / "curve.png", self.metrics, title)


def _device_of(name: str, place: Place) -> "torch.device":
    """Each process of a machine on its own GPU."""
    import torch

    target = machine.pick_device(name)
    if target.type != "cuda" or place.count == 1:
        return target
    if place.local_rank >= torch.cuda.device_count():
        raise SettingsError(
            f"process {place.local_rank + 1} on this machine finds {torch.cuda.device_count()} GPUs.\n"
            "Start as many processes as there are GPUs."
        )
    own = torch.device("cuda", place.local_rank)
    torch.cuda.set_device(own)
    return own


def _workers(place: Place) -> int:
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if place.count > 1 else 1
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, max(1, available // 2 // local))


def _worth_training_on(dataset: Dataset, limit: int | None) -> list[Sample]:
    """Images with somebody to learn from.

    Raises:
        SettingsError: no annotations, boxes of a detector, or nobody.
    """
    if limit is not None and limit < 1:
        raise SettingsError(f"limit must be at least 1, got {limit}.")
    if not dataset.has_annotations:
        raise SettingsError(f"{dataset.name} {dataset.split} has no annotations to train on.")
    if dataset.boxes.label != "gt":
        raise SettingsError("training takes ground-truth boxes: a detection has no keypoints to learn from.")
    count = len(dataset) if limit is None else min(limit, len(dataset))
    samples = (dataset[index] for index in range(count))
    found = [s for s in samples if any((i.keypoints[:, 2] > 0).any() for i in s.instances)]
    if not found:
        raise SettingsError(f"{dataset.name} {dataset.split}: nobody in these images has a keypoint.")
    return found


def _new_record(
    method: NetworkMethod,
    dataset: Dataset,
    validation: Dataset | None,
    selection: Selection,
    recipe: Recipe,
    source: str,
    sha256: str | None,
    samples: Sequence[Sample],
    limit: int | None,
    way: _Way,
    command: Sequence[str] | None,
) -> TrainingRecord:
    applied = msgspec.to_builtins(recipe)
    not_applied = applied.pop("not_applied")
    published = msgspec.to_builtins(type(method).published_recipe(dataset.name, dataset.keypoints))
    plugin = plugins.installed("method").get(method.name)
    origin = plugin.origin if isinstance(plugin, plugins.Plugin) else type(method).__module__
    settings = msgspec.to_builtins(method.settings)
    annotations = file_digest(dataset.annotation_file)
    facts = {
        "method": method.name,
        "origin": origin,
        "data": [dataset.name, dataset.split, annotations, limit],
        "validation": file_digest(validation.annotation_file) if validation else None,
        "selection": selection,
        "settings": settings,
        "recipe": applied,
        "start": sha256,
        "processes": way.place.count,
        "seed": way.seed,
        "precision": way.precision,
        "compiled": way.compiled,
        "device": way.device.type,
    }
    return TrainingRecord(
        id=training_identity(facts),
        method=method.name,
        method_origin=origin,
        state="running",
        dataset=dataset.name,
        split=dataset.split,
        annotations=annotations,
        images=len(samples),
        limit=limit,
        settings=settings,
        recipe=applied,
        changed_recipe={name: value for name, value in applied.items() if value != published.get(name)},
        not_applied=not_applied,
        selection=selection,
        validation_split=validation.split if validation else None,
        start=Weights(source, sha256),
        started_tensors=0,
        parameters=0,
        processes=way.place.count,
        precision=way.precision,
        compiled=way.compiled,
        deterministic=way.deterministic,
        seed=way.seed,
        device=str(way.device),
        versions=machine.versions(),
        host=machine.host(way.device),
        command=list(command if command is not None else sys.argv),
        started=_now(),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _finished(run: TrainingRun) -> TrainingRecord | None:
    try:
        found = TrainingRun.read(run.directory)
    except MissingDataError:
        return None
    return found.record if found.record.state == "done" and found.weights.is_file() else None


def _written(run: TrainingRun) -> None:
    try:
        run.write_record()
    except OSError as error:
        raise RunError(
            f"{run.directory}: the training's record cannot be written ({error.strerror}).\n"
            "Choose another folder with --out, or make this one writable."
        ) from error


@contextmanager
def _alone(run: TrainingRun, processes: Processes) -> Iterator[None]:
    """Keep everybody else from continuing this very training at the same time."""
    if not processes.is_first:
        yield
        return
    from filelock import FileLock, Timeout

    try:
        run.directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(run.directory / LOCK, timeout=0)
        lock.acquire()
    except Timeout:
        raise RunError(
            f"{run.directory}: another process is at this very training.\n"
            "Wait for it, or train something else: another --seed, --out or recipe."
        ) from None
    except OSError as error:
        raise RunError(f"{run.directory}: cannot be written ({error.strerror}).") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _repeatable(deterministic: bool) -> Iterator[None]:
    import torch

    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(before or deterministic)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def recipe_with(method: NetworkMethod, dataset: str, changes: Mapping[str, Any]) -> Recipe:
    """The published recipe with some values replaced.

    Args:
        method: whose recipe.
        dataset: for which.
        changes: by name; values may be strings, as on the command line.

    Raises:
        SettingsError: no such value, with the nearest names; or one of the wrong kind.
    """
    published = type(method).published_recipe(dataset, method.keypoints)
    changed: Recipe = override(published, changes, of=f"the recipe of {method.name}")
    return changed
