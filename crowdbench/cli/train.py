"""``crowdbench train METHOD DATASET``."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crowdbench.cli.echo import say
from crowdbench.cli.launch_options import (
    hand_over,
    in_words,
    refuse_queue_options,
    wait_for_jobs,
    where_options,
)
from crowdbench.jobs.job import Resources
from crowdbench.system.distributed import from_environment
from crowdbench.system.text import plain

if TYPE_CHECKING:
    from crowdbench.engine.progress import EvaluationProgress
    from crowdbench.jobs.execute import OnProgress
    from crowdbench.jobs.launcher import Queue
    from crowdbench.jobs.request import TrainingRequest
    from crowdbench.run_store.run import Run
    from crowdbench.training import TrainingProgress, TrainingRun
    from crowdbench.weights import Transfer

LINE_EVERY_S = 30.0


def _pairs(_: click.Context, parameter: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    values = {}
    for pair in pairs:
        key, found, value = pair.partition("=")
        if not found or not key:
            raise click.BadParameter(f"{pair!r} is not key=value, as in {parameter.opts[0]} epochs=10.")
        values[key.replace("-", "_")] = value
    return values


@click.command()
@click.argument("method")
@click.argument("dataset")
@click.option("--root", type=click.Path(path_type=Path), help="The dataset's folder.")
@click.option("--split", help="To train on. Default: the recipe's.")
@click.option(
    "--validate-on",
    metavar="SPLIT",
    help="Scored every so often; its best score chooses the weights. Default: the recipe's; none for none.",
)
@click.option(
    "--select-on-test",
    is_flag=True,
    help="Choose the weights by the split that is reported, as some published code does; it is recorded.",
)
@click.option(
    "--recipe",
    "changes",
    multiple=True,
    callback=_pairs,
    metavar="KEY=VALUE",
    help="Change a value of the published recipe.",
)
@click.option("--epochs", type=click.IntRange(1), help="Short for --recipe epochs=N.")
@click.option(
    "--set", "settings", multiple=True, callback=_pairs, metavar="KEY=VALUE", help="Override a setting."
)
@click.option("--start", help="Weights to begin with: a name, URL, file, or none. Default: the recipe's.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, ...")
@click.option("--precision", type=click.Choice(["fp32", "bf16", "fp16"]), default="fp32", show_default=True)
@click.option("--compile", "compiled", is_flag=True, help="Use torch.compile; pays in long trainings.")
@click.option("--deterministic", is_flag=True, help="Only operations that give equal bits every time.")
@click.option("--workers", type=click.IntRange(0), help="Loader processes of each process.")
@click.option("--limit", type=click.IntRange(1), help="Only the first N images of each split.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of everything random.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="All runs lie here.",
)
@click.option(
    "--save-every",
    "save_every_s",
    type=click.FloatRange(0),
    default=600.0,
    show_default=True,
    help="Seconds between checkpoints within an epoch.",
)
@click.option("--log", "trackers", multiple=True, metavar="NAME", help="Report to tensorboard or wandb too.")
@click.option("--evaluate/--no-evaluate", "evaluated", default=True, help="Then run the weights.")
@where_options
@click.option("--json", "as_json", is_flag=True, help="On a cluster: print the job's name as JSON.")
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
    """Train METHOD on DATASET, choose the best weights, and run them.

    A training that was stopped goes on where it was when the same command is given again. To train on many
    GPUs of this machine start it with torchrun; on a cluster say --on slurm --gpus N.
    """
    from crowdbench.jobs.execute import preflight, run_training
    from crowdbench.jobs.launcher import Queue, load_launcher
    from crowdbench.jobs.request import TrainingRequest

    if epochs is not None:
        changes = {**changes, "epochs": str(epochs)}
    request = TrainingRequest(recipe=changes, command=tuple(sys.argv), **options)
    launcher = load_launcher(where)
    if isinstance(launcher, Queue):
        with _shown(request.method) as show:
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

    with _stopping() as stopping, _shown(f"{request.method} on {request.dataset}") as show:
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


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """SIGTERM and Ctrl-C ask for a checkpoint first; a second one stops at once."""
    asked: list[int] = []

    def stop(number: int, _: object) -> None:
        if asked:
            sys.exit(128 + number)
        asked.append(number)
        say("Stopping after this step; once more stops at once.", err=True)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _shown(title: str) -> "Iterator[OnProgress]":
    """A bar on a terminal, a line now and then elsewhere; both on stderr."""
    import time

    from rich.console import Console
    from rich.logging import RichHandler
    from rich.progress import BarColumn, Progress, TaskID, TextColumn

    from crowdbench.system.log_file import PlainFormatter

    console = Console(stderr=True)
    handler = RichHandler(console=console, show_path=False, show_time=False, markup=False)
    handler.setFormatter(PlainFormatter())
    handler.setLevel(logging.INFO)
    logger = logging.getLogger("crowdbench")
    logger.addHandler(handler)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[amount]}", markup=False),
        console=console,
        disable=not console.is_terminal,
    )
    tasks: dict[str, TaskID] = {}
    last = [time.monotonic()]

    def show(progress: "EvaluationProgress | TrainingProgress | Transfer") -> None:
        name, done, of, amount = _amount(progress)
        if console.is_terminal:
            if name not in tasks:
                tasks[name] = bar.add_task(plain(name or title), amount="")
            bar.update(tasks[name], completed=done, total=of, amount=amount)
        elif time.monotonic() - last[0] > LINE_EVERY_S:
            last[0] = time.monotonic()
            say(f"{name or title}: {amount}", err=True)

    try:
        with bar:
            yield show
    finally:
        logger.removeHandler(handler)


def _amount(progress: "EvaluationProgress | TrainingProgress | Transfer") -> tuple[str, int, int | None, str]:
    from crowdbench.engine.progress import EvaluationProgress
    from crowdbench.training import TrainingProgress

    if isinstance(progress, EvaluationProgress):
        words = f"{progress.images}/{progress.of} images, {progress.persons} persons"
        return "evaluation", progress.images, progress.of, words
    if not isinstance(progress, TrainingProgress):
        whole = "" if progress.of is None else f"/{progress.of / 1e6:.0f}"
        return progress.name, progress.done, progress.of, f"{progress.done / 1e6:.0f}{whole} MB"
    minutes = progress.eta_s / 60
    left = f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
    score = "" if progress.score is None else f", AP {100 * progress.score:.1f}"
    amount = (
        f"epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.2e}, rate {progress.rate:.1e}, "
        f"{progress.images_per_s:.1f} images/s, {progress.waiting:.0%} waiting for data, {left} left{score}"
    )
    return "", progress.step, progress.steps, amount


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
