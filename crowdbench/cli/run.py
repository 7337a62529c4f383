"""``crowdbench run METHOD DATASET``."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crowdbench.cli.echo import say, say_json
from crowdbench.cli.launch_options import (
    hand_over,
    refuse_queue_options,
    where_options,
)
from crowdbench.cli.options import settings_option
from crowdbench.cli.progress import in_words, show_progress, wait_for_jobs
from crowdbench.cli.stopping import stopping_cleanly
from crowdbench.jobs.job import Resources
from crowdbench.system.distributed import from_environment

if TYPE_CHECKING:
    from crowdbench.jobs.launcher import Launcher, Queue
    from crowdbench.jobs.request import EvaluationRequest
    from crowdbench.run_store.run import Run


@click.command()
@click.argument("method")
@click.argument("dataset")
@click.option("--root", type=click.Path(path_type=Path), help="The dataset's folder.")
@click.option("--split", help="The split. Default: the one that papers report.")
@click.option(
    "--boxes",
    default="gt",
    show_default=True,
    help="Boxes of persons: gt, none, or a detector's results file.",
)
@click.option(
    "--box-score",
    type=float,
    metavar="SCORE",
    help="Use only a detector's boxes with at least this score. Default: all.",
)
@click.option(
    "--keypoints",
    default="all",
    show_default=True,
    metavar="WHICH",
    help=(
        "all, or common: only those that the dataset shares with the one whose keypoints the method predicts."
    ),
)
@click.option(
    "--annotations",
    type=click.Path(path_type=Path),
    help="Annotation file to use instead of the split's own.",
)
@click.option(
    "--crowding",
    metavar="LEVELS",
    help=(
        "Levels from 0 to 1, as in 0,0.5,1: one run at each, and a curve. Only for datasets that draw "
        "their scenes."
    ),
)
@click.option(
    "--weights",
    default="published",
    show_default=True,
    help="published, the name of published weights, a URL, a file, or none for random weights.",
)
@where_options
@click.option(
    "--device", default="auto", show_default=True, help="Device to compute on: auto, cpu, cuda, cuda:1, ..."
)
@click.option("--precision", type=click.Choice(["fp32", "bf16", "fp16"]), default="fp32", show_default=True)
@click.option("--compile", "compiled", is_flag=True, help="Use torch.compile, which pays off in long runs.")
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Persons (top-down methods) or images per batch. Default: what suits the device.",
)
@click.option("--workers", type=click.IntRange(0), help="Loader processes. Default: half the number of CPUs.")
@click.option(
    "--limit", type=click.IntRange(1), help="Evaluate only the first N images; the result is marked partial."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed for random weights.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Directory for runs.",
)
@click.option(
    "--save-every",
    "save_every_s",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    help="Seconds between writes of finished predictions.",
)
@click.option("--again", is_flag=True, help="Recompute even if this run is done.")
@settings_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def run(
    where: str,
    gpus: int | None,
    nodes: int | None,
    wait: bool,
    as_json: bool,
    settings: dict[str, str],
    crowding: str | None,
    **options: Any,
) -> None:
    """Run METHOD on DATASET, score it, and keep a record.

    Run the same command again to resume a run that was stopped; one that is done is shown, not repeated. On
    a cluster it is submitted, and the job's name is printed; crowdbench status shows its progress.
    """
    from crowdbench.jobs.launcher import Queue, load_launcher
    from crowdbench.jobs.request import EvaluationRequest

    request = EvaluationRequest(settings=settings, command=tuple(sys.argv), **options)
    launcher = load_launcher(where)
    if isinstance(launcher, Queue):
        requests = _levels(request, crowding) if crowding is not None else [request]
        runs = _hand_over(launcher, requests, Resources(gpus, nodes), wait, as_json)
        if runs and crowding is not None:
            _print_curve(requests, runs, as_json)
        elif runs:
            _print(runs[0], as_json)
        return
    refuse_queue_options(gpus, nodes, wait)
    if crowding is not None:
        _run_levels(request, launcher, crowding, as_json)
        return
    with stopping_cleanly(), show_progress(f"{request.method} on {request.dataset}") as show:
        done = launcher.launch(request, show)
    if from_environment(os.environ).is_main:
        _print(done, as_json)


def _print(done: "Run", as_json: bool) -> None:
    if as_json:
        _print_json(done)
    else:
        _print_summary(done)


def _hand_over(
    queue: "Queue", requests: "list[EvaluationRequest]", resources: "Resources", wait: bool, as_json: bool
) -> "list[Run]":
    """To a queue, and wait for what becomes of it if that is asked for."""
    from crowdbench.errors import RunError
    from crowdbench.jobs.execute import preflight
    from crowdbench.run_store.run import Run

    with show_progress(requests[0].method) as show:
        preflight(requests[0], show)
    found = hand_over(queue, requests, resources, as_json=as_json and not wait, quiet=wait)
    if not wait:
        return []
    rows = wait_for_jobs([submitted.job for submitted in found])
    for row in rows:
        if row.state != "done" or row.directory is None:
            raise RunError(f"{row.name} is not done: {in_words(row)}.\ncrowdbench logs {row.name} says more.")
    return [Run.read(row.directory) for row in rows if row.directory is not None]


def _levels(request: "EvaluationRequest", crowding: str) -> "list[EvaluationRequest]":
    from dataclasses import replace

    from crowdbench.analysis.crowding_curve import parse_levels

    return [replace(request, crowding=level) for level in parse_levels(crowding)]


def _run_levels(request: "EvaluationRequest", launcher: "Launcher", crowding: str, as_json: bool) -> None:
    """A run at each level, then the curve."""
    requests = _levels(request, crowding)
    runs = []
    for asked in requests:
        title = f"{request.method} on {request.dataset}, crowding {asked.crowding:g}"
        with stopping_cleanly(), show_progress(title) as show:
            runs.append(launcher.launch(asked, show))
    if from_environment(os.environ).is_main:
        _print_curve(requests, runs, as_json)


def _print_curve(requests: "list[EvaluationRequest]", runs: "list[Run]", as_json: bool) -> None:
    from crowdbench.analysis.crowding_curve import STATISTICS, write_curve
    from crowdbench.api.dataset import dataset_class

    request = requests[0]
    levels = [asked.crowding for asked in requests if asked.crowding is not None]
    split = request.split or dataset_class(request.dataset).default_split
    curve = write_curve(request.out, split, request.boxes, levels, runs)
    if as_json:
        say(curve.table.to_json(orient="records"))
        return
    before = sum(done.was_done_before for done in runs)
    if before:
        say(f"note: {before} of {len(runs)} levels were done before; --again computes anew.", err=True)
    for sentence in dict.fromkeys(s for done in runs for s in done.record.warnings):
        say(f"note: {sentence}", err=True)
    shown = curve.table.drop(columns=["boxes", "annotations"])
    for name in STATISTICS:
        shown[name] = (100 * shown[name]).round(1)
    shown["crowd_index"] = shown["crowd_index"].round(3)
    from tabulate import tabulate

    say(tabulate(shown.to_dict("records"), headers="keys"))
    say(f"\nTable: {curve.csv}\nFigures: {curve.png}, {curve.together}")


def _print_json(done: "Run") -> None:
    import msgspec

    content = {
        "run": str(done.directory),
        "computed": not done.was_done_before,
        **msgspec.to_builtins(done.record),
    }
    say_json(content)


def _print_summary(done: "Run") -> None:
    from crowdbench.evaluation.provenance import said_of_finished
    from crowdbench.leaderboard.board import build_leaderboard, to_text
    from crowdbench.run_store.record import extent_of_run

    record = done.record
    if done.was_done_before:
        say(f"note: {said_of_finished(done)}", err=True)
    for sentence in (*record.corrections, *record.warnings):
        say(f"note: {sentence}", err=True)
    if record.scores is None:
        words = extent_of_run(record).words
        say(f"{record.counts['predictions']} predictions{f' on {words}' if words else ''}, not scored.")
    else:
        say(to_text(build_leaderboard([done])))
    # A method that finds people itself proposes many that are none: its speed is in images.
    unit = "persons" if record.paradigm == "top-down" else "images"
    if f"{unit}_per_s" in record.timings:
        say(f"{record.timings[f'{unit}_per_s']:.1f} {unit}/s on {record.device}.")
    say(f"Run: {done.directory}")
