"""An analysis, or several side by side, as tables for the terminal."""

from collections.abc import Callable, Mapping, Sequence

from tabulate import SEPARATING_LINE, tabulate

from crowdbench.analysis.keypoint_errors.corrections import (
    BACKGROUND,
    CORRECTIONS,
    CUMULATIVE,
    NOT_FOUND,
    SCORE,
)
from crowdbench.analysis.keypoint_errors.error_types import ERRORS, KINDS
from crowdbench.analysis.keypoint_errors.result import Analysis, ErrorSummary

Row = list[str]


def one(title: str, analysis: Analysis) -> str:
    """The tables and advice of one analysis."""
    whole = analysis.whole
    return "\n\n".join(
        [
            f"{title}: AP {_percent(whole.ap)}",
            _corrections(whole),
            _of_keypoints(analysis),
            _of_crowding(analysis),
            analysis.advice,
        ]
    )


def side_by_side(analyses: Mapping[str, Analysis]) -> str:
    """Several analyses by title: what is of each kind, what each would gain, and both by crowding."""
    wholes = [analysis.whole for analysis in analyses.values()]
    heads = list(analyses)
    shares = [[kind, *(_share(part.share(kind)) for part in wholes)] for kind in KINDS]
    shares += [
        [BACKGROUND, *(_share(_ratio(part.background, part.predictions)) for part in wholes)],
        [NOT_FOUND, *(_share(_ratio(part.not_found, part.persons)) for part in wholes)],
    ]
    gains = [["AP", *(_percent(part.ap) for part in wholes)]]
    gains += [[name, *(_gain(part.gain(name)) for part in wholes)] for name in CORRECTIONS]
    blocks = [
        _table(["% of keypoints", *heads], shares),
        _table(["AP gained alone", *heads], gains),
    ]
    if len({tuple(analysis.keypoints) for analysis in analyses.values()}) == 1:
        names = next(iter(analyses.values())).keypoints
        rows = [
            [name, *(_share(_wrong_share(part, place)) for part in wholes)]
            for place, name in enumerate(names)
        ]
        blocks.append(_table(["% not good", *heads], rows))
    if len({(a.measure, tuple(p.name for p in a.levels)) for a in analyses.values()}) == 1:
        blocks += _levels_side_by_side(analyses)
    if len({(a.annotations_sha256, a.whole.images) for a in analyses.values()}) > 1:
        blocks.append(
            "Not all of these were measured on the same images, so their errors and gains are not comparable."
        )
    blocks.append("\n".join(f"{head}: {analysis.advice}" for head, analysis in analyses.items()))
    return "\n\n".join(blocks)


def _levels_side_by_side(analyses: Mapping[str, Analysis]) -> list[str]:
    first = next(iter(analyses.values()))
    columns: list[tuple[str, Callable[[ErrorSummary], str]]] = [("AP", lambda part: _percent(part.ap))]
    columns += [(f"% {kind}", _share_of(kind)) for kind in ERRORS]
    rows = []
    for place, level in enumerate(first.levels):
        parts = [analysis.levels[place] for analysis in analyses.values()]
        rows += [
            [level.name if number == 0 else "", name, *map(show, parts)]
            for number, (name, show) in enumerate(columns)
        ]
    return [_table([first.measure, "", *analyses], rows)]


def _corrections(whole: ErrorSummary) -> str:
    rows = []
    for kind in CUMULATIVE:
        rows.append([kind, str(whole.total(kind)), _share(whole.share(kind)), *_after(whole, kind)])
        rows[-1].append(_percent(whole.cumulative[kind]))
    rows.append(["good", str(whole.total("good")), _share(whole.share("good")), "", "", ""])
    beside = (
        (BACKGROUND, whole.background, _ratio(whole.background, whole.predictions)),
        (NOT_FOUND, whole.not_found, _ratio(whole.not_found, whole.persons)),
    )
    for name, count, share in beside:
        rows.append([name, str(count), _share(share), *_after(whole, name), ""])
    rows.append([SCORE, "", "", *_after(whole, SCORE), ""])
    table = _table(["", "found", "%", "AP if corrected", "gain", "AP, one after the other"], rows)
    return (
        f"{table}\n\nOf {whole.labelled} labelled keypoints of {whole.persons - whole.not_found} matched "
        f"persons; {BACKGROUND}: of {whole.predictions} predictions; {NOT_FOUND}: of {whole.persons} persons."
    )


def _after(part: ErrorSummary, name: str) -> Row:
    return [_percent(part.alone[name]), _gain(part.gain(name))]


def _of_keypoints(analysis: Analysis) -> str:
    rows = []
    for place, name in enumerate(analysis.keypoints):
        labelled = _labelled(analysis.whole, place)
        shares = [_ratio(analysis.whole.kinds[kind][place], labelled) for kind in KINDS]
        rows.append([name, str(labelled), *map(_share, shares)])
    return _table(["", "labelled", *(f"% {kind}" for kind in KINDS)], rows)


def _of_crowding(analysis: Analysis) -> str:
    """Shares, then gains: in one table they would be wider than a terminal."""
    shares = [analysis.measure, "images", *(f"% {kind}" for kind in ERRORS), "% background", "% not found"]
    gains = [analysis.measure, "AP", *(f"+ {name}" for name in CORRECTIONS)]
    return "\n\n".join(
        _table(heads, [*map(row, analysis.levels), SEPARATING_LINE, *map(row, analysis.bins)])
        for heads, row in ((shares, _shares), (gains, _gains))
    )


def _shares(part: ErrorSummary) -> Row:
    return [
        part.name,
        str(part.images),
        *(_share(part.share(kind)) for kind in ERRORS),
        _share(_ratio(part.background, part.predictions)),
        _share(_ratio(part.not_found, part.persons)),
    ]


def _gains(part: ErrorSummary) -> Row:
    return [part.name, _percent(part.ap), *(_gain(part.gain(name)) for name in CORRECTIONS)]


def _share_of(kind: str) -> Callable[[ErrorSummary], str]:
    return lambda part: _share(part.share(kind))


def _labelled(part: ErrorSummary, place: int) -> int:
    return sum(counts[place] for counts in part.kinds.values())


def _wrong_share(part: ErrorSummary, place: int) -> float | None:
    labelled = _labelled(part, place)
    return _ratio(labelled - part.kinds["good"][place], labelled)


def _ratio(count: int, of: int) -> float | None:
    return count / of if of else None


def _table(heads: Sequence[str], rows: Sequence[Row | str]) -> str:
    text = sum(1 for head in heads[1:] if not head)
    align = ("left", *["left"] * text, *["right"] * (len(heads) - 1 - text))
    return tabulate(rows, headers=heads, colalign=align if rows else None, disable_numparse=True)


def _percent(value: float) -> str:
    # -1 means that the ground truth has no such person.
    return "none" if value < 0 else f"{100 * value:.1f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _gain(value: float | None) -> str:
    return "" if value is None else f"{100 * value:+.1f}"
