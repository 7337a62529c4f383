"""Build leaderboard tables from runs and published results; only comparable ones are ranked together."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from crowdbench.api.boxes import DETECTOR
from crowdbench.api.extent import Extent
from crowdbench.errors import PluginError
from crowdbench.leaderboard.formats import to_markdown, to_text
from crowdbench.leaderboard.published import PublishedResult, all_published
from crowdbench.leaderboard.published_match import (
    NO_CLAIMS,
    DetectorAliases,
    box_source_of,
    find_published,
)
from crowdbench.leaderboard.rows import COLUMNS, ONLY_WITH_PUBLISHED, row_from_published, row_from_run
from crowdbench.leaderboard.table import (
    BOX_SOURCES,
    Column,
    LeaderboardTable,
    Row,
    best_cells,
    doubt_notes,
    nonempty_columns,
    overlap_note,
)
from crowdbench.run_store.integrity import believed
from crowdbench.run_store.record import Protocol, comparable, extent_of_run
from crowdbench.run_store.run import Run
from crowdbench.system.text import plain

__all__ = ["LeaderboardTable", "build_leaderboard", "comparable", "to_markdown", "to_text"]

log = logging.getLogger("crowdbench")
# Dataset, split, source of boxes (None if not stated), and in that case the protocol as published.
_Place = tuple[str, str, str | None, str]


@dataclass
class _Group:
    """The runs and published rows of one table."""

    protocol: Protocol | None = None
    extent: Extent | None = None
    runs: list[Run] = field(default_factory=list)
    rows: list[PublishedResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def build_leaderboard(
    runs: Sequence[Run],
    published: Sequence[PublishedResult] = (),
    *,
    claims: DetectorAliases = NO_CLAIMS,
    intervals: bool = False,
    complexity: bool = False,
) -> list[LeaderboardTable]:
    """Group finished, scored runs and published figures by comparable protocol; sort each group by AP.

    A run whose files were changed afterwards is left out, with a warning.

    Published results do not state their annotation file. They join the runs of their dataset, split and
    source of boxes if those cover the published split with a single annotation file. Otherwise they get a
    table of their own.

    Args:
        runs: in any order.
        published: published results to show. Differences to published AP are shown in any case.
        claims: the user's names for detectors.
        intervals: compute AP intervals that are not stored.
        complexity: count parameters and operations that are not stored.
    """
    runs, doubts = believed(runs)
    for doubt in doubts:
        log.warning("%s", plain(doubt))
    groups: dict[tuple[object, ...], _Group] = {}
    for run in runs:
        if run.record.state == "done" and run.record.scores:
            protocol = run.record.protocol
            extent = extent_of_run(run.record)
            group = groups.setdefault(comparable(protocol), _Group(protocol, extent))
            group.runs.append(run)
            if not extent.is_part:  # a copy of the file may have another name
                group.extent = extent
    measured = list(groups.values())
    apart = _placed(published, measured, claims)
    figures = _known_figures() if measured else ()
    of_method: dict[str, list[PublishedResult]] = {}
    for row in figures:
        if row.name is not None:
            of_method.setdefault(row.name, []).append(row)
    tables = []
    for _, group in sorted(groups.items(), key=lambda item: [str(part) for part in item[0]]):
        entries = [
            row_from_run(
                run,
                find_published(run.record, of_method.get(run.record.method, ()), claims),
                intervals=intervals,
                complexity=complexity,
            )
            for run in group.runs
        ]
        assert group.protocol is not None
        tables.append(_measured_table(group, group.protocol, entries, claims))
    tables += [
        _published_table(place, group)
        for place, group in sorted(apart.items(), key=lambda item: str(item[0]))
    ]
    return tables


def _known_figures() -> tuple[PublishedResult, ...]:
    """All published results. A package with a faulty table must not hide the user's own runs."""
    try:
        return all_published()
    except PluginError as error:
        log.warning("no differences to published figures: %s", str(error).splitlines()[0])
        return ()


def _placed(
    published: Iterable[PublishedResult], measured: Sequence[_Group], claims: DetectorAliases
) -> dict[_Place, _Group]:
    """Add published rows to the runs they are comparable with; return the others in groups of their own."""
    places: dict[_Place, list[PublishedResult]] = {}
    for row in published:
        source = box_source_of(row)
        places.setdefault(
            (row.dataset, row.split, source, row.protocol if source is None else ""), []
        ).append(row)
    apart: dict[_Place, _Group] = {}
    for place, rows in places.items():
        dataset, split, source, _ = place
        near = [
            (group, group.protocol)
            for group in measured
            if group.protocol is not None
            and (group.protocol.dataset, group.protocol.split) == (dataset, split)
        ]
        same_boxes = [(group, protocol) for group, protocol in near if claims.agree(protocol.boxes, source)]
        joined = [
            group
            for group, protocol in same_boxes
            if group.extent is not None and group.extent.is_whole and protocol.keypoints is None
        ]
        if len(joined) == 1:
            joined[0].rows += rows
            continue
        group = apart[place] = _Group(rows=rows)
        if len(joined) > 1:
            group.notes.append(
                "Listed separately: there are runs of this split on more than one annotation file, and the "
                "sources do not state theirs."
            )
        elif same_boxes:
            group.notes.append("Listed separately: the runs of this split cover other images.")
        elif source is not None and source.startswith(DETECTOR):
            others = sorted({p.boxes for _, p in near if p.boxes.startswith(DETECTOR)})
            if others:
                group.notes.append(
                    f"Runs with the boxes of {', '.join(others)} are in other tables: the sources do not "
                    "state their detections' hash. If they are the same, pass --detector HASH=NAME."
                )
    return apart


def _measured_table(
    group: _Group, protocol: Protocol, entries: list[Row], claims: DetectorAliases
) -> LeaderboardTable:
    notes = list(filter(None, [overlap_note(entries)]))
    if group.rows:
        notes.append(
            "Published results are marked as such. Their sources do not state the annotation file; they are "
            f"listed here because these runs cover the {protocol.images:,} images of the split."
        )
    claimed = claims.claimed(protocol.boxes)
    if claimed is not None:
        notes.append(f"These boxes are attributed to {claimed} by --detector.")
    return _table(
        _title(protocol, group.extent),
        entries,
        group,
        (protocol.dataset, protocol.split, protocol.boxes),
        annotations=protocol.annotations,
        notes=notes,
    )


def _published_table(place: _Place, group: _Group) -> LeaderboardTable:
    dataset, split, source, protocol = place
    if source is None:
        descriptions = {
            "unstated": "boxes not stated by the sources",
            "detector": "boxes of detectors that the sources do not name",
        }
        described = descriptions.get(protocol, f"{protocol}, by systems that the sources do not name")
        what = f"{described}: not ranked"
    else:
        kind, _, name = source.partition(":")
        described = f"boxes of {name}" if kind == "detector" else f"{kind}, {name}"
        what = f"{BOX_SOURCES.get(source, described)} (published figures)"
    return _table(
        f"{dataset} {split}, {what}",
        [],
        group,
        (dataset, split, source or protocol),
        is_ranked=source is not None,
    )


def _table(
    title: str,
    entries: list[Row],
    group: _Group,
    place: tuple[str, str, str],
    *,
    annotations: str | None = None,
    is_ranked: bool = True,
    notes: Sequence[str] = (),
) -> LeaderboardTable:
    sources: dict[str, int] = {}
    for row in group.rows:
        source = row.source if row.note is None else f"{row.source}. {row.note}"
        entries.append(row_from_published(row, sources.setdefault(source, len(sources) + 1)))
    if is_ranked:
        entries.sort(key=_by_ap)
    else:
        entries.sort(key=lambda entry: str(entry.values["method"]).casefold())
    columns = nonempty_columns(_columns(entries), entries)
    notes = (*doubt_notes(entries), *notes, *group.notes, *_difference_notes(entries, is_ranked))
    return LeaderboardTable(
        title=title,
        columns=columns,
        entries=tuple(entries),
        dataset=place[0],
        split=place[1],
        boxes=place[2],
        annotations=annotations,
        is_ranked=is_ranked,
        best=best_cells(columns, entries, is_ranked=is_ranked),
        notes=notes,
        sources=tuple(sources),
    )


def _difference_notes(entries: Sequence[Row], is_ranked: bool) -> list[str]:
    """Warn about the order where published rows differ in more than the boxes."""
    if not is_ranked or not any(entry.is_published for entry in entries):
        return []
    kinds = {entry.compared for entry in entries}
    if len(kinds) == 1 and None not in kinds:
        return []
    return [
        "Rows are sorted by AP. Rows that differ in paradigm, training data or test-time averaging, or whose "
        "sources do not state them, are not ranked against each other."
    ]


def _by_ap(entry: Row) -> tuple[float, str, str]:
    ap = entry.number("AP")
    return (1.0 if ap is None else -ap, str(entry.values["method"]), str(entry.values.get("run", "")))


def _columns(entries: Sequence[Row]) -> list[Column]:
    """All columns, except those that have the same value for every run."""
    if any(entry.is_published for entry in entries):
        return list(COLUMNS)
    same = {
        name for name in ONLY_WITH_PUBLISHED if len(Counter(entry.values.get(name) for entry in entries)) < 2
    }
    return [column for column in COLUMNS if column.name not in same]


def _title(protocol: Protocol, extent: Extent | None) -> str:
    # "unknown (<method>)" is not the name of a source.
    of = "boxes" if protocol.boxes.startswith("unknown") else "boxes of"
    boxes = BOX_SOURCES.get(protocol.boxes, f"{of} {protocol.boxes}")
    part = f", {extent.words}" if extent is not None and extent.is_part else ""
    if protocol.keypoints is not None:
        part += f", on {len(protocol.keypoints)} common keypoints only"
    return f"{protocol.dataset} {protocol.split}, {boxes}{part} (annotations {protocol.annotations[:8]})"
