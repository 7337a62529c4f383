"""Train a method: `train`, and who may write the training's directory.

A training can be killed at any moment. Started again with the same arguments, it finds its own directory and
resumes from its last checkpoint. It ends with the same weights, bit by bit, as an uninterrupted training.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

from crowdbench.api.dataset import Dataset
from crowdbench.api.method import NetworkMethod
from crowdbench.api.option_limits import require_options
from crowdbench.api.recipe import OLD_NAMES, Recipe
from crowdbench.api.settings import override
from crowdbench.api.types import Precision
from crowdbench.engine import hooks
from crowdbench.engine.data_loader import require_main_guard
from crowdbench.errors import CrowdbenchError, MissingDataError, StoppedError, SupersededError
from crowdbench.run_store.lease import Lease, Waiting, in_turn
from crowdbench.run_store.lease_files import LeaseHolder, ProgressReport
from crowdbench.run_store.record import Weights
from crowdbench.run_store.wait_notice import WaitNotice
from crowdbench.system.devices import device_of, require_compiler
from crowdbench.system.distributed import from_environment
from crowdbench.system.files.leftovers import remove_leftovers
from crowdbench.system.log_file import log_file
from crowdbench.training.collectives import Collectives, process_group
from crowdbench.training.loop import TrainingLoop, build_trainer, restore
from crowdbench.training.metrics import MetricsFile, open_trackers
from crowdbench.training.output import TrainingOutput
from crowdbench.training.progress import Reporter, TrainingProgress
from crowdbench.training.record import Selection, TrainingRecord, TrainingRun
from crowdbench.training.setup import (
    ExecutionOptions,
    TrainingSetup,
    loader_workers,
    new_record,
    trainable_samples,
)
from crowdbench.weights import Transfer, resolve_weights

log = logging.getLogger("crowdbench")


def train(  # noqa: PLR0913  (the public options)
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
        validation: the split to score during training; the weights with the highest AP are the best ones.
        selection: ``"test"`` if `validation` is the split that will be reported, as in some published code;
            the record and the weights state it.
        recipe: None takes the published recipe for this dataset.
        start: the initial weights: the name of published ones, a URL, a file, or ``"none"``; None takes the
            recipe's.
        out: the folder of all runs.
        limit: use only this many images, from the start of both splits.
        workers: loader processes of each process; None takes half of its CPUs, at most 8.
        seed: seeds every random number generator.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``. Each process on a machine takes its own GPU.
        precision: the precision of the forward pass: ``"fp32"``, ``"bf16"``, or ``"fp16"`` with a loss
            scaler.
        compiled: use `torch.compile`.
        deterministic: use only deterministic operations; slower on GPUs.
        save_every_s: a checkpoint is written after every epoch and whenever this many seconds have passed.
        trackers: loggers besides ``metrics.jsonl``: ``"tensorboard"``, ``"wandb"``.
        command: the command line for the record; None takes this process's.
        on_progress: called after every step in the first process, and while weights are downloaded.
        on_start: called with the training's directory before anything is computed, in the first process.
        stopping: polled after every step; a training that must stop writes a checkpoint first.

    Returns:
        The finished training. If it was done before, that one is returned unchanged.

    Raises:
        InputError: an argument is wrong: weights, settings, recipe, data.
        RunError: the training failed; its last checkpoint is kept.
    """
    require_main_guard()
    require_options(seed=seed, limit=limit, workers=workers, save_every_s=save_every_s)
    process = from_environment(os.environ)
    target = device_of(device, process)
    if compiled:
        require_compiler(target)
    recipe = recipe or hooks.published_recipe(method, dataset.name, dataset.keypoints)
    hooks.configure_training(method, recipe)
    samples = trainable_samples(dataset, limit, recipe.min_keypoints)
    found = resolve_weights(
        start if start is not None else recipe.start or "none",
        method=method.name,
        dataset=dataset.name,
        whole=False,
        on_progress=on_progress,
    )
    options = ExecutionOptions(
        process,
        target,
        precision,
        compiled,
        deterministic,
        seed,
        loader_workers(process) if workers is None else workers,
        save_every_s,
    )
    setup = TrainingSetup(method, dataset, validation, samples, recipe, options, found.path)
    chosen: Selection = "last" if validation is None else selection
    record = new_record(setup, chosen, Weights(found.source, found.sha256), limit, command)
    run = TrainingRun(TrainingRun.place(Path(out), record), record)
    with ExitStack() as stack:
        processes = stack.enter_context(process_group(process, target, run.directory))
        if on_start is not None and processes.is_main:
            on_start(run.directory)
        previous, lease = processes.broadcast(_finished(run)), None
        if previous is None:
            lease = stack.enter_context(_exclusive(run, processes, stopping))
            previous = processes.broadcast(_finished(run))
        if previous is not None:
            log.info("done before: %s", run.directory)
            return TrainingRun(run.directory, previous)
        output = TrainingOutput(run, lease)
        with log_file(run.directory / "log.txt", processes.is_main), _reproducible(deterministic):
            return _run(setup, processes, output, trackers, on_progress, stopping)


@contextmanager
def _exclusive(
    run: TrainingRun, processes: Collectives, stopping: Callable[[], bool]
) -> Iterator[Lease | None]:
    """Hold the training's lease, in the first process on behalf of all.

    If another process trains this very training, wait until that has finished or died.

    Yields:
        In the first process the lease, or None if another process has finished the training.

    Raises:
        StoppedError: `stopping` returned true during the wait.
        MachineError: the folder cannot be written to.
    """
    notice = WaitNotice("training")

    def wait(claim: LeaseHolder | None, progress: ProgressReport | None) -> None:
        if stopping():
            raise StoppedError("stopped while waiting for another process that runs this very training.")
        notice(claim, progress)
        processes.keep_waiting()

    with ExitStack() as stack:
        lease, problem = None, None
        if processes.is_main:
            try:
                waiting = Waiting(lambda: _finished(run) is not None, wait)
                lease = stack.enter_context(in_turn(run.directory, waiting))
                if lease is not None:
                    remove_leftovers(run.directory)
                    remove_leftovers(run.checkpoints)
            except CrowdbenchError as error:
                problem = error
        processes.raise_on_all(problem)
        yield lease


def _run(
    setup: TrainingSetup,
    processes: Collectives,
    output: TrainingOutput,
    trackers: Sequence[str],
    on_progress: Callable[[TrainingProgress], None] | None,
    stopping: Callable[[], bool],
) -> TrainingRun:
    """Train from the last checkpoint, or from the beginning, to the end."""
    trainer = build_trainer(setup, processes, output)
    loop = TrainingLoop(setup, trainer, processes, output, restore(trainer, processes, output), stopping)
    output.write_record()
    directory, record, metrics, opened = output.run.directory, output.record, None, []
    if processes.is_main:
        metrics = MetricsFile(directory / "metrics.jsonl", loop.position.step)
        opened = open_trackers(trackers, directory, record.id, record.recipe)
    clock = time.perf_counter()
    try:
        callback = _callback(on_progress, output.lease)
        loop.run(Reporter(processes, setup.recipe, loop.steps_per_epoch, metrics, opened, callback))
        if output.lease is not None:
            output.export("last", trainer, loop.position.epoch)
            output.close("done", None, loop.position, time.perf_counter() - clock)
        # The others wait until all is written, and learn which weights are the best.
        return TrainingRun(directory, processes.broadcast(output.record))
    except SupersededError:
        raise  # the record is now the other process's
    except BaseException as error:
        if processes.is_main:
            reason = "" if isinstance(error, CrowdbenchError) else f"{type(error).__name__}: "
            stopped = isinstance(error, StoppedError) or not isinstance(error, Exception)
            state = "interrupted" if stopped else "failed"
            output.close(state, f"{reason}{error}", loop.position, time.perf_counter() - clock)
        raise
    finally:
        for tracker in opened:
            tracker.close()


def _callback(
    on_progress: Callable[[TrainingProgress], None] | None, lease: Lease | None
) -> Callable[[TrainingProgress], None] | None:
    """A callback that informs the caller and updates ``progress.json``."""
    if lease is None:
        return None

    def report(progress: TrainingProgress) -> None:
        score = "" if progress.score is None else f", AP {100 * progress.score:.1f}"
        text = f"epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.2e}{score}"
        lease.report(progress.step, progress.steps, "steps", progress.eta_s, text)
        if on_progress is not None:
            on_progress(progress)

    return report


def _finished(run: TrainingRun) -> TrainingRecord | None:
    try:
        found = TrainingRun.read(run.directory)
    except MissingDataError:
        return None
    return found.record if found.record.state == "done" and found.weights.is_file() else None


@contextmanager
def _reproducible(deterministic: bool) -> Iterator[None]:
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
        method: the method to train.
        dataset: the dataset's name.
        changes: new values by name; they may be strings, as on the command line.

    Raises:
        SettingsError: a name is unknown (the message suggests the nearest), or a value has the wrong type.
    """
    published = hooks.published_recipe(method, dataset, method.keypoints)
    for old in OLD_NAMES.keys() & changes.keys():
        log.warning("the recipe's %s is now called %s", old, OLD_NAMES[old])
    renamed = {OLD_NAMES.get(name, name): value for name, value in changes.items()}
    if renamed.get("batch_norm") == "synchronised":
        renamed["batch_norm"] = "synchronized"
    changed: Recipe = override(published, renamed, of=f"the recipe of {method.name}")
    return changed
