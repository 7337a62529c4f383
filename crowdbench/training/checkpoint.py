"""Checkpoints of a training: written atomically, and verified when they are read.

A checkpoint is three files in ``checkpoints/``: the weights and the optimizer's state, both safetensors, and
a small JSON manifest, written last, with the position of the training and the digests of the other two. The
two newest checkpoints are kept; if the newest is damaged, the one before it is used.

No state of random number generators is stored: seeds follow from the training's seed and the step
(`crowdbench.engine.seeding`).
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
from crowdbench.system.files.writing import write_json, write_whole

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger("crowdbench")
KEPT = 2


class Best(msgspec.Struct, frozen=True):
    """The best validation so far.

    Attributes:
        epoch: the epoch before it, counted from 1.
        step: the step before it.
        score: AP, in [0, 1].
    """

    epoch: int
    step: int
    score: float


class Position(msgspec.Struct, frozen=True):
    """The position of a training.

    Attributes:
        step: completed optimizer steps.
        epoch: the current epoch, from 0.
        batch: batches of this epoch that every process has completed.
        validated: whether the work due at the end of the previous epoch is done.
        best: the best validation so far.
        sums: this epoch's losses, each summed over persons, and the number of ``persons``.
        scaler: the state of the loss scaler (fp16).
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
        position: the training's position.
        weights: the network's tensors by name.
        state: the optimizer's tensors and those of the moving average, by name.
    """

    position: Position
    weights: "Mapping[str, Tensor]"
    state: "Mapping[str, Tensor]" = field(default_factory=dict)


class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: ``checkpoints/`` in the run directory.
        training: the training's id; checkpoints of others are rejected.
    """

    def __init__(self, folder: Path, training: str) -> None:
        self.folder = folder
        self.training = training

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, then remove old ones; after a MachineError the old ones are unchanged."""
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
        """Free the disk space, unless an earlier checkpoint of the same step needs the files."""
        if (self.folder / f"{name}.json").is_file():
            return
        with suppress(OSError):  # the caller reports what is wrong with the folder
            for path in self.folder.glob(f"{name}.*"):
                path.unlink()

    def note(self, position: Position) -> None:
        """Replace the position in the newest checkpoint's manifest; raises MachineError."""
        path = self.folder / f"{self._name(position)}.json"
        try:
            known = read_json(path, _Manifest, "a checkpoint's manifest")
            self._write_manifest(position, known.sha256)
        except (DataError, MachineError) as error:
            raise self._cannot_write(error) from error

    def newest(self) -> Checkpoint | None:
        """The newest intact checkpoint, or None. Damaged ones are skipped with a warning."""
        for path in sorted(self.folder.glob("step-*.json"), reverse=True):
            try:
                return self._read(path)
            except _DamagedError as error:
                log.warning("%s: this checkpoint is damaged (%s); trying the one before", path, error)
        return None

    def at(self, step: int) -> Checkpoint:
        """The checkpoint of a step that another process verified; MachineError if files are not shared."""
        path = self.folder / f"{self._name(Position(step=step))}.json"
        try:
            return self._read(path)
        except _DamagedError as error:
            raise MachineError(
                f"{path}: this process cannot read the checkpoint that the first one has read ({error}).\n"
                "All processes of a training must see one folder of runs."
            ) from error

    def export(self, name: str, weights: "Mapping[str, Tensor]", facts: Mapping[str, Any]) -> Path:
        """Write a weights file for use outside of the training.

        Args:
            name: the file's name without extension.
            weights: tensors by name.
            facts: JSON values for the file's header.

        Raises:
            MachineError: they cannot be written.
        """
        from safetensors.torch import save

        path = self.folder / f"{name}.safetensors"
        # One entry only: safetensors writes several in an order that differs between runs.
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
        write_json(self.folder / f"{self._name(position)}.json", manifest)

    def _cannot_write(self, error: Exception) -> MachineError:
        newest = max(self.folder.glob("step-*.json"), default=None)
        kept = f"The last whole checkpoint is {newest}" if newest else "There is no whole checkpoint yet"
        why = reason(error.__cause__ or error)
        return MachineError(
            f"{self.folder}: the checkpoint cannot be written ({why}).\n{kept}. Make room, or make the "
            "folder writable, and run the same command again to resume."
        )

    def _read(self, path: Path) -> Checkpoint:
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            manifest = read_json(path, _Manifest, "a checkpoint's manifest")
            if manifest.training != self.training:
                raise _DamagedError("it belongs to another training")
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
            raise _DamagedError("its manifest does not list weights and state")
        return Checkpoint(manifest.position, weights[0], state[0])

    def _remove_others(self, current: str) -> None:
        """Remove all but the current checkpoint and the one before it; later ones are damaged."""
        manifests = sorted(self.folder.glob("step-*.json"), reverse=True)
        earlier = [path for path in manifests if path.stem < current]
        kept = {current, *(path.stem for path in earlier[: KEPT - 1])}
        for path in manifests:
            if path.stem not in kept:
                path.unlink(missing_ok=True)  # first: without it the other files do not count
        for path in self.folder.glob("step-*.safetensors"):
            if path.name.split(".")[0] not in kept:
                path.unlink(missing_ok=True)


class _DamagedError(Exception):
    """A checkpoint that fails verification."""


def _plain(tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Contiguous copies on the CPU that share no memory."""
    import torch

    return {
        name: tensor.detach().to("cpu").clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
