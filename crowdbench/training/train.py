"""Train: recipe → batches → steps → checkpoints → validation → the best weights.

A training can be killed at any moment. Started again with the same arguments it finds its own directory and
goes on from its last checkpoint, to the same weights, bit by bit, that it would have reached undisturbed.
"""

import dataclasses
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from crowdbench.api.dataset import Dataset
from crowdbench.api.method import NetworkMethod
from crowdbench.api.option_limits import require_options
from crowdbench.api.recipe import Recipe
from crowdbench.api.settings import override
from crowdbench.api.types import Precision, Sample
from crowdbench.engine import hooks
from crowdbench.engine.data_loader import load_training_batches, require_main_guard
from crowdbench.errors import CrowdbenchError, MachineError, MissingDataError, StoppedError, SupersededError
from crowdbench.run_store.lease import Lease, Waiting, in_turn
from crowdbench.run_store.lease_files import LeaseHolder
from crowdbench.run_store.lease_files import ProgressReport as WritersProgress
from crowdbench.run_store.wait_notice import Telling
from crowdbench.system.devices import device_of, require_compiler
from crowdbench.system.distributed import from_environment
from crowdbench.system.files.leftovers import remove_leftovers
from crowdbench.system.log_file import log_file
from crowdbench.system.malloc import retain_freed_memory
from crowdbench.system.text import utc_now
from crowdbench.training.checkpoint import Best, Checkpoint, Checkpoints, Position
from crowdbench.training.collectives import Collectives, process_group
from crowdbench.training.metrics import MetricsFile, open_trackers
from crowdbench.training.progress import Reporter, TrainingProgress
from crowdbench.training.record import Selection, TrainingRecord, TrainingRun
from crowdbench.training.sampler import EpochSampler
from crowdbench.training.setup import ExecutionOptions, loader_workers, new_record, trainable_samples
from crowdbench.training.trainer import StepResult, Trainer, in_groups, require_finite
from crowdbench.training.validate import MAIN_STATISTIC, validate
from crowdbench.weights import Transfer, resolve_weights
from crowdbench.weights.checkpoint_file.state_dict import starting_weights

log = logging.getLogger("crowdbench")


def train(  # noqa: PLR0913  (the options, spelled out for those who call it)
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
    on_start: Callable[[Path], None] | None = None,
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
        on_start: called with the training's directory before anything is computed, in the first process.
        stopping: asked after every step; a training that has to stop writes a checkpoint first.

    Returns:
        The finished training. If the same was done before, that one, unchanged.

    Raises:
        InputError: something given is wrong: weights, settings, recipe, data.
        RunError: the training could not go on; its last checkpoint is kept.
    """
    require_main_guard()
    require_options(seed=seed, limit=limit, workers=workers, save_every_s=save_every_s)
    place = from_environment(os.environ)
    target = device_of(device, place)
    if compiled:
        require_compiler(target)
    recipe = recipe or hooks.published_recipe(method, dataset.name, dataset.keypoints)
    hooks.configure_training(method, recipe)
    samples = trainable_samples(dataset, limit, recipe.least_keypoints)
    found = resolve_weights(
        start if start is not None else recipe.start or "none",
        method=method.name,
        dataset=dataset.name,
        whole=False,
        on_progress=on_progress,
    )
    way = ExecutionOptions(
        place,
        target,
        precision,
        compiled,
        deterministic,
        seed,
        loader_workers(place) if workers is None else workers,
        save_every_s,
    )
    chosen: Selection = "last" if validation is None else selection
    record = new_record(
        method, dataset, validation, chosen, recipe, found.source, found.sha256, samples, limit, way, command
    )
    run = TrainingRun(TrainingRun.place(Path(out), record), record)
    with ExitStack() as stack:
        processes = stack.enter_context(process_group(place, target, run.directory))
        if on_start is not None and processes.is_main:
            on_start(run.directory)
        previous, writer = processes.broadcast(_finished(run)), None
        if previous is None:
            writer = stack.enter_context(_alone(run, processes, stopping))
            previous = processes.broadcast(_finished(run))
        if previous is not None:
            log.info("done before: %s", run.directory)
            return TrainingRun(run.directory, previous)
        training = _Training(
            method, dataset, validation, samples, recipe, run, way, processes, writer, found.path
        )
        with log_file(run.directory / "log.txt", processes.is_main), _repeatable(deterministic):
            return training.carry_out(trackers, on_progress, stopping)


@contextmanager
def _alone(run: TrainingRun, processes: Collectives, stopping: Callable[[], bool]) -> Iterator[Lease | None]:
    """Keep everybody else from continuing this very training; the first process does it for all.

    If another process is at it, this one waits until that has ended, or died.

    Yields:
        In the first process the writer, or None if the other one has finished the training.

    Raises:
        StoppedError: this process was asked to stop meanwhile.
        MachineError: the folder cannot be written to.
    """
    telling = Telling("training")

    def wait(claim: LeaseHolder | None, progress: WritersProgress | None) -> None:
        if stopping():
            raise StoppedError("stopped while another process is at this very training.")
        telling(claim, progress)
        processes.keep_waiting()

    with ExitStack() as stack:
        writer, problem = None, None
        if processes.is_main:
            try:
                waiting = Waiting(lambda: _finished(run) is not None, wait)
                writer = stack.enter_context(in_turn(run.directory, waiting))
                if writer is not None:
                    remove_leftovers(run.directory)
                    remove_leftovers(run.directory / "checkpoints")
            except CrowdbenchError as error:
                problem = error
        processes.raise_on_all(problem)
        yield writer


class _Training:
    """One training at work."""

    def __init__(  # noqa: PLR0913
        self,
        method: NetworkMethod,
        dataset: Dataset,
        validation: Dataset | None,
        samples: Sequence[Sample],
        recipe: Recipe,
        run: TrainingRun,
        way: ExecutionOptions,
        processes: Collectives,
        writer: Lease | None,
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
        self.writer = writer
        self.start = start
        self.order = EpochSampler(len(samples), recipe.images, processes.world_size, way.seed)
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
        first = self.processes.is_main
        self._write_record()
        metrics = MetricsFile(self.run.directory / "metrics.jsonl", self.position.step) if first else None
        followers = (
            open_trackers(trackers, self.run.directory, self.run.record.id, self.run.record.recipe)
            if first
            else []
        )
        clock = time.perf_counter()
        try:
            told = _told(on_progress, self.writer)
            reporter = Reporter(self.processes, self.recipe, self.steps_an_epoch, metrics, followers, told)
            self._validated(trainer, reporter, stopping)
            self._epochs(trainer, reporter, stopping)
            weights = trainer.weights()
            if self.writer is not None:
                self.writer.check_held()
                self.checkpoints.keep("last", weights, self._facts(None))
                self._close("done", None, time.perf_counter() - clock)
            # The others wait until all is written, and learn which weights are the best.
            self.run = TrainingRun(self.run.directory, self.processes.broadcast(self.run.record))
        except SupersededError:
            raise  # what is written down here is the other one's
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
            retain_freed_memory()
        network = hooks.build_network(self.method)
        set_names: list[str] = []
        said = list(self.run.record.warnings)
        if self.start is not None:
            state, notes = starting_weights(network, self.start)
            set_names = hooks.initialize_from(self.method, network, state, str(self.start))
            said += [note for note in notes if note not in said]
            log.info("begins with %d tensors of %s", len(set_names), self.start)
        parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
        self._note(started_tensors=len(set_names), parameters=parameters, warnings=said)
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
        newest = self.checkpoints.newest() if self.processes.is_main else None
        step = self.processes.broadcast(newest.position.step if newest else None)
        if step is not None:
            newest = newest or self.checkpoints.at(step)
            trainer.load(newest.weights, newest.state, newest.position.scaler)
            self.position = newest.position
            if not self.processes.is_main:
                # The sums are those of all processes, and must be counted once.
                self.position = msgspec.structs.replace(
                    self.position, sums=dict.fromkeys(self.position.sums, 0.0)
                )
            log.info("continued from step %d (epoch %d)", step, self.position.epoch + 1)
        return trainer

    def _epochs(self, trainer: Trainer, reporter: Reporter, stopping: Callable[[], bool]) -> None:
        batches = self._batches()
        saved = time.monotonic()
        for epoch in range(self.position.epoch, self.recipe.epochs):
            trainer.train_mode()
            first = self.position.batch
            for group in in_groups(batches, self.recipe.accumulate, first, self.order.batches):
                reporter.on_batch_ready()
                image_ids = [image_id for ids, _ in group for image_id in ids]
                result = trainer.step([batch for _, batch in group], self.position.step, epoch)
                require_finite(result, image_ids, self.position.step)
                self.position = self._after(result, len(group))
                lost = self.writer is not None and self.writer.lost
                due = self.writer is not None and time.monotonic() - saved > self.way.save_every_s
                stop, superseded, due_to_all = self.processes.all_reduce_sum(stopping(), lost, due)
                if superseded:
                    raise SupersededError(f"{self.run.directory}: another process has taken over.")
                reporter.on_step(self.position, result, len(image_ids))
                if stop:
                    self._save(trainer)
                    self.processes.broadcast(None)  # no process leaves before the checkpoint is complete
                    raise StoppedError(
                        f"stopped after step {self.position.step}; give the same command again to go on."
                    )
                if due_to_all:
                    self._save(trainer)
                    saved = time.monotonic()
            reporter.on_epoch_end(self.position)
            self.position = msgspec.structs.replace(
                self.position, epoch=epoch + 1, batch=0, sums={}, validated=False
            )
            self._save(trainer)
            saved = time.monotonic()
            self._validated(trainer, reporter, stopping)
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
        """Write a checkpoint; all processes come here at the same step."""
        sums = self.position.sums
        totals = dict(zip(sums, self.processes.all_reduce_sum(*sums.values()), strict=True))
        if self.writer is None:
            return
        self.writer.check_held()
        position = msgspec.structs.replace(self.position, sums=totals, scaler=trainer.scaler.state_dict())
        self.checkpoints.save(Checkpoint(position, trainer.weights(), trainer.state()))

    def _validated(self, trainer: Trainer, reporter: Reporter, stopping: Callable[[], bool]) -> None:
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
                stopping=stopping,
            )
            if scores is not None:
                reporter.validated(self.position, scores, time.perf_counter() - clock)
                score = scores[MAIN_STATISTIC]
                assert self.writer is not None
                self.writer.check_held()
                if best is None or score > best.score:
                    best = Best(epoch, self.position.step, score)
                    self.checkpoints.keep("best", trainer.weights(), self._facts(best))
                    self._note(best=best)
        self.position = msgspec.structs.replace(self.position, validated=True, best=best)
        if self.writer is not None:
            self.writer.check_held()
            record = self.run.record
            title = f"{record.method} on {record.dataset} {record.split}"
            # Before the epoch is noted as done: where this fails, it is drawn when the training resumes.
            reporter.draw(self.run.directory / "curve.png", title)
            self.checkpoints.note(msgspec.structs.replace(self.position, scaler=trainer.scaler.state_dict()))
            self._write_record()

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
        if self.writer is not None:
            self.writer.check_held()
            self.run.write_record()

    def _close(self, state: str, reason: str | None, seconds: float) -> None:
        earlier = self.run.record.seconds
        self._note(
            state=state, reason=reason, finished=utc_now(), best=self.position.best, seconds=earlier + seconds
        )
        if state == "done":
            log.info("trained %d steps in %.0f s", self.position.step, seconds)
        else:
            log.error("%s: %s", state, reason)
        try:
            self.run.write_record()
        except MachineError as error:
            if state == "done":
                raise
            log.error("the record of the training: %s", error)


def _told(
    on_progress: Callable[[TrainingProgress], None] | None, writer: Lease | None
) -> Callable[[TrainingProgress], None] | None:
    """A callback that informs the caller and updates ``progress.json``."""
    if writer is None:
        return None

    def tell(progress: TrainingProgress) -> None:
        score = "" if progress.score is None else f", AP {100 * progress.score:.1f}"
        words = f"epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.2e}{score}"
        writer.report(progress.step, progress.steps, "steps", progress.eta_s, words)
        if on_progress is not None:
            on_progress(progress)

    return tell


def _finished(run: TrainingRun) -> TrainingRecord | None:
    try:
        found = TrainingRun.read(run.directory)
    except MissingDataError:
        return None
    return found.record if found.record.state == "done" and found.weights.is_file() else None


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
    published = hooks.published_recipe(method, dataset, method.keypoints)
    changed: Recipe = override(published, changes, of=f"the recipe of {method.name}")
    return changed
