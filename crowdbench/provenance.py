"""What a run is made from: the record that it begins with, and the id that names it."""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from crowdbench import machine, plugins
from crowdbench.dataset import Dataset
from crowdbench.hashing import file_digest
from crowdbench.method import Method
from crowdbench.precision import Precision
from crowdbench.record import Protocol, Record, Weights, identity
from crowdbench.weights import ResolvedWeights

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Execution:
    """How a network is run; all of it can change the last bits of a number."""

    batch_size: int
    seed: int
    precision: Precision
    compiled: bool
    device: "torch.device"


def new_record(
    method: Method,
    dataset: Dataset,
    weights: ResolvedWeights,
    count: int,
    execution: Execution,
    command: Sequence[str] | None,
) -> Record:
    """The record of a run that begins, with the id that follows from it."""
    settings = msgspec.to_builtins(method.settings)
    published = msgspec.to_builtins(method.published_settings(dataset.name, dataset.keypoints))
    origin = Weights(weights.source, weights.sha256)
    protocol = Protocol(
        dataset=dataset.name,
        split=dataset.split,
        annotations=file_digest(dataset.annotation_file),
        boxes=dataset.boxes.label if method.paradigm == "top-down" else "none",
        images=count,
        complete=count == len(dataset),
        flip_test=getattr(method.settings, "flip_test", None),
        input_size=getattr(method.settings, "input_size", None),
        training_data=weights.training_data,
        changed_settings={name: value for name, value in settings.items() if value != published.get(name)},
    )
    protocol = dataclasses.replace(protocol, **method.known_protocol())
    versions = machine.versions(method.computed_with)
    facts = {
        "batch_size": execution.batch_size,
        "seed": execution.seed if weights.sha256 is None else None,
        "precision": execution.precision,
        "compiled": execution.compiled,
        "device": execution.device.type,
        "versions": versions,
        "origin": origin_of(method),
    }
    return Record(
        id=identity(method.name, protocol, settings, origin, facts),
        method=method.name,
        method_origin=origin_of(method),
        paradigm=method.paradigm,
        state="running",
        protocol=protocol,
        settings=settings,
        weights=origin,
        precision=execution.precision,
        compiled=execution.compiled,
        device=str(execution.device),
        batch_size=execution.batch_size,
        seed=execution.seed,
        versions=versions,
        host=machine.host(execution.device),
        command=list(command if command is not None else sys.argv),
        started=now(),
        corrections=list(getattr(dataset, "corrections", ())),
    )


def origin_of(method: Method) -> str:
    """The distribution and version that declare the method; the module of one that is built by hand."""
    plugin = plugins.installed("method").get(method.name)
    return plugin.origin if isinstance(plugin, plugins.Plugin) else type(method).__module__


def now() -> str:
    """The time, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
