"""What is settled before a training begins: where, on what, and what its record says."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from crowdbench import plugins
from crowdbench.api.dataset import Dataset
from crowdbench.api.method import NetworkMethod
from crowdbench.api.recipe import Recipe
from crowdbench.api.settings import settings_as_values
from crowdbench.api.types import Precision, Sample
from crowdbench.engine import hooks
from crowdbench.engine.samples import image_count, samples_of
from crowdbench.errors import SettingsError
from crowdbench.run_store.record import Weights
from crowdbench.system import environment as machine
from crowdbench.system.distributed import ProcessInfo, available_cpus
from crowdbench.system.files.digests import file_digest
from crowdbench.system.text import utc_now
from crowdbench.training.record import Selection, TrainingRecord, training_identity

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ExecutionOptions:
    """How a training is carried out on this machine."""

    place: ProcessInfo
    device: "torch.device"
    precision: Precision
    compiled: bool
    deterministic: bool
    seed: int
    workers: int
    save_every_s: float


def loader_workers(place: ProcessInfo) -> int:
    """Loader processes of this process: half of its processors, at most 8."""
    return min(8, max(1, available_cpus(os.environ, place) // 2))


def trainable_samples(dataset: Dataset, limit: int | None, least_keypoints: int) -> list[Sample]:
    """Images with so many labelled keypoints to learn from.

    Raises:
        SettingsError: there are no annotations, the boxes are a detector's, or there is no person.
    """
    if not dataset.has_annotations:
        raise SettingsError(f"{dataset.name} {dataset.split} has no annotations to train on.")
    if dataset.boxes.label != "gt":
        raise SettingsError("training takes ground-truth boxes: a detection has no keypoints to learn from.")
    images = image_count(dataset)
    samples = samples_of(dataset, images if limit is None else min(limit, images))
    found = [
        sample
        for sample in samples
        if sum(np.count_nonzero(i.keypoints[:, 2] > 0) for i in sample.instances) >= least_keypoints
    ]
    if not found:
        raise SettingsError(
            f"{dataset.name} {dataset.split}: no image has {least_keypoints} labelled keypoints."
        )
    return found


def new_record(  # noqa: PLR0913  (what a training is made from)
    method: NetworkMethod,
    dataset: Dataset,
    validation: Dataset | None,
    selection: Selection,
    recipe: Recipe,
    source: str,
    sha256: str | None,
    samples: Sequence[Sample],
    limit: int | None,
    way: ExecutionOptions,
    command: Sequence[str] | None,
) -> TrainingRecord:
    """The record of a training that begins, with the id that follows from it."""
    applied = msgspec.to_builtins(recipe)
    not_applied = applied.pop("not_applied")
    published = msgspec.to_builtins(hooks.published_recipe(method, dataset.name, dataset.keypoints))
    plugin = plugins.installed("method").get(method.name)
    origin = plugin.origin if isinstance(plugin, plugins.Plugin) else type(method).__module__
    settings = settings_as_values(method.settings, f"{method.name}: settings")
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
        "processes": way.place.world_size,
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
        processes=way.place.world_size,
        precision=way.precision,
        compiled=way.compiled,
        deterministic=way.deterministic,
        seed=way.seed,
        device=str(way.device),
        versions=machine.versions(method.tracked_packages),
        host=machine.host(way.device),
        command=list(command if command is not None else sys.argv),
        started=utc_now(),
        warnings=[*dataset.corrections, *dataset.warnings],
    )
