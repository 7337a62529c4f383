"""``crowdbench train METHOD DATASET``."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crowdbench.cli.echo import say
from crowdbench.cli.launch_options import refuse_queue_options, submit_requests, where_options
from crowdbench.cli.options import (
    compile_option,
    device_option,
    json_option,
    key_value_pairs,
    out_option,
    precision_option,
    root_option,
    settings_option,
)
from crowdbench.cli.progress import in_words, show_progress, wait_for_jobs
from crowdbench.cli.stopping import stopping_after_a_step
from crowdbench.jobs.job import Resources
from crowdbench.system.distributed import from_environment

if TYPE_CHECKING:
    from crowdbench.jobs.launcher import Queue
    from crowdbench.jobs.request import TrainingRequest
    from crowdbench.run_store.run import Run
    from crowdbench.training import TrainingRun


@click.command()
@click.argument("method")
@click.argument("dataset")
@root_option
@click.option("--split", help="The split to train on. Default: the recipe's.")
@click.option(
    "--validate-on",
    metavar="SPLIT",
    help="The split whose best score chooses the weights, or none. Default: the recipe's.",
)
@click.option(
    "--select-on-test",
    is_flag=True,
    help=("Choose the weights on the split that is reported, as some published code does. This is recorded."),
)
@click.option(
    "--recipe",
    "changes",
    multiple=True,
    callback=key_value_pairs,
    metavar="KEY=VALUE",
    help="Override a value of the published recipe.",
)
@click.option("--epochs", type=click.IntRange(1), help="Short for --recipe epochs=N.")
@settings_option
@click.option("--start", help="Initial weights: a name, a URL, a file, or none. Default: the recipe's.")
@device_option
@precision_option
@compile_option
@click.option("--deterministic", is_flag=True, help="Use only deterministic operations.")
@click.option("--workers", type=click.IntRange(0), help="Loader processes per training process.")
@click.option("--limit", type=click.IntRange(1), help="Use only the first N images of each split.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed for everything random."
)
@out_option
@click.option(
    "--save-every",
    "save_every_s",
    type=click.FloatRange(0),
    default=600.0,
    show_default=True,
    help="Seconds between checkpoints within an epoch.",
)
@click.option("--log", "trackers", multiple=True, metavar="NAME", help="Also log to tensorboard or wandb.")
@click.option("--evaluate/--no-evaluate", "evaluated", default=True, help="Evaluate the trained weights.")
@where_options
@json_option("the job's name as JSON. On a cluster only")
def train(
    changes: dict[str, str],
    epochs: int | None,
    where: str,
    gpus: int | None,
    nodes: int | None,
    wait: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train METHOD on DATASET, choose the best weights, and evaluate them.

    Run the same command again to resume a training that was stopped. To train on several GPUs of this
    machine, start it with torchrun; on a cluster, pass --on slurm --gpus N.
    """
    from crowdbench.jobs.execute import preflight, run_training
    from crowdbench.jobs.launcher import load_launcher
    from crowdbench.jobs.request import TrainingRequest

    if epochs is not None:
        changes = {**changes, "epochs": str(epochs)}
    request = TrainingRequest(recipe=changes, command=tuple(sys.argv), **options)
    queue = load_launcher(where)
    if queue is not None:
        with show_progress(request.method, of_training=True) as show:
            preflight(request, show)
        _submit(queue, request, Resources(gpus, nodes), wait, as_json)
        return
    refuse_queue_options(gpus, nodes, wait)
    is_main = from_environment(os.environ).is_main

    def show_training(training: "TrainingRun") -> None:
        if is_main:
            _print_summary(training)

    with (
        stopping_after_a_step() as stopping,
        show_progress(f"{request.method} on {request.dataset}", of_training=True) as show,
    ):
        trained = run_training(request, show, stopping=stopping, on_trained=show_training)
    if trained.run is not None and is_main:
        _print_run(trained.run)


def _submit(
    queue: "Queue", request: "TrainingRequest", resources: "Resources", wait: bool, as_json: bool
) -> None:
    from crowdbench.errors import RunError
    from crowdbench.run_store.run import Run
    from crowdbench.training import TrainingRun

    (submitted,) = submit_requests(queue, [request], resources, as_json=as_json and not wait, quiet=wait)
    if not wait:
        return
    (row,) = wait_for_jobs([submitted.job])
    state = submitted.job.state()
    if row.state != "done" or state is None:
        raise RunError(f"{row.name} is not done: {in_words(row)}.\ncrowdbench logs {row.name} says more.")
    training, *run = (Path(directory) for directory in state.runs)
    _print_summary(TrainingRun.read(training))
    if run:
        _print_run(Run.read(run[-1]))


def _print_summary(run: "TrainingRun") -> None:
    record = run.record
    for sentence in record.warnings:
        say(f"note: {sentence}", err=True)
    if record.best is not None:
        chosen = "" if record.selection == "validation" else " (the split that is reported)"
        say(
            f"Best after epoch {record.best.epoch}: AP {100 * record.best.score:.1f} on "
            f"{record.dataset} {record.validation_split}{chosen}."
        )
    say(f"Weights: {run.weights}")
    say(f"Training: {run.directory}")


def _print_run(done: "Run") -> None:
    from crowdbench.leaderboard.board import build_leaderboard, to_text

    for sentence in (*done.record.corrections, *done.record.warnings):
        say(f"note: {sentence}", err=True)
    if done.record.scores is not None:
        say(to_text(build_leaderboard([done])))
    say(f"Run: {done.directory}")
