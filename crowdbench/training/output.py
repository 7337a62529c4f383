"""What a training writes: its record, its checkpoints, and the weights that it exports."""

import dataclasses
import logging
from typing import Any

import msgspec

from crowdbench.errors import MachineError
from crowdbench.run_store.lease import Lease
from crowdbench.system.text import utc_now
from crowdbench.training.checkpoint import Best, Checkpoint, Checkpoints, Position
from crowdbench.training.record import TrainingRecord, TrainingRun
from crowdbench.training.trainer import Trainer

log = logging.getLogger("crowdbench")


class TrainingOutput:
    """The files of one training. Only the process that holds the lease writes; in the others nothing happens.

    Args:
        run: the training's directory and its record.
        lease: None in all processes but the first.

    Attributes:
        run: with the record as last changed.
        checkpoints: in the run's directory.
    """

    def __init__(self, run: TrainingRun, lease: Lease | None) -> None:
        self.run = run
        self.lease = lease
        self.checkpoints = Checkpoints(run.checkpoints, run.record.id)

    @property
    def record(self) -> TrainingRecord:
        """The record as last changed."""
        return self.run.record

    def update(self, **changes: Any) -> None:
        """Change fields of the record in memory."""
        self.run = TrainingRun(self.run.directory, dataclasses.replace(self.record, **changes))

    def write_record(self) -> None:
        """Replace ``training.json``."""
        if self.lease is not None:
            self.lease.check_held()
            self.run.write_record()

    def save(self, position: Position, trainer: Trainer) -> None:
        """Write a checkpoint to resume from."""
        if self.lease is not None:
            self.lease.check_held()
            position = msgspec.structs.replace(position, scaler=trainer.scaler.state_dict())
            self.checkpoints.save(Checkpoint(position, trainer.weights(), trainer.state()))

    def export(self, name: str, trainer: Trainer, epoch: int, best: Best | None = None) -> None:
        """Write weights to use elsewhere, with a description of the training in their header.

        Args:
            name: the file's name without extension.
            trainer: has the weights.
            epoch: the number of epochs that were trained.
            best: the validation that selected these weights, if one did.
        """
        if self.lease is None:
            return
        self.lease.check_held()
        record = self.record
        facts = {
            "method": record.method,
            "dataset": record.dataset,
            "training_data": record.training_data,
            "training": record.id,
            "settings": record.settings,
            "epoch": epoch,
            "validation": msgspec.to_builtins(best),
        }
        self.checkpoints.export(name, trainer.weights(), facts)

    def close(self, state: str, reason: str | None, position: Position, seconds: float) -> None:
        """Write the final record.

        Args:
            state: the training's state from now on.
            reason: why it is not done.
            position: how far it is.
            seconds: the time spent since this start.

        Raises:
            MachineError: the record of a training that is done cannot be written.
        """
        total = self.record.seconds + seconds
        self.update(state=state, reason=reason, finished=utc_now(), best=position.best, seconds=total)
        if state == "done":
            log.info("trained %d steps in %.0f s", position.step, seconds)
        else:
            log.error("%s: %s", state, reason)
        try:
            self.run.write_record()
        except MachineError as error:
            if state == "done":
                raise
            log.error("the record of the training: %s", error)
