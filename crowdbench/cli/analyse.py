"""``crowdbench analyse RUN...``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crowdbench.cli.echo import say, say_json
from crowdbench.cli.options import PATH, annotations_option, json_option, root_option, runs_option

if TYPE_CHECKING:
    from crowdbench.analysis import Analysis
    from crowdbench.run_store.run import Run


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="RUN...")
@click.option("--dataset", help="The dataset whose rules a results file follows. Required if RUN is a file.")
@annotations_option
@root_option
@click.option("--split", help="The split of a results file. Default: the one that papers report.")
@click.option("--figures", type=PATH, metavar="DIR", help="Draw figures (SVG and PNG) into DIR.")
@click.option("--save", type=PATH, metavar="FILE", help="Write the whole analysis as JSON.")
@click.option("--force", is_flag=True, help="Let --save overwrite a file that crowdbench did not write.")
@json_option("one JSON object without the individual predictions")
@runs_option
def analyse(  # noqa: C901
    names: tuple[str, ...],
    runs: Path,
    dataset: str | None,
    annotations: Path | None,
    root: Path | None,
    split: str | None,
    figures: Path | None,
    save: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Show where RUN loses AP, and which errors cost most.

    RUN is a finished run, by folder, id, job, method/dataset or method, or any results file (with
    --dataset). Several are shown side by side. Every keypoint of a matched person is good, jittered, inverted
    (left for right), swapped (on another person) or missed; AP is what it would be if one kind of error were
    not made.
    """
    from crowdbench.analysis.keypoint_errors.result import is_analysis
    from crowdbench.analysis.keypoint_errors.tables import one, side_by_side
    from crowdbench.system.files.outputs import output_file

    chosen = _chosen(names, runs)
    if save is not None and len(chosen) > 1:
        raise click.UsageError("--save takes one RUN; an analysis of a run lies in its directory anyway.")
    target = None if save is None else output_file(save, is_own=is_analysis, force=force)
    analyses = [_analysed(one, dataset, annotations, root, split) for one in chosen]
    titles = _titles(chosen)
    for index, (_, extent) in enumerate(analyses):
        if len(chosen) > 1 and extent:
            say(f"note: {titles[index]}: {extent}", err=True)
        elif extent and extent not in titles[index]:
            titles[index] = f"{titles[index]}, {extent}"
    found = dict(zip(titles, (analysis for analysis, _ in analyses), strict=True))
    for title, analysis in found.items():
        for warning in analysis.warnings:
            say(f"warning: {title}: {warning}", err=True)
    if target is not None:
        target.write(next(iter(found.values())).encoded())
    if figures is not None:
        from crowdbench.analysis.keypoint_errors.plots import write_figures

        for path in write_figures(figures, found):
            say(f"wrote {path}", err=True)
    if target is not None and target.is_stdout:
        return  # it is there already, and a table behind it would spoil it
    if as_json:
        say_json(_content(found, [extent for _, extent in analyses]))
    else:
        say(one(*next(iter(found.items()))) if len(found) == 1 else side_by_side(found))


def _chosen(names: tuple[str, ...], runs: Path) -> "list[Run | Path]":
    """Runs and results files, in the order in which they were named."""
    from crowdbench.run_store.find import is_run, runs_of

    chosen: list[Run | Path] = []
    for name in names:
        path = Path(name)
        if path.is_file() and not is_run(path):
            chosen.append(path)
        else:
            chosen += runs_of([name], runs)
    return chosen


def _analysed(
    given: "Run | Path", dataset: str | None, annotations: Path | None, root: Path | None, split: str | None
) -> "tuple[Analysis, str]":
    """An analysis, and in words which part of the split it is of; empty for all of it."""
    from crowdbench.analysis import analyse as analyse_run
    from crowdbench.analysis import analyse_files
    from crowdbench.api.dataset import dataset_class, load_dataset, require_ground_truth
    from crowdbench.api.extent import extent_of
    from crowdbench.run_store.record import extent_of_run
    from crowdbench.scoring.run_inputs import reopen_dataset

    if not isinstance(given, Path):
        measured = given.record.protocol
        if (dataset or measured.dataset, split or measured.split) != (measured.dataset, measured.split):
            raise click.UsageError(
                f"{given.directory} is a run on {measured.dataset} {measured.split}; --dataset and --split "
                "are for results files."
            )
        elsewhere = annotations is not None or root is not None
        found = analyse_run(given, reopen_dataset(measured, root, annotations) if elsewhere else None)
        return found, extent_of_run(given.record).words
    if dataset is None:
        raise click.UsageError(f"{given} is a file: say whose rules it follows with --dataset NAME.")
    if annotations is not None:
        cls = dataset_class(dataset)
        found = analyse_files(given, annotations, cls.protocol)
        of, count = split or cls.split_of(annotations), found.whole.images
        return found, extent_of(cls, of, annotations, images=count, listed=count).words
    truth = load_dataset(dataset, split=split, root=root)
    require_ground_truth(truth)
    return analyse_files(given, truth.annotation_file, truth.protocol), truth.extent().words


def _titles(chosen: "list[Run | Path]") -> list[str]:
    """A name for each: a run's method, with its id where that is not enough; a file's name."""
    from crowdbench.run_store.record import extent_of_run

    short, long = [], []
    for one in chosen:
        if isinstance(one, Path):
            short.append(one.name)
            long.append(str(one))
        else:
            record, protocol = one.record, one.record.protocol
            words = extent_of_run(record).words
            where = f"{protocol.dataset} {protocol.split}{f', {words}' if words else ''}"
            where = where if len(chosen) == 1 else ""
            short.append(" on ".join(filter(None, (record.method, where))))
            long.append(f"{record.method} {record.id}")
    titles = short if len(set(short)) == len(short) else long
    if len(set(titles)) < len(titles):
        raise click.UsageError("a run is named twice; name each once.")
    return titles


def _content(found: "dict[str, Analysis]", extents: list[str]) -> Any:
    import msgspec

    plain = {title: msgspec.to_builtins(analysis) for title, analysis in found.items()}
    for content, extent in zip(plain.values(), extents, strict=True):
        del content["instances"]
        content["extent"] = extent
    content = next(iter(plain.values())) if len(plain) == 1 else plain
    return content
