"""``crowdbench train METHOD DATASET``."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crowdbench.cli.echo import say
from crowdbench.cli.launch_options import (
    hand_over,
    refuse_queue_options,
    where_options,
)
from crowdbench.cli.options import key_value_pairs, settings_option
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
@click.option("--root", type=click.Path(path_type=Path), help="The dataset's folder.")
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
@click.option(
    "--device", default="auto", show_default=True, help="Device to compute on: auto, cpu, cuda, ..."
)
@click.option("--precision", type=click.Choice(["fp32", "bf16", "fp16"]), default="fp32", show_default=True)
@click.option(
    "--compile", "compiled", is_flag=True, help="Use torch.compile, which pays off in long trainings."
)
@click.option("--deterministic", is_flag=True, help="Use only deterministic operations.")
@click.option("--workers", type=click.IntRange(0), help="Loader processes per training process.")
@click.option("--limit", type=click.IntRange(1), help="Use only the first N images of each split.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed for everything random."
)
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
    default=600.0,
    show_default=True,
    help="Seconds between checkpoints within an epoch.",
)
@click.option("--log", "trackers", multiple=True, metavar="NAME", help="Also log to tensorboard or wandb.")
@click.option("--evaluate/--no-evaluate", "evaluated", default=True, help="Evaluate the trained weights.")
@where_options
@click.option("--json", "as_json", is_flag=True, help="Print the job's name as JSON. On a cluster only.")
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
    from crowdbench.jobs.launcher import Queue, load_launcher
    from crowdbench.jobs.request import TrainingRequest

    if epochs is not None:
        changes = {**changes, "epochs": str(epochs)}
    request = TrainingRequest(recipe=changes, command=tuple(sys.argv), **options)
    launcher = load_launcher(where)
    if isinstance(launcher, Queue):
        with show_progress(request.method, of_training=True) as show:
            preflight(request, show)
        _hand_over(launcher, request, Resources(gpus, nodes), wait, as_json)
        return
    refuse_queue_options(gpus, nodes, wait)
    if where != "local":
        raise click.UsageError(f"{where} carries out evaluations only; leave out --on to train here.")
    first = from_environment(os.environ).is_main

    def show_training(training: "TrainingRun") -> None:
        if first:
            _print_summary(training)

    with (
        stopping_after_a_step() as stopping,
        show_progress(f"{request.method} on {request.dataset}", of_training=True) as show,
    ):
        trained = run_training(request, show, stopping=stopping, on_trained=show_training)
    if trained.run is not None and first:
        _print_run(trained.run)


def _hand_over(
    queue: "Queue", request: "TrainingRequest", resources: "Resources", wait: bool, as_json: bool
) -> None:
    from crowdbench.errors import RunError
    from crowdbench.run_store.run import Run
    from crowdbench.training import TrainingRun

    (submitted,) = hand_over(queue, [request], resources, as_json=as_json and not wait, quiet=wait)
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
