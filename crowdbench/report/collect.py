"""Collect the data of a report from runs."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from crowdbench.errors import InputError
from crowdbench.report.collect_gallery import _gallery, _Measured
from crowdbench.report.data import KINDS, Chart, Errors, Line, PageData, RunPart
from crowdbench.report.run_facts import protocol_sentences, provenance, speed
from crowdbench.run_store.integrity import doubt_about
from crowdbench.run_store.record import extent_of_run
from crowdbench.run_store.run import Run
from crowdbench.system.text import sentence
from crowdbench.system.version import package_version

if TYPE_CHECKING:
    from crowdbench.analysis import Analysis, ErrorSummary
    from crowdbench.api.dataset import Dataset
    from crowdbench.scoring.matching import Matches

_TENTHS = tuple((n / 10, f"{n / 10:g}") for n in range(0, 11, 2))
THRESHOLDS = (0.5, 0.75)
"""OKS thresholds of the precision-recall curves."""

# A level of crowding with fewer images says nothing.
_FEWEST_IMAGES = 5


def report_data(
    runs: Sequence[Run],
    dataset: "Dataset | None" = None,
    *,
    pictures: int = 12,
    seed: int = 0,
    command: str = "",
    on_progress: Callable[[str], None] | None = None,
) -> PageData:
    """Collect what a report of some runs shows.

    Args:
        runs: done, on the same images of the same dataset. One that is named twice is shown once.
        dataset: that they were measured on; None opens it as the records name it.
        pictures: images in each part of the gallery.
        seed: of those that are drawn at random.
        command: that made the page.
        on_progress: called with what is being done.

    Raises:
        InputError: no run, one that is not done, or runs of different images.
        MissingDataError: the dataset, or predictions, are not there.
    """
    runs = list({run.directory.resolve(): run for run in runs}.values())
    _require_equal_images(runs)
    if dataset is None:
        from crowdbench.scoring.run_inputs import reopen_dataset

        dataset = reopen_dataset(runs[0].record.protocol)
    report = on_progress or (lambda _: None)
    measured = []
    for run in runs:
        report(f"{run.record.method} {run.record.id}")
        measured.append(_measured(run, dataset))
    sentences = [protocol_sentences(run.record) for run in runs]
    common = tuple(s for s in sentences[0] if all(s in of_run for of_run in sentences))
    report("images")
    return PageData(
        dataset=dataset.name,
        split=runs[0].record.protocol.split,
        extent=extent_of_run(runs[0].record).words,
        keypoints=dataset.keypoints,
        runs=tuple(
            _run_part(run, it, [s for s in of_run if s not in common])
            for run, it, of_run in zip(runs, measured, sentences, strict=True)
        ),
        protocol=common,
        notes=tuple(
            sentence(f"The scores of {run.record.method} {run.record.id} are in doubt: {doubt}")
            for run in runs
            for doubt in run.record.doubts
        ),
        notes_against_ranking=tuple(_against_ranking(runs)),
        charts=tuple(_charts(measured)),
        gallery=_gallery(measured, dataset, pictures, seed) if pictures else (),
        made_by=f"crowdbench {package_version()}",
        command=command,
    )


def _require_equal_images(runs: Sequence[Run]) -> None:
    if not runs:
        raise InputError("no run: name the folder of at least one.")
    for run in runs:
        if run.record.state != "done" or run.record.scores is None:
            raise InputError(
                f"{run.directory}: the run is {run.record.state} and has no scores. "
                "Run the same command again to resume."
            )
        doubt = doubt_about(run)
        if doubt is not None:
            raise InputError(doubt)
    first = runs[0].record.protocol
    for run in runs[1:]:
        other = run.record.protocol
        for name in ("dataset", "split", "annotations", "images"):
            if getattr(first, name) != getattr(other, name):
                raise InputError(
                    f"{runs[0].directory} and {run.directory} are of different images: {name} "
                    f"{getattr(first, name)} and {getattr(other, name)}.\n"
                    "A page shows runs side by side on the same images; make one for each."
                )


def _against_ranking(runs: Sequence[Run]) -> list[str]:
    boxes = list(dict.fromkeys(run.record.protocol.boxes for run in runs))
    if len(boxes) == 1:
        return []
    sources = {"gt": "annotated boxes", "none": "no boxes"}
    named = ", ".join(sources.get(it, it.replace("detector:", "boxes of detector file ")) for it in boxes)
    return [
        f"These runs may not be ranked against each other: their boxes have different "
        f"sources ({named}). A method that is given boxes has an easier task than one that finds persons."
    ]


def _measured(run: Run, dataset: "Dataset") -> _Measured:
    from crowdbench.analysis import analyse
    from crowdbench.analysis.bootstrap import interval, stored_interval
    from crowdbench.scoring.matching import match
    from crowdbench.scoring.run_inputs import load_run_problem

    problem = load_run_problem(run, dataset)
    matches = match(problem)
    bounds = stored_interval(run, compute=False) or interval(matches)
    return _Measured(
        problem,
        matches,
        analyse(run, dataset),
        (bounds.low, bounds.high) if bounds.low >= 0 else None,
    )


def _run_part(run: Run, measured: _Measured, protocol: Sequence[str]) -> RunPart:
    return RunPart(
        method=run.record.method,
        id=run.record.id,
        directory=str(run.directory),
        scores=run.record.scores or {},
        interval=measured.interval,
        protocol=tuple(protocol),
        speed=speed(run),
        provenance=provenance(run),
        errors=_errors(measured.analysis),
        warnings=tuple(run.record.warnings),
    )


def _errors(analysis: "Analysis") -> Errors:
    whole = analysis.whole

    def gained(after: float, before: float) -> float:
        return math.nan if after < 0 or before < 0 else 100 * (after - before)

    steps = [whole.ap, *whole.cumulative.values()]
    return Errors(
        keypoints={kind: whole.total(kind) for kind in KINDS},
        by_keypoint={
            name: {kind: whole.kinds[kind][index] for kind in KINDS}
            for index, name in enumerate(analysis.keypoints)
        },
        alone={name: gained(after, whole.ap) for name, after in whole.alone.items()},
        together={
            name: gained(after, before)
            for name, before, after in zip(whole.cumulative, steps, steps[1:], strict=False)
        },
        false_positives=whole.background,
        false_negatives=whole.not_found,
        advice=analysis.advice,
    )


# --- Curves


def _charts(measured: Sequence[_Measured]) -> list[Chart]:
    charts = [
        Chart(
            title=f"Precision over recall at OKS {threshold:g}",
            x_label="recall",
            y_label="precision",
            lines=tuple(_precision_line(run, it.matches, threshold) for run, it in enumerate(measured)),
            x_range=(0, 1),
            y_top=1,
            x_ticks=_TENTHS,
        )
        for threshold in THRESHOLDS
    ]
    return [*charts, *_crowding_chart(measured)]


def _precision_line(run: int, matches: "Matches", threshold: float) -> Line:
    recall, precision = matches.precision_recall(threshold)
    # Past the highest recall precision is 0 by definition: one step down, and no line along the axis.
    last = int(np.flatnonzero(precision > 0)[-1]) + 1 if (precision > 0).any() else 0
    x, y = recall[:last].tolist(), precision[:last].tolist()
    if 0 < last < len(recall):
        x, y = [*x, x[-1]], [*y, 0.0]
    return Line(run, tuple(x), tuple(y))


def _crowding_chart(measured: Sequence[_Measured]) -> list[Chart]:
    parts = measured[0].analysis.bins
    chosen = [index for index, part in enumerate(parts) if part.images >= _FEWEST_IMAGES and part.ap >= 0]
    if len(chosen) < 2:
        return []
    places = [_place(parts[index]) for index in chosen]
    centres = tuple(centre for centre, _ in places)
    lines = tuple(
        Line(
            run,
            centres,
            tuple(
                100 * part.ap if part.ap >= 0 else math.nan for part in (it.analysis.bins[i] for i in chosen)
            ),
        )
        for run, it in enumerate(measured)
    )
    images = [parts[index].images for index in chosen]
    measure = measured[0].analysis.measure
    return [
        Chart(
            title=f"AP over {measure}",
            x_label=f"{measure} of the images",
            y_label="AP",
            lines=lines,
            x_range=(0, max(1.0, centres[-1] + 0.05)),
            y_top=100,
            x_ticks=tuple(places),
            dots=True,
            note=f"Images in each tenth, from the left: {', '.join(map(str, images))}. Tenths of fewer than "
            f"{_FEWEST_IMAGES} images are left out.",
        )
    ]


def _place(part: "ErrorSummary") -> tuple[float, str]:
    """Where a tenth stands on the axis, and its label."""
    low = part.low or 0.0
    if part.high is None or not math.isfinite(part.high):
        return low + 0.05, f"≥{low:g}"
    return (low + part.high) / 2, f"{(low + part.high) / 2:.2f}".removeprefix("0")
