"""The training loop: batches, steps, checkpoints and validations, from a position to the last epoch."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from crowdbench.engine import hooks
from crowdbench.engine.data_loader import load_training_batches
from crowdbench.errors import StoppedError, SupersededError
from crowdbench.system.malloc import retain_freed_memory
from crowdbench.training.checkpoint import Best, Position
from crowdbench.training.collectives import Collectives
from crowdbench.training.output import TrainingOutput
from crowdbench.training.progress import Reporter
from crowdbench.training.sampler import EpochSampler
from crowdbench.training.setup import TrainingSetup
from crowdbench.training.trainer import StepResult, Trainer, in_groups, require_finite
from crowdbench.training.validate import MAIN_STATISTIC, validate
from crowdbench.weights.checkpoint_file.state_dict import starting_weights

log = logging.getLogger("crowdbench")


def build_trainer(setup: TrainingSetup, processes: Collectives, output: TrainingOutput) -> Trainer:
    """A trainer with the weights that the training starts from; the record says how many were set."""
    import torch

    options = setup.options
    torch.manual_seed(options.seed)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    if options.device.type == "cpu":
        retain_freed_memory()
    network = hooks.build_network(setup.method)
    set_names: list[str] = []
    warnings = list(output.record.warnings)
    if setup.start is not None:
        state, notes = starting_weights(network, setup.start)
        set_names = hooks.initialize_from(setup.method, network, state, str(setup.start))
        warnings += [note for note in notes if note not in warnings]
        log.info("initialized %d tensors from %s", len(set_names), setup.start)
    parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
    output.update(started_tensors=len(set_names), parameters=parameters, warnings=warnings)
    network = network.to(options.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Trainer(
        setup.method,
        network,
        setup.recipe,
        processes,
        precision=options.precision,
        seed=options.seed,
        compiled=options.compiled,
    )


def restore(trainer: Trainer, processes: Collectives, output: TrainingOutput) -> Position:
    """Load the newest checkpoint into a trainer.

    Returns:
        The checkpoint's position, or the beginning if there is no checkpoint.

    Raises:
        MachineError: another process cannot read the checkpoint that the first one has read.
    """
    # Read by the first process alone: the others might see a checkpoint that it is writing.
    newest = output.checkpoints.newest() if processes.is_main else None
    step = processes.broadcast(newest.position.step if newest else None)
    if step is None:
        return Position()
    newest = newest or output.checkpoints.at(step)
    position = newest.position
    trainer.load(newest.weights, newest.state, position.scaler)
    if not processes.is_main:
        # The sums are those of all processes and must be counted once.
        position = msgspec.structs.replace(position, sums=dict.fromkeys(position.sums, 0.0))
    log.info("continued from step %d (epoch %d)", step, position.epoch + 1)
    return position


class TrainingLoop:
    """A training from a position to its last step.

    Args:
        setup: defines the training.
        trainer: with the weights of `position`.
        processes: share the training.
        output: where the first process writes.
        position: where to start.
        stopping: polled after every step; a training that must stop writes a checkpoint first.

    Attributes:
        position: the current position.
        steps_per_epoch: optimizer steps in an epoch.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        trainer: Trainer,
        processes: Collectives,
        output: TrainingOutput,
        position: Position,
        stopping: Callable[[], bool],
    ) -> None:
        self.setup = setup
        self.trainer = trainer
        self.processes = processes
        self.output = output
        self.position = position
        self.stopping = stopping
        recipe = setup.recipe
        self.sampler = EpochSampler(
            len(setup.samples), recipe.batch_size, processes.world_size, setup.options.seed
        )
        self.steps_per_epoch = -(-self.sampler.batches // recipe.accumulate)

    def run(self, reporter: Reporter) -> None:
        """Train all epochs that are left.

        Raises:
            StoppedError: `stopping` returned true; a checkpoint was written.
            SupersededError: another process has taken over.
            RunError: a loss is not finite, or memory ran out.
        """
        if not self.position.validated:
            self._end_epoch(reporter)
        batches, saved = self._batches(), time.monotonic()
        for epoch in range(self.position.epoch, self.setup.recipe.epochs):
            self.trainer.train_mode()
            first = self.position.batch
            for group in in_groups(batches, self.setup.recipe.accumulate, first, self.sampler.batches):
                reporter.on_batch_ready()
                if self._step(group, epoch, saved, reporter):
                    self._save()
                    saved = time.monotonic()
            reporter.on_epoch_end(self.position)
            self._move(epoch=epoch + 1, batch=0, sums={}, validated=False)
            self._save()
            saved = time.monotonic()
            self._end_epoch(reporter)
            reporter.resume_clock()

    def _step(
        self, group: "list[tuple[list[int], Any]]", epoch: int, saved: float, reporter: Reporter
    ) -> bool:
        """Do one optimizer step; return whether a checkpoint is due, in all processes alike."""
        image_ids = [image_id for ids, _ in group for image_id in ids]
        result = self.trainer.step([batch for _, batch in group], self.position.step, epoch)
        require_finite(result, image_ids, self.position.step)
        self._count(result, len(group))
        lease = self.output.lease
        lost = lease is not None and lease.lost
        due = lease is not None and time.monotonic() - saved > self.setup.options.save_every_s
        stop, superseded, due_to_all = self.processes.all_reduce_sum(self.stopping(), lost, due)
        if superseded:
            raise SupersededError(f"{self.output.run.directory}: another process has taken over.")
        reporter.on_step(self.position, result, len(image_ids))
        if stop:
            self._save()
            self.processes.broadcast(None)  # no process leaves before the checkpoint is complete
            raise StoppedError(
                f"stopped after step {self.position.step}; run the same command again to resume."
            )
        return bool(due_to_all)

    def _batches(self) -> "Iterator[tuple[list[int], Any]]":
        """All batches that are left, over all epochs, with the ids of their images."""
        setup = self.setup

        def order() -> Iterator[list[tuple[int, int]]]:
            first = self.position.batch
            for epoch in range(self.position.epoch, setup.recipe.epochs):
                for batch in self.sampler.epoch(epoch, self.processes.rank, first):
                    yield [(epoch, image) for image in batch]
                first = 0

        loaded = load_training_batches(
            setup.method,
            setup.samples,
            order(),
            seed=setup.options.seed,
            workers=setup.options.workers,
            pin_memory=setup.options.device.type == "cuda",
        )
        for requested, batch in zip(order(), loaded, strict=True):
            yield [setup.samples[image].image_id for _, image in requested], batch

    def _move(self, **changes: Any) -> None:
        self.position = msgspec.structs.replace(self.position, **changes)

    def _count(self, result: StepResult, batches: int) -> None:
        sums = dict(self.position.sums)
        for name, value in {**result.losses, "persons": float(result.persons)}.items():
            sums[name] = sums.get(name, 0.0) + value
        self._move(step=self.position.step + 1, batch=self.position.batch + batches, sums=sums)

    def _save(self) -> None:
        """Write a checkpoint; all processes call this at the same step."""
        sums = self.position.sums
        totals = dict(zip(sums, self.processes.all_reduce_sum(*sums.values()), strict=True))
        self.output.save(msgspec.structs.replace(self.position, sums=totals), self.trainer)

    def _end_epoch(self, reporter: Reporter) -> None:
        """Validate if that is due, then draw the curve and note the epoch as done."""
        setup, output, epoch = self.setup, self.output, self.position.epoch
        best = self.position.best
        due = epoch % setup.recipe.validate_every == 0 or epoch == setup.recipe.epochs
        if setup.validation is not None and due:
            clock = time.perf_counter()
            scores = validate(
                setup,
                self.trainer.network,
                self.trainer.weights(),
                self.processes,
                output.run.directory / "validation.json.gz",
                limit=output.record.limit,
                stopping=self.stopping,
            )
            if scores is not None:
                reporter.on_validation(self.position, scores, time.perf_counter() - clock)
                score = scores[MAIN_STATISTIC]
                if best is None or score > best.score:
                    best = Best(epoch, self.position.step, score)
                    output.export("best", self.trainer, epoch, best)
                    output.update(best=best)
        self._move(validated=True, best=best)
        if output.lease is not None:
            output.lease.check_held()
            record = output.record
            # Before the epoch is noted as done: where this fails, it is drawn when the training resumes.
            reporter.draw(
                output.run.directory / "curve.png", f"{record.method} on {record.dataset} {record.split}"
            )
            scaler = self.trainer.scaler.state_dict()
            output.checkpoints.note(msgspec.structs.replace(self.position, scaler=scaler))
            output.write_record()
