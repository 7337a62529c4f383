"""``crowdbench data synth OUT``."""

from functools import partial
from pathlib import Path

import click

from crowdbench.cli.echo import say


def _level(_: click.Context, __: click.Parameter, value: str) -> float | None:
    if value == "mixed":
        return None
    try:
        return float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither mixed nor a number from 0 to 1.") from None


def _size(_: click.Context, __: click.Parameter, value: str) -> tuple[int, int]:
    width, cross, height = value.partition("x")
    if not (cross and width.isdigit() and height.isdigit()):
        raise click.BadParameter(f"{value!r} is not WIDTHxHEIGHT, as in 512x384.")
    return int(width), int(height)


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--images",
    type=int,
    help="Default: as in the standard sets; 2000 train, 100 val, 200 test.",
)
@click.option("--crowding", default="mixed", show_default=True, callback=_level, help="0 to 1, or mixed.")
@click.option("--people", type=int, help="People in an image. Default: 2 to 10.")
@click.option(
    "--keypoints",
    type=click.Choice(["14", "17"]),
    default="14",
    show_default=True,
    help="Keypoints per person.",
)
@click.option("--size", default="512x384", show_default=True, callback=_size, help="WIDTHxHEIGHT in pixels.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed for every scene.")
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    default="test",
    show_default=True,
    help="The split to write.",
)
@click.option("--workers", type=click.IntRange(1), help="Processes that draw. Default: the number of CPUs.")
def synth(
    out: Path,
    images: int | None,
    crowding: float | None,
    people: int | None,
    keypoints: str,
    size: tuple[int, int],
    seed: int,
    split: str,
    workers: int | None,
) -> None:
    """Write a set of drawn crowds to OUT, in CrowdPose's format.

    Seed, crowding and the other options determine every pixel; the number of workers does not matter. OUT may
    hold one set of each split. Without options this writes the standard set, the one that --split refers to
    when no --root is given.
    """
    from rich.console import Console
    from rich.progress import Progress

    from crowdbench_datasets.synthcrowd.export import annotation_path, generate, is_whole, require_room
    from crowdbench_datasets.synthcrowd.recipe import STANDARD_IMAGES, Recipe

    images = STANDARD_IMAGES[split] if images is None else images
    recipe = Recipe(split, images, crowding, people, int(keypoints), size[0], size[1], seed)
    if is_whole(recipe, out):
        say(f"{out} holds this very set already.")
        return
    require_room(recipe, out)
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        advance = partial(bar.advance, bar.add_task("Drawing", total=images))
        generate(recipe, out, advance, workers=workers)
    say(f"{images} images, annotations in {annotation_path(recipe, out)}.")
    say(f"Use them: crowdbench run METHOD synthcrowd --split {split} --root {out}")
