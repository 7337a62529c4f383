"""What determines a run's numbers: its initial record, and the id derived from it."""

import dataclasses
import hashlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from crowdbench import plugins
from crowdbench.api.dataset import Dataset
from crowdbench.api.load_method import published_settings
from crowdbench.api.method import Method
from crowdbench.api.settings import settings_as_values
from crowdbench.api.types import Precision
from crowdbench.engine import hooks
from crowdbench.engine.samples import inputs_digest
from crowdbench.run_store.record import Code, Protocol, Record, Weights, identity
from crowdbench.run_store.run import Run
from crowdbench.system import environment as machine
from crowdbench.system.files.digests import FileDigests, file_digest
from crowdbench.system.source_code.digest import SourceCode as CodeOnDisk
from crowdbench.system.source_code.digest import code_of, combined
from crowdbench.system.source_code.git import revisions_of
from crowdbench.system.text import utc_now
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
    code: Mapping[str, CodeOnDisk],
    command: Sequence[str] | None,
    made_for: str | None = None,
) -> Record:
    """Make the record of a new run, with its id.

    Args:
        method, dataset, weights: what is evaluated.
        count: how many of the dataset's images, from the first.
        execution: how the network is run.
        code: as `code_used` found it.
        command: for the record; None takes this process's.
        made_for: the dataset whose keypoints the method predicts, if it is another.
    """
    settings = settings_as_values(method.settings, f"{method.name}: settings")
    published = msgspec.to_builtins(published_settings(type(method), method.name, made_for or dataset.name))
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
        keypoints=None if dataset.protocol.labelled is None else dataset.keypoints.keypoints,
        made_for=made_for,
    )
    protocol = hooks.protocol_overrides(method, protocol)
    replayed = not method.reads_images
    versions = machine.versions(method.tracked_packages)
    if execution.device.type == "cuda" and not replayed:
        versions |= machine.gpu_versions()
    images = None if replayed else digest_of_images(dataset, count)
    environment = {} if replayed else machine.environment()
    facts = {
        "batch_size": execution.batch_size,
        "seed": execution.seed if weights.sha256 is None else None,
        "precision": execution.precision,
        "compiled": execution.compiled,
        "device": "none" if replayed else execution.device.type,
        "versions": versions,
        "origin": origin_of(method),
        "code": combined(code),
        "images": images,
        "environment": environment,
    }
    return Record(
        id=identity(method.name, protocol, settings, origin, facts, inputs_digest(dataset, count)),
        method=method.name,
        method_origin=origin_of(method),
        paradigm=method.paradigm,
        state="running",
        protocol=protocol,
        settings=settings,
        weights=origin,
        precision=execution.precision,
        compiled=execution.compiled,
        device="none" if replayed else str(execution.device),
        batch_size=execution.batch_size,
        seed=execution.seed,
        versions=versions,
        host={} if replayed else machine.host(execution.device),
        command=list(command if command is not None else sys.argv),
        started=utc_now(),
        corrections=list(getattr(dataset, "corrections", ())),
        code={name: Code(found.digest) for name, found in code.items()},
        images=images,
        environment=environment,
        extent=dataset.extent(count),
    )


def code_used(method: Method, dataset: type[Dataset]) -> dict[str, CodeOnDisk]:
    """The code that decides a run's numbers: crowdbench's, the method's and the dataset's, by name."""
    classes = [type(method), type(method.settings), dataset]
    return code_of(
        classes, _owners({base.__module__.partition(".")[0] for c in classes for base in c.__mro__})
    )


def _owners(packages: set[str]) -> list[Distribution]:
    """Crowdbench's distribution, and those that declare a method or a dataset in some packages."""
    owners: dict[int, Distribution] = {}
    with suppress(PackageNotFoundError):  # on the path, but not installed
        owners[0] = distribution("crowdbench")
    kinds: tuple[plugins.Kind, ...] = ("method", "dataset")
    for plugin in (plugin for kind in kinds for plugin in plugins.installed(kind).values()):
        if isinstance(plugin, plugins.Plugin) and re.split("[.:]", plugin.target)[0] in packages:
            owner = plugin.entry_point.dist
            if owner is not None:
                owners[id(owner)] = owner
    return list(owners.values())


def with_commits(record: Record, code: Mapping[str, CodeOnDisk]) -> Record:
    """A record that says what git knows of the code, too."""
    places = {name: found.place for name, found in code.items() if found.place is not None}
    revisions = revisions_of(place for name, place in places.items() if not code[name].is_installed)
    known = {name: revisions[place] for name, place in places.items() if place in revisions}
    return dataclasses.replace(
        record,
        code={
            name: Code(used.digest, known[name].commit, known[name].modified) if name in known else used
            for name, used in record.code.items()
        },
    )


def said_of_changed_code(record: Record, method: Method, dataset: type[Dataset]) -> list[str]:
    """A sentence if code was changed since a run began."""
    now_on_disk = {name: found.digest for name, found in code_used(method, dataset).items()}
    before = {name: used.digest for name, used in record.code.items()}
    changed = sorted(name for name in {*before, *now_on_disk} if before.get(name) != now_on_disk.get(name))
    if not changed:
        return []
    return [
        f"the code of {', '.join(changed)} was changed while the run went on; if a process began after that, "
        "predictions of both are mixed. --again computes anew"
    ]


def digest_of_images(dataset: Dataset, count: int) -> str:
    """SHA-256 over the contents of the first `count` images, cached by their size, times and inode."""
    paths = dataset.image_paths(count)
    cached = FileDigests(f"images {Path(paths[0]).absolute().parent if paths else ''}")
    seen = cached.of([os.path.abspath(path) for path in paths])  # noqa: PTH100  (thousands)
    cached.save()
    return hashlib.sha256("\n".join(found.digest for found in seen).encode()).hexdigest()


def origin_of(method: Method) -> str:
    """The distribution and version that declare the method; the module of one that is built by hand."""
    plugin = plugins.installed("method").get(method.name)
    return plugin.origin if isinstance(plugin, plugins.Plugin) else type(method).__module__


def said_of_finished(run: Run) -> str:
    """That a run which was asked for is shown as it was found."""
    on = (run.record.finished or run.record.started).replace("T", " ")[:16]
    return f"done before, on {on} UTC: nothing was computed; --again computes it anew ({run.directory})"
