"""``crowdbench run METHOD DATASET``."""

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from crowdbench.cli.echo import say, say_json
from crowdbench.cli.launch_options import refuse_queue_options, submit_requests, where_options
from crowdbench.cli.options import (
    PATH,
    batch_size_option,
    compile_option,
    device_option,
    json_option,
    out_option,
    precision_option,
    root_option,
    seed_option,
    settings_option,
    split_option,
    weights_option,
    workers_option,
)
from crowdbench.cli.progress import in_words, show_progress, wait_for_jobs
from crowdbench.cli.stopping import stopping_cleanly
from crowdbench.jobs.job import Resources
from crowdbench.system.distributed import from_environment

if TYPE_CHECKING:
    from crowdbench.jobs.launcher import Queue
    from crowdbench.jobs.request import EvaluationRequest
    from crowdbench.run_store.run import Run


@click.command()
@click.argument("method")
@click.argument("dataset")
@root_option
@split_option
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
@click.option("--annotations", type=PATH, help="Annotation file to use instead of the split's own.")
@click.option(
    "--crowding",
    metavar="LEVELS",
    help=(
        "Levels from 0 to 1, as in 0,0.5,1: one run at each, and a curve. Only for datasets that draw "
        "their scenes."
    ),
)
@weights_option
@where_options
@device_option
@precision_option
@compile_option
@batch_size_option
@workers_option
@click.option(
    "--limit", type=click.IntRange(1), help="Evaluate only the first N images; the result is marked partial."
)
@seed_option
@out_option
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
@json_option("one JSON object instead of a table")
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
    from crowdbench.jobs.launcher import load_launcher
    from crowdbench.jobs.request import EvaluationRequest

    request = EvaluationRequest(settings=settings, command=tuple(sys.argv), **options)
    queue = load_launcher(where)
    requests = [request] if crowding is None else _levels(request, crowding)
    if queue is not None:
        runs = _submit(queue, requests, Resources(gpus, nodes), wait, as_json)
    else:
        refuse_queue_options(gpus, nodes, wait)
        runs = [_run_here(asked) for asked in requests]
    if not runs or (queue is None and not from_environment(os.environ).is_main):
        return
    if crowding is not None:
        _print_curve(requests, runs, as_json)
    elif as_json:
        _print_json(runs[0])
    else:
        _print_summary(runs[0])


def _run_here(request: "EvaluationRequest") -> "Run":
    from crowdbench.jobs.execute import run_evaluation

    level = "" if request.crowding is None else f", crowding {request.crowding:g}"
    title = f"{request.method} on {request.dataset}{level}"
    with stopping_cleanly(), show_progress(title) as show:
        return run_evaluation(request, show)


def _submit(
    queue: "Queue", requests: "list[EvaluationRequest]", resources: "Resources", wait: bool, as_json: bool
) -> "list[Run]":
    """Submit to a queue; the runs if they are waited for."""
    from crowdbench.errors import RunError
    from crowdbench.jobs.execute import preflight
    from crowdbench.run_store.run import Run

    with show_progress(requests[0].method) as show:
        preflight(requests[0], show)
    submitted = submit_requests(queue, requests, resources, as_json=as_json and not wait, quiet=wait)
    if not wait:
        return []
    rows = wait_for_jobs([result.job for result in submitted])
    for row in rows:
        if row.state != "done" or row.directory is None:
            raise RunError(f"{row.name} is not done: {in_words(row)}.\ncrowdbench logs {row.name} says more.")
    return [Run.read(row.directory) for row in rows if row.directory is not None]


def _levels(request: "EvaluationRequest", crowding: str) -> "list[EvaluationRequest]":
    from dataclasses import replace

    from crowdbench.analysis.crowding_curve import parse_levels

    return [replace(request, crowding=level) for level in parse_levels(crowding)]


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
    reused = sum(done.was_done_before for done in runs)
    if reused:
        say(f"note: {reused} of {len(runs)} levels were done before; --again recomputes them.", err=True)
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
    # A bottom-up method proposes many false positives: its speed is in images.
    unit = "persons" if record.paradigm == "top-down" else "images"
    if f"{unit}_per_s" in record.timings:
        say(f"{record.timings[f'{unit}_per_s']:.1f} {unit}/s on {record.device}.")
    say(f"Run: {done.directory}")
