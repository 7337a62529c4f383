"""``crowdbench weights``: list, fetch and convert published weights."""

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crowdbench.cli.echo import say, say_json, say_table, size_text
from crowdbench.cli.groups import PluginGroup
from crowdbench.cli.options import PATH, json_option
from crowdbench.cli.progress import show_progress

if TYPE_CHECKING:
    from crowdbench.weights import Wanted, WeightsEntry


@click.group(cls=PluginGroup)
def weights() -> None:
    """List, fetch and convert published weights."""


@weights.command("list")
@json_option("a JSON list instead of a table")
def list_(as_json: bool) -> None:
    """List the published weights, and which of them are here.

    NAME is what `crowdbench run --weights` and `crowdbench weights fetch` take.
    """
    from crowdbench.weights import weights_folder, weights_table

    rows = [_row(entry) for entry in weights_table().values()]
    if as_json:
        say_json(rows)
        return
    shown = [
        {
            "name": row["name"],
            "role": row["role"],
            "training data": row["training_data"] or "unknown",
            "input": size_text(row["input_size"] or "any"),
            "state": row["state"],
        }
        for row in rows
    ]
    say_table(shown)
    say(f"\nKept in {weights_folder()}")


def _row(entry: "WeightsEntry") -> dict[str, Any]:
    import msgspec

    from crowdbench.weights import Wanted

    wanted = Wanted.of_entry(entry)
    return {**msgspec.to_builtins(entry), "path": str(wanted.path), "state": wanted.state}


@weights.command()
@click.argument("names", nargs=-1, metavar="[NAME|URL]...")
@click.option(
    "--all", "everything", is_flag=True, help="Fetch all weights that can be downloaded without a browser."
)
@click.option("--again", is_flag=True, help="Fetch cached files again, and trust the new ones.")
def fetch(names: tuple[str, ...], everything: bool, again: bool) -> None:
    """Fetch weights into the cache, and print their paths.

    Cached files are checked against their digests. Interrupted downloads are resumed.
    """
    from crowdbench.weights import Wanted, weights_table
    from crowdbench.weights import fetch as fetch_one

    if bool(names) == everything:
        raise click.UsageError("Give names or URLs (`crowdbench weights list` shows them), or --all.")
    if everything and again:
        raise click.UsageError("--again takes names or URLs, not --all.")
    by_hand: list[str] = []
    entries = weights_table().values() if everything else ()
    for wanted in (*map(Wanted.of_entry, entries), *map(_wanted, names)):
        if everything and wanted.url is None and not wanted.is_here:
            by_hand.append(wanted.name)
            continue
        with show_progress(wanted.name, level=logging.INFO) as show:
            fetch_one(wanted, show, again=again)
        say(wanted.path)
    if by_hand:
        say(f"note: to be fetched by hand: {', '.join(by_hand)}", err=True)
        say(f"`crowdbench weights fetch {by_hand[0]}` says how.", err=True)


def _wanted(name: str) -> "Wanted":
    from crowdbench.errors import UnknownNameError
    from crowdbench.weights import Wanted, find_wanted, weights_table

    found = find_wanted(name)
    if found is None:
        raise UnknownNameError("published file of weights", name, weights_table())
    return found if isinstance(found, Wanted) else Wanted.of_entry(found)


@weights.command()
@click.argument("file", type=PATH)
@click.argument("out", type=PATH)
@click.option("--method", help="With --dataset: first make sure that the weights fit its network.")
@click.option("--dataset", help="With --method: the dataset whose network to build.")
@click.option("--part", help="Which weights, where FILE holds several sets, as in ema or teacher.")
def convert(file: Path, out: Path, method: str | None, dataset: str | None, part: str | None) -> None:
    """Rewrite FILE, a checkpoint of any of the usual forms, as OUT.safetensors.

    Nothing in FILE is executed. OUT says in its header what it was made from.
    """
    from crowdbench.weights.checkpoint_file.state_dict import convert as rewrite

    if (method is None) != (dataset is None):
        raise click.UsageError("--method and --dataset belong together.")
    if method is not None and dataset is not None:
        from crowdbench.api.load_method import load_method
        from crowdbench.api.method import NetworkMethod
        from crowdbench.engine import hooks
        from crowdbench.errors import SettingsError

        loaded = load_method(method, dataset)
        if not isinstance(loaded, NetworkMethod):
            raise SettingsError(f"{method} has no network that weights could fit.")
        notes = rewrite(
            file,
            out,
            hooks.build_network(loaded),
            part=part,
            rename=partial(hooks.convert_state_dict, loaded),
        )
    else:
        notes = rewrite(file, out, part=part)
    for note in notes:
        say(f"note: {note}", err=True)
    say(out)
