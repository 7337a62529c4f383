"""Checkpoints of a training: whole at any moment, checked before they are believed.

A checkpoint is three files in ``checkpoints/``: the weights, what else the optimizer needs, both safetensors,
and a small JSON file, written last, that says where the training was and what the other two must be. The two
newest are kept: if the newest is damaged, the one before it serves.

Of random numbers nothing has to be kept: they follow from seed and step (`crowdbench.engine.seeding`).
"""

import hashlib
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from crowdbench.errors import DataError, MachineError
from crowdbench.system.files.os_errors import reason
from crowdbench.system.files.reading import LARGEST_WEIGHTS, read_bytes, read_json
from crowdbench.system.files.writing import write_whole

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger("crowdbench")
KEPT = 2


class Best(msgspec.Struct, frozen=True):
    """The best validation so far.

    Attributes:
        epoch: after which it was made, from 1.
        step: after which it was made.
        score: AP, in [0, 1].
    """

    epoch: int
    step: int
    score: float


class Position(msgspec.Struct, frozen=True):
    """Where a training is.

    Attributes:
        step: optimizer steps done.
        epoch: the current one, from 0.
        batch: batches of it that every process has done.
        validated: whether what is due at the end of the epoch before has been done.
        best: the best validation so far.
        sums: of this epoch's losses, times persons; and of the persons.
        scaler: state of the loss scaler (fp16).
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    validated: bool = True
    best: Best | None = None
    sums: dict[str, float] = {}
    scaler: dict[str, Any] = {}


class _Manifest(msgspec.Struct):
    training: str
    position: Position
    sha256: dict[str, str]


@dataclass(frozen=True)
class Checkpoint:
    """A training at one moment.

    Attributes:
        position: where it was.
        weights: the network's tensors by name.
        state: the optimizer's tensors, and the moving average's, by name.
    """

    position: Position
    weights: "Mapping[str, Tensor]"
    state: "Mapping[str, Tensor]" = field(default_factory=dict)


class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: ``checkpoints/`` in the run directory.
        training: its id; those of others are refused.
    """

    def __init__(self, folder: Path, training: str) -> None:
        self.folder = folder
        self.training = training

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, then remove those that are too old.

        Raises:
            MachineError: it cannot be written; those that are there stay as they were.
        """
        from safetensors.torch import save

        name = self._name(checkpoint.position)
        contents = {
            f"{name}.weights.safetensors": save(_plain(checkpoint.weights)),
            f"{name}.state.safetensors": save(_plain(checkpoint.state)),
        }
        try:
            for file, data in contents.items():
                write_whole(self.folder / file, data)
            digests = {file: hashlib.sha256(data).hexdigest() for file, data in contents.items()}
            self._write_manifest(checkpoint.position, digests)
        except MachineError as error:
            self._remove_unfinished(name)
            raise self._cannot_write(error) from error
        self._remove_others(name)

    def _remove_unfinished(self, name: str) -> None:
        """Make room again, unless an earlier checkpoint of the same step needs the files."""
        if (self.folder / f"{name}.json").is_file():
            return
        with suppress(OSError):  # what is wrong with the folder is being reported
            for path in self.folder.glob(f"{name}.*"):
                path.unlink()

    def note(self, position: Position) -> None:
        """Say more about the newest checkpoint, whose tensors stay as they are.

        Raises:
            MachineError: it cannot be written, or its tensors are not there.
        """
        path = self.folder / f"{self._name(position)}.json"
        try:
            known = read_json(path, _Manifest, "a checkpoint's list of files")
            self._write_manifest(position, known.sha256)
        except (DataError, MachineError) as error:
            raise self._cannot_write(error) from error

    def newest(self) -> Checkpoint | None:
        """The newest whole checkpoint; None if there is none. Damaged ones are passed over with a warning."""
        for path in sorted(self.folder.glob("step-*.json"), reverse=True):
            try:
                return self._read(path)
            except _DamagedError as error:
                log.warning("%s: this checkpoint is damaged (%s); trying the one before", path, error)
        return None

    def at(self, step: int) -> Checkpoint:
        """The checkpoint of a step, which another process has found whole.

        Raises:
            MachineError: it is not there: the processes do not share a file system.
        """
        path = self.folder / f"{self._name(Position(step=step))}.json"
        try:
            return self._read(path)
        except _DamagedError as error:
            raise MachineError(
                f"{path}: this process cannot read the checkpoint that the first one has read ({error}).\n"
                "All processes of a training must see one folder of runs."
            ) from error

    def keep(self, name: str, weights: "Mapping[str, Tensor]", facts: Mapping[str, Any]) -> Path:
        """Write weights for others to use, with facts about them in their header.

        Args:
            name: of the file, without ending.
            weights: tensors by name.
            facts: JSON values.

        Raises:
            MachineError: they cannot be written.
        """
        from safetensors.torch import save

        path = self.folder / f"{name}.safetensors"
        # One entry only: safetensors writes several in an order that changes from run to run.
        header = {"crowdbench": msgspec.json.encode(facts, order="sorted").decode()}
        try:
            write_whole(path, save(_plain(weights), header))
        except MachineError as error:
            raise self._cannot_write(error) from error
        return path

    @staticmethod
    def _name(position: Position) -> str:
        return f"step-{position.step:08d}"

    def _write_manifest(self, position: Position, digests: dict[str, str]) -> None:
        manifest = _Manifest(self.training, position, digests)
        encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
        write_whole(self.folder / f"{self._name(position)}.json", encoded + b"\n")

    def _cannot_write(self, error: Exception) -> MachineError:
        newest = max(self.folder.glob("step-*.json"), default=None)
        kept = f"The last whole checkpoint is {newest}" if newest else "There is no whole checkpoint yet"
        why = reason(error.__cause__ or error)
        return MachineError(
            f"{self.folder}: the checkpoint cannot be written ({why}).\n{kept}. Make room, or make the "
            "folder writable, and give the same command again: it goes on from there."
        )

    def _read(self, path: Path) -> Checkpoint:
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            manifest = read_json(path, _Manifest, "a checkpoint's list of files")
            if manifest.training != self.training:
                raise _DamagedError("of another training")
            found = {}
            for file, digest in manifest.sha256.items():
                data = read_bytes(self.folder / Path(file).name, "a checkpoint", limit=LARGEST_WEIGHTS)
                if hashlib.sha256(data).hexdigest() != digest:
                    raise _DamagedError(f"{file} is not what was written")
                found[file] = load(data)
        except (DataError, SafetensorError) as error:
            raise _DamagedError(str(error)) from error
        weights = [tensors for file, tensors in found.items() if file.endswith(".weights.safetensors")]
        state = [tensors for file, tensors in found.items() if file.endswith(".state.safetensors")]
        if len(weights) != 1 or len(state) != 1:
            raise _DamagedError("it does not name weights and state")
        return Checkpoint(manifest.position, weights[0], state[0])

    def _remove_others(self, current: str) -> None:
        """All but the current one and the one before it; later ones were damaged and passed over."""
        manifests = sorted(self.folder.glob("step-*.json"), reverse=True)
        earlier = [path for path in manifests if path.stem < current]
        kept = {current, *(path.stem for path in earlier[: KEPT - 1])}
        for path in manifests:
            if path.stem not in kept:
                path.unlink(missing_ok=True)  # first: without it the other two are nothing
        for path in self.folder.glob("step-*.safetensors"):
            if path.name.split(".")[0] not in kept:
                path.unlink(missing_ok=True)


class _DamagedError(Exception):
    """A checkpoint that cannot be believed."""


def _plain(tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Copies in row-major order on the processor, which share memory with nothing."""
    import torch

    return {
        name: tensor.detach().to("cpu").clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
