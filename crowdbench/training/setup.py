"""The setup of a training: its images, its options on this machine, and its record."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from crowdbench import plugins
from crowdbench.api.dataset import Dataset
from crowdbench.api.method import NetworkMethod
from crowdbench.api.recipe import OLD_NAMES, Recipe
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
    """How a training runs on this machine.

    Attributes:
        process: this process among those that share the training.
        workers: loader processes of this process.
        save_every_s: seconds between two checkpoints within an epoch.
    """

    process: ProcessInfo
    device: "torch.device"
    precision: Precision
    compiled: bool
    deterministic: bool
    seed: int
    workers: int
    save_every_s: float


@dataclass(frozen=True)
class TrainingSetup:
    """What a training is made from.

    Attributes:
        method: configured for `dataset`.
        dataset: the split to train on.
        validation: the split to score; None for none.
        samples: the images of `dataset` to train on.
        recipe: how to train.
        options: how to run it on this machine.
        start: the file of the weights to start from; None for random ones.
    """

    method: NetworkMethod
    dataset: Dataset
    validation: Dataset | None
    samples: Sequence[Sample]
    recipe: Recipe
    options: ExecutionOptions
    start: Path | None


def loader_workers(process: ProcessInfo) -> int:
    """The default number of loader processes: half of this process's CPUs, at most 8."""
    return min(8, max(1, available_cpus(os.environ, process) // 2))


def trainable_samples(dataset: Dataset, limit: int | None, min_keypoints: int) -> list[Sample]:
    """The images with enough labelled keypoints; raises SettingsError without any, or with detected boxes."""
    if not dataset.has_annotations:
        raise SettingsError(f"{dataset.name} {dataset.split} has no annotations to train on.")
    if dataset.boxes.label != "gt":
        raise SettingsError("training takes ground-truth boxes: a detection has no keypoints to learn from.")
    images = image_count(dataset)
    samples = samples_of(dataset, images if limit is None else min(limit, images))
    found = [
        sample
        for sample in samples
        if sum(np.count_nonzero(i.keypoints[:, 2] > 0) for i in sample.instances) >= min_keypoints
    ]
    if not found:
        raise SettingsError(
            f"{dataset.name} {dataset.split}: no image has {min_keypoints} labelled keypoints."
        )
    return found


def new_record(
    setup: TrainingSetup,
    selection: Selection,
    start: Weights,
    limit: int | None,
    command: Sequence[str] | None,
) -> TrainingRecord:
    """The record of a new training, with its id.

    Args:
        setup: what the training is made from.
        selection: how the best weights are chosen.
        start: where the initial weights come from.
        limit: the number of images that both splits were cut to; None for all.
        command: None takes this process's.
    """
    method, dataset, validation, options = setup.method, setup.dataset, setup.validation, setup.options
    applied = _recorded(setup.recipe)
    not_applied = applied.pop("not_applied")
    published = _recorded(hooks.published_recipe(method, dataset.name, dataset.keypoints))
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
        "start": start.sha256,
        "processes": options.process.world_size,
        "seed": options.seed,
        "precision": options.precision,
        "compiled": options.compiled,
        "device": options.device.type,
    }
    return TrainingRecord(
        id=training_identity(facts),
        method=method.name,
        method_origin=origin,
        state="running",
        dataset=dataset.name,
        split=dataset.split,
        annotations=annotations,
        images=len(setup.samples),
        limit=limit,
        settings=settings,
        recipe=applied,
        changed_recipe={name: value for name, value in applied.items() if value != published.get(name)},
        not_applied=not_applied,
        selection=selection,
        validation_split=validation.split if validation else None,
        start=start,
        started_tensors=0,
        parameters=0,
        processes=options.process.world_size,
        precision=options.precision,
        compiled=options.compiled,
        deterministic=options.deterministic,
        seed=options.seed,
        device=str(options.device),
        versions=machine.versions(method.tracked_packages),
        host=machine.host(options.device),
        command=list(command if command is not None else sys.argv),
        started=utc_now(),
        warnings=[*dataset.corrections, *dataset.warnings],
    )


def _recorded(recipe: Recipe) -> dict[str, Any]:
    """A recipe by the names of records and ids, which stay, so that earlier trainings are found."""
    names = {new: old for old, new in OLD_NAMES.items()}
    values = {names.get(name, name): value for name, value in msgspec.to_builtins(recipe).items()}
    if recipe.batch_norm == "synchronized":
        values["batch_norm"] = "synchronised"
    return values
