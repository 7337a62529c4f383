"""``crowdbench run METHOD DATASET``."""

import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from crowdbench.evaluation import Progress
    from crowdbench.run_directory import Run


def _settings(_: click.Context, __: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    settings = {}
    for pair in pairs:
        key, found, value = pair.partition("=")
        if not found or not key:
            raise click.BadParameter(f"{pair!r} is not key=value, as in --set flip_test=false.")
        settings[key.replace("-", "_")] = value
    return settings


@click.command()
@click.argument("method")
@click.argument("dataset")
@click.option("--root", type=click.Path(path_type=Path), help="The dataset's folder.")
@click.option("--split", help="Default: the split that papers report.")
@click.option("--boxes", default="gt", show_default=True, help="gt, none, or a detector's results file.")
@click.option(
    "--annotations", type=click.Path(path_type=Path), help="An annotation file instead of the split's own."
)
@click.option("--weights", help="A .pth or .safetensors file, or none for random weights.")
@click.option("--on", "where", default="local", show_default=True, help="Where to run: local, or a launcher.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option("--precision", type=click.Choice(["fp32", "bf16", "fp16"]), default="fp32", show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=8, show_default=True, help="Images in a batch.")
@click.option("--workers", type=click.IntRange(0), help="Loader processes. Default: half the processors.")
@click.option(
    "--limit", type=click.IntRange(1), help="Only the first N images; the result is marked partial."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of random weights.")
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
    default=5.0,
    show_default=True,
    help="Seconds between writes of finished predictions.",
)
@click.option("--again", is_flag=True, help="Compute anew even if this run is done.")
@click.option(
    "--set", "settings", multiple=True, callback=_settings, metavar="KEY=VALUE", help="Override a setting."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def run(where: str, as_json: bool, settings: dict[str, str], **options: Any) -> None:
    """Run METHOD on DATASET, score it, and keep a record.

    A run that was stopped goes on where it was when the same command is given again; one that is done is
    shown, not repeated.
    """
    from crowdbench.launch import Request, load_launcher

    request = Request(settings=settings, command=tuple(sys.argv), **options)
    launcher = load_launcher(where)
    with _stopping_cleanly(), _progress_shown(f"{request.method} on {request.dataset}") as show:
        done = launcher.launch(request, show)
    if as_json:
        _print_json(done)
    else:
        _print_summary(done)


@contextmanager
def _stopping_cleanly() -> Iterator[None]:
    """Let SIGTERM unwind the stack like Ctrl-C, so that finished work is written and the record closed."""

    def stop(_: int, __: object) -> NoReturn:
        sys.exit(143)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress_shown(title: str) -> "Iterator[Callable[[Progress], None]]":
    """A bar on a terminal, a line now and then elsewhere; both on stderr."""
    from rich.console import Console
    from rich.logging import RichHandler
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    handler = RichHandler(console=console, show_path=False, show_time=False, markup=False)
    handler.setLevel(logging.INFO)
    logger = logging.getLogger("crowdbench")
    logger.addHandler(handler)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("images, {task.fields[persons]} persons"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    try:
        with Bar(*columns, console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task(title, total=None, persons=0)

            def show(progress: "Progress") -> None:
                bar.update(task, completed=progress.images, total=progress.of, persons=progress.persons)

            yield show
    finally:
        logger.removeHandler(handler)


def _print_json(done: "Run") -> None:
    import msgspec

    content = {"run": str(done.directory), **msgspec.to_builtins(done.record)}
    click.echo(msgspec.json.encode(content).decode())


def _print_summary(done: "Run") -> None:
    from crowdbench.leaderboard import board, to_text

    record = done.record
    for sentence in (*record.corrections, *record.warnings):
        click.echo(f"note: {sentence}", err=True)
    if record.scores is None:
        click.echo(f"{record.counts['predictions']} predictions, not scored.")
    else:
        click.echo(to_text(board([done])))
    if "persons_per_s" in record.timings:
        click.echo(f"{record.timings['persons_per_s']:.1f} persons/s on {record.device}.")
    click.echo(f"Run: {done.directory}")
