"""Execute a request in this process, or this process's share of it."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crowdbench.api.boxes import box_source
from crowdbench.api.dataset import Dataset, dataset_class, find_split, load_dataset
from crowdbench.api.load_method import load_method, refuse_network_options
from crowdbench.api.method import NetworkMethod
from crowdbench.api.option_limits import require_options
from crowdbench.engine.box_use import require_boxes_fit
from crowdbench.engine.network import resolve_method_weights
from crowdbench.engine.progress import EvaluationProgress
from crowdbench.errors import SettingsError
from crowdbench.evaluation.evaluate import evaluate
from crowdbench.jobs.preflight import find_annotations
from crowdbench.jobs.request import EvaluationRequest, Request, TrainingRequest
from crowdbench.run_store.run import Run
from crowdbench.scoring.common_keypoints import common_keypoints
from crowdbench.weights import Transfer, resolve_weights

if TYPE_CHECKING:
    from crowdbench.api.recipe import Recipe
    from crowdbench.training import TrainingProgress, TrainingRun

OnProgress = Callable[["EvaluationProgress | TrainingProgress | Transfer"], None]
OnStart = Callable[[Path], None]


def run_evaluation(
    request: EvaluationRequest, on_progress: OnProgress | None = None, on_start: OnStart | None = None
) -> Run:
    """Run a requested evaluation in this process, or this process's share of it."""
    dataset = _opened(request)
    common = common_keypoints(request.keypoints, request.dataset)
    if common is not None:
        dataset = dataset.on_keypoints(common.names)
    return evaluate(
        load_method(request.method, dataset if common is None else common.other, **request.settings),
        dataset,
        made_for=None if common is None else common.other,
        weights=request.weights,
        out=request.out,
        command=request.command or None,
        on_progress=on_progress,
        on_start=on_start,
        **dataclasses.asdict(request.evaluation_options()),
    )


def _opened(request: EvaluationRequest) -> Dataset:
    if request.crowding is None:
        return load_dataset(
            request.dataset,
            split=request.split,
            root=request.root,
            boxes=box_source(request.boxes, request.box_score),
            annotations=request.annotations,
        )
    if request.root is not None or request.annotations is not None:
        raise SettingsError(
            "crowding: the scenes of a level are drawn, not read. Leave --root and --annotations out."
        )
    cls, split = dataset_class(request.dataset), find_split(request.dataset, request.split)
    return cls.at_crowding(request.crowding, split, box_source(request.boxes, request.box_score))


@dataclass(frozen=True)
class Trained:
    """A training, and the evaluation of its weights if it was asked for."""

    training: "TrainingRun"
    run: Run | None


def run_training(
    request: TrainingRequest,
    on_progress: OnProgress | None = None,
    on_start: OnStart | None = None,
    stopping: Callable[[], bool] = lambda: False,
    on_trained: Callable[["TrainingRun"], None] | None = None,
) -> Trained:
    """Train, then evaluate the weights.

    Args:
        request: the request.
        on_progress, on_start, stopping: see `crowdbench.training.train`.
        on_trained: called with the training before its weights are evaluated.

    Raises:
        SettingsError: the request cannot be fulfilled.
        CrowdbenchError: the training or the evaluation failed.
    """
    from crowdbench.training import train

    _, recipe = resolve_training(request)
    reported = dataset_class(request.dataset).default_split
    validation = _validation_split(request, recipe, reported)
    data = load_dataset(request.dataset, split=request.split or recipe.split, root=request.root)
    method = load_method(request.method, data, **request.settings)
    assert isinstance(method, NetworkMethod)
    training = train(
        method,
        data,
        validation=load_dataset(request.dataset, split=validation, root=request.root) if validation else None,
        selection="test" if request.select_on_test else "validation",
        recipe=recipe,
        start=request.start,
        out=request.out,
        limit=request.limit,
        workers=request.workers,
        seed=request.seed,
        device=request.device,
        precision=request.precision,
        compiled=request.compiled,
        deterministic=request.deterministic,
        save_every_s=request.save_every_s,
        trackers=request.trackers,
        command=request.command or None,
        on_progress=on_progress,
        on_start=on_start,
        stopping=stopping,
    )
    if on_trained is not None:
        on_trained(training)
    if not request.evaluated:
        return Trained(training, None)
    run = evaluate(
        method,
        load_dataset(request.dataset, root=request.root),
        weights=training.weights,
        out=request.out,
        limit=request.limit,
        workers=request.workers,
        device=request.device,
        precision=request.precision,
        on_progress=on_progress,
        on_start=on_start,
    )
    return Trained(training, run)


def resolve_training(request: TrainingRequest) -> "tuple[NetworkMethod, Recipe]":
    """The method, and its recipe with the requested changes; reads no data.

    Raises:
        SettingsError: the method cannot be trained, or not as requested.
        UnknownNameError: no such method or dataset.
    """
    from crowdbench.training import recipe_with

    method = load_method(request.method, request.dataset, **request.settings)
    if not isinstance(method, NetworkMethod):
        raise SettingsError(f"{request.method} has no network to train.")
    recipe = recipe_with(method, request.dataset, request.recipe)
    _validation_split(request, recipe, dataset_class(request.dataset).default_split)
    return method, recipe


def preflight(request: Request, on_progress: OnProgress | None = None) -> None:
    """Raise here what would fail elsewhere, and download weights, which other machines may not reach."""
    batch_size = request.batch_size if isinstance(request, EvaluationRequest) else None
    require_options(
        seed=request.seed,
        limit=request.limit,
        batch_size=batch_size,
        workers=request.workers,
        save_every_s=request.save_every_s,
    )
    find_annotations(request.dataset, find_split(request.dataset, request.split), request.root)
    if isinstance(request, EvaluationRequest):
        common = common_keypoints(request.keypoints, request.dataset)
        made_for = request.dataset if common is None else common.other
        method = load_method(request.method, made_for, **request.settings)
        refuse_network_options(type(method), method.name, request.precision, request.compiled)
        require_boxes_fit(method.name, method.paradigm, box_source(request.boxes, request.box_score))
        resolve_method_weights(method, made_for, request.weights, on_progress)
        return
    method, recipe = resolve_training(request)
    resolve_weights(
        request.start if request.start is not None else recipe.start or "none",
        method=method.name,
        dataset=request.dataset,
        whole=False,
        on_progress=on_progress,
    )


def _validation_split(request: TrainingRequest, recipe: "Recipe", reported: str) -> str | None:
    """Return the split to validate on; it is the reported one only if that was requested."""
    asked = request.validate_on
    if request.select_on_test:
        if asked not in (None, reported):
            raise SettingsError(f"--select-on-test chooses by {reported}; leave out --validate-on.")
        return reported
    split = asked if asked is not None else recipe.validation_split
    if split == "none":
        return None
    if split == reported:
        raise SettingsError(
            f"{reported} is the split that is reported; choosing weights by it makes its score look better "
            "than it is. Choose another with --validate-on, or say --select-on-test, which is recorded."
        )
    return split
