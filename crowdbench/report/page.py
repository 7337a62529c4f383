"""The report: `PageData` → one HTML file of a bounded size."""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crowdbench.report.charts import Slice, drawn, run_classes, slices
from crowdbench.report.compression import Packed
from crowdbench.report.data import KINDS, Errors, PageData, RunPart
from crowdbench.report.gallery import _drawn_sections, _DrawnSection, _fitting, _packed, _with_images
from crowdbench.report.html import percent, rendered
from crowdbench.report.jpegs import encode_all

MOST_BYTES = 10_000_000
"""Size limit of a page; images are shrunk, and finally dropped, to stay below it."""

SHOWN_FIRST = 4
"""Runs that a page with many shows until the reader selects others."""

# What poses and tables may take of a page; the rest is for images.
_MOST_TEXT = 0.75
_ATTEMPTS = 6

MEANINGS = {
    "good": "where it belongs",
    "jitter": "near, not exact",
    "inversion": "left and right exchanged",
    "swap": "on another person",
    "miss": "far from everything",
}
_GAIN_NAMES = {"score": "scores", "background": "false persons", "not found": "persons missed"}
_SPEED_WORDS = frozenset({"device", "precision", "machine"})


@dataclass(frozen=True)
class _Run:
    """A run as the template needs it."""

    part: RunPart
    label: str
    classes: str
    shown: bool
    cells: tuple["_Cell", ...]
    interval: str
    speed: Mapping[str, str]


@dataclass(frozen=True)
class _Cell:
    text: str
    best: bool = False


def report_html(data: PageData, most_bytes: int = MOST_BYTES) -> bytes:
    """Write the page.

    Args:
        data: its content.
        most_bytes: its maximum size. If tables and poses alone exceed it, images are left out from the end
            of every part of the gallery, and the page says how many.
    """
    shown = _shown_first(data)
    sections = _drawn_sections(data)
    kept = _fitting(sections, shown, int(most_bytes * _MOST_TEXT))
    left_out = sum(len(s.pictures) for s in sections) - sum(len(s.pictures) for s in kept)
    if left_out:
        note = f"{left_out} images are left out: the page would be too large."
        data = replace(data, notes=(*data.notes, note))
    packed = _packed(kept, shown, labels_of(data.runs))
    bare = _page(data, kept, shown, packed)
    pictures = [picture for section in kept for picture in section.pictures]
    room = most_bytes - len(bare) - 1000
    page = b""
    for _ in range(_ATTEMPTS):
        found = encode_all([picture.picture for picture in pictures], len(pictures), room)
        page = _page(data, _with_images(kept, found), shown, packed)
        if len(page) <= most_bytes:
            break
        # The length of error messages is unknown, and a smaller image is not always a smaller file.
        room -= 2 * (len(page) - most_bytes)
    return page


def _shown_first(data: PageData) -> frozenset[int]:
    """The best runs. They are there without a script; the others' poses are packed until selected."""
    by_ap = sorted(range(len(data.runs)), key=lambda index: -data.runs[index].scores.get("AP", -1.0))
    return frozenset(by_ap[:SHOWN_FIRST])


def labels_of(runs: Sequence[RunPart]) -> list[str]:
    """A unique label per run: the method, with the run's id if a method has several runs."""
    counts = Counter(run.method for run in runs)
    return [run.method if counts[run.method] == 1 else f"{run.method} {run.id}" for run in runs]


def _page(
    data: PageData,
    sections: Sequence[_DrawnSection],
    shown: Collection[int],
    packed: Sequence[Packed],
) -> bytes:
    runs = _runs(data, shown)
    errors = [
        _drawn_errors(index, run.errors) for index, run in enumerate(data.runs) if run.errors is not None
    ]
    title = f"{runs[0].label} on" if len(runs) == 1 else f"{len(runs)} runs on"
    speed_names = list(dict.fromkeys(name for run in data.runs for name, _ in run.speed))
    together = next((run.errors.together for run in data.runs if run.errors and run.errors.together), {})
    gains = _gain_kinds(data)
    return rendered(
        "report.html",
        switches=_switches(len(runs)),
        title=f"{title} {data.dataset} {data.split}{f', {data.extent}' if data.extent else ''}",
        subtitle=f"{data.keypoints.count} keypoints · made by {data.made_by}" if data.made_by else "",
        contents=_contents(data, bool(errors), sections),
        data=data,
        protocol_of_some=_protocol_of_some(data.runs),
        runs=runs,
        rankable=not data.notes_against_ranking,
        tiles=_tiles(data.runs[0]),
        statistics=_statistics(data),
        any_interval=any(run.interval for run in data.runs),
        charts=[drawn(chart) for chart in data.charts],
        errors=errors,
        any_gain=bool(gains),
        gains=[_GAIN_NAMES.get(kind, kind) for kind in gains],
        together_order=", ".join(_GAIN_NAMES.get(kind, kind) for kind in together),
        kinds=KINDS,
        meanings=MEANINGS,
        keypoint_names=data.keypoints.keypoints,
        speed_names=speed_names,
        speed_words=_SPEED_WORDS,
        sections=sections,
        shown=shown,
        packed=packed,
        any_marks=any(
            pose.kinds
            for section in data.gallery
            for picture in section.pictures
            for panel in picture.panels
            for pose in panel.poses
        ),
    )


def _switches(runs: int) -> dict[str, str]:
    layers = ("image", "true", "predicted", "marks")
    return {
        # Inherited, as selectors do not reach into what <use> shows.
        **{f"show-{layer}": f"{{--show-{layer}:none}}" for layer in layers},
        **{f"run-{run}": f".r{run}{{display:none}}" for run in range(runs)},
    }


def _contents(
    data: PageData, any_errors: bool, sections: Sequence[_DrawnSection]
) -> Iterator[tuple[str, str]]:
    yield from (("summary", "Summary"), ("protocol", "Protocol"))
    if data.charts:
        yield "curves", "Curves"
    if any_errors:
        yield from (("errors", "Kinds of error"), ("keypoints", "Keypoints"))
    yield "speed", "Speed"
    if sections:
        yield "gallery", "Gallery"
    yield "provenance", "Provenance"


# --- Runs and their figures


def _statistics(data: PageData) -> list[str]:
    return list(dict.fromkeys(name for run in data.runs for name in run.scores))


def _runs(data: PageData, shown: Collection[int]) -> list[_Run]:
    names = _statistics(data)
    best = {name: max(run.scores.get(name, -1.0) for run in data.runs) for name in names}
    return [
        _Run(
            part=part,
            label=label,
            classes=run_classes(index),
            shown=index in shown,
            cells=tuple(
                _Cell(
                    percent(value),
                    not data.notes_against_ranking
                    and len(data.runs) > 1
                    and value >= 0
                    and percent(value) == percent(best[name]),
                )
                for name in names
                for value in [part.scores.get(name, -1.0)]
            ),
            interval=_interval(part),
            speed=dict(part.speed),
        )
        for index, (part, label) in enumerate(zip(data.runs, labels_of(data.runs), strict=True))
    ]


def _protocol_of_some(runs: Sequence[RunPart]) -> list[tuple[str, str]]:
    """Sentences that are true of some runs only, each once, with the labels of those runs."""
    said: dict[str, list[str]] = {}
    for run, label in zip(runs, labels_of(runs), strict=True):
        for sentence in (*run.protocol, *(f"Warning: {warning}" for warning in run.warnings)):
            said.setdefault(sentence, []).append(label)
    return [(", ".join(labels), sentence) for sentence, labels in said.items()]


def _interval(run: RunPart) -> str:
    return "–".join(map(percent, run.interval)) if run.interval else ""


def _tiles(run: RunPart) -> list[tuple[str, str, str]]:
    tiles = [
        (
            name.replace("_", " "),
            percent(value),
            f"95 %: {_interval(run)}" if name == "AP" and run.interval else "",
        )
        for name, value in run.scores.items()
    ]
    speed = dict(run.speed)
    pace = next((name for name in ("persons a second", "images a second") if name in speed), None)
    if pace:
        tiles.append((pace, speed[pace], speed.get("machine", "")))
    return tiles


# --- Errors


def _gain_kinds(data: PageData) -> list[str]:
    return list(dict.fromkeys(kind for run in data.runs if run.errors for kind in run.errors.alone))


def _drawn_errors(run: int, errors: Errors) -> dict[str, Any]:
    kinds = list(errors.alone)
    rows = [_drawn_kinds(name, counts) for name, counts in errors.by_keypoint.items()]
    return {
        "run": run,
        **_drawn_kinds("", errors.keypoints),
        "missed": "–" if errors.false_negatives is None else errors.false_negatives,
        "false": "–" if errors.false_positives is None else errors.false_positives,
        "alone": [_points(errors.alone.get(kind)) for kind in kinds],
        "together": [_points(errors.together.get(kind)) for kind in kinds],
        "advice": errors.advice,
        "any_together": bool(errors.together),
        "rows": rows,
        "good_by_keypoint": {row["name"]: row["shares"][0] for row in rows},
    }


def _points(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:+.1f}"


def _drawn_kinds(name: str, counts: Mapping[str, int]) -> dict[str, Any]:
    total = sum(counts.get(kind, 0) for kind in KINDS)
    shares = [f"{100 * counts.get(kind, 0) / total:.1f}" if total else "–" for kind in KINDS]
    parts: list[Slice] = slices(dict(counts))
    words = ", ".join(f"{kind} {share} %" for kind, share in zip(KINDS, shares, strict=True))
    return {"name": name, "total": total, "shares": shares, "slices": parts, "words": words}
