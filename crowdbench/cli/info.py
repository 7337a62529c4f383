"""``crowdbench info METHOD [DATASET]``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from crowdbench.cli.echo import say, say_json, say_table, size_text
from crowdbench.cli.options import json_option, settings_option

if TYPE_CHECKING:
    from crowdbench.api.method_cards import Card
    from crowdbench.leaderboard.published import PublishedResult
    from crowdbench.weights import WeightsEntry


@click.command()
@click.argument("method")
@click.argument("dataset", required=False)
@settings_option
@json_option("one JSON object instead")
def info(method: str, dataset: str | None, settings: dict[str, str], as_json: bool) -> None:
    """Show what METHOD is: paper, weights, published results; with DATASET also its network's size and cost.

    GFLOPs count a multiply-add as two operations. Most papers print multiply-adds, shown next to them, and
    call them GFLOPs.
    """
    from crowdbench.api.method_cards import card_of
    from crowdbench.jobs.preflight import require_method
    from crowdbench.leaderboard.published import published_results
    from crowdbench.plugins import Plugin, installed
    from crowdbench.weights import Wanted, weights_table

    if settings and dataset is None:
        raise click.UsageError("--set needs a DATASET: settings differ between datasets.")
    require_method(method)
    plugin = installed("method")[method]
    on_dataset = None if dataset is None else _configured(method, dataset, settings)
    card = card_of(method)
    results = published_results(name=method, dataset=dataset)
    weights = [
        entry
        for entry in weights_table().values()
        if entry.method == method and (dataset is None or entry.dataset in (dataset, None))
    ]
    if as_json:
        import msgspec

        content = {
            "method": method,
            "origin": plugin.origin if isinstance(plugin, Plugin) else None,
            "card": card,
            "on_dataset": on_dataset,
            "weights": [
                {**msgspec.to_builtins(entry), "is_here": Wanted.of_entry(entry).is_here} for entry in weights
            ],
            "published_results": results,
        }
        say_json(content)
        return
    _print_card(method, card)
    if on_dataset is not None:
        _print_network(on_dataset)
    where = "" if dataset is None else f" on {dataset}"
    _print_weights(weights, where)
    _print_results(results, where)
    if card is not None:
        say(f"\nCitation\n\n{card.work.citation.strip()}")


def _configured(method: str, dataset: str, settings: dict[str, str]) -> dict[str, Any]:
    """What holds for one dataset; the network is built and run once, on one person."""
    import dataclasses

    import msgspec

    from crowdbench.api.load_method import load_method
    from crowdbench.api.method import NetworkMethod
    from crowdbench.engine.complexity import complexity

    loaded = load_method(method, dataset, **settings)
    network = None
    if isinstance(loaded, NetworkMethod):
        found = complexity(loaded)
        network = {**dataclasses.asdict(found), "macs": found.macs}
    return {
        "dataset": dataset,
        "paradigm": loaded.paradigm,
        "keypoints": loaded.keypoints.count,
        "input_size": getattr(loaded.settings, "input_size", None),
        "settings": msgspec.to_builtins(loaded.settings),
        "network": network,
    }


def _print_card(method: str, card: "Card | None") -> None:
    if card is None:
        say(f"{method}: its package ships no card.")
        return
    work = card.work
    say(f"{method}: {card.description}\n")
    say(f"{work.title} ({work.venue} {work.year})\n{', '.join(work.authors)}")
    if work.code is not None:
        say(work.code)


def _print_network(found: dict[str, Any]) -> None:
    lines = [("paradigm", found["paradigm"]), ("keypoints", str(found["keypoints"]))]
    if found["input_size"] is not None:
        lines.append(("input", f"{size_text(found['input_size'])} (height x width)"))
    network = found["network"]
    if network is None:
        lines.append(("network", "none that crowdbench could count: the method computes poses by itself"))
    else:
        total, trainable = network["parameters"], network["trainable"]
        fixed = "" if total == trainable else f", {(total - trainable) / 1e6:.2f} M of them fixed"
        lines += [
            ("parameters", f"{total / 1e6:.2f} M{fixed}"),
            ("computation", f"{network['flops'] / 1e9:.2f} GFLOPs per {network['per']}, without flip test"),
            ("", f'= {network["macs"] / 1e9:.2f} GMACs, which most papers print as "GFLOPs"'),
        ]
        if network["per"] == "image":
            lines.append(("", f"on an image of {size_text(network['image_size'])}"))
    say(f"\nOn {found['dataset']}\n")
    say_table(lines, (), tablefmt="plain")


def _print_weights(entries: "Sequence[WeightsEntry]", where: str) -> None:
    from crowdbench.weights import Wanted

    if not entries:
        say(f"\nNo weights are published{where}.")
        return
    rows = [
        {
            "weights": entry.name,
            "training data": entry.training_data or "unknown",
            "input": "any" if entry.input_size is None else size_text(entry.input_size),
            "state": Wanted.of_entry(entry).state,
        }
        for entry in entries
    ]
    say(f"\nPublished weights{where}\n")
    say_table(rows)


def _print_results(results: "Sequence[PublishedResult]", where: str) -> None:
    if not results:
        say(f"\nNo results are published{where}.")
        return
    notes: dict[str, int] = {}
    columns = {
        "dataset": "dataset",
        "split": "split",
        "protocol": "boxes",
        "input": "input",
        "ap": "AP",
        "ap50": "AP50",
        "ap75": "AP75",
        "apm": "AP_M",
        "apl": "AP_L",
        "ap_easy": "AP_easy",
        "ap_medium": "AP_medium",
        "ap_hard": "AP_hard",
        "ar": "AR",
        "params_m": "params (M)",
        "gflops": "GFLOPs as printed",
        "train": "trained on",
    }
    shown = [name for name in columns if any(getattr(row, name) is not None for row in results)]
    rows = []
    for row in results:
        said = row.source if row.note is None else f"{row.source}\n{row.note}"
        number = notes.setdefault(said, len(notes) + 1)
        cells = [getattr(row, name) for name in shown]
        rows.append([*("" if cell is None else str(cell) for cell in cells), f"[{number}]"])
    say(f"\nPublished results{where}\n")
    say_table(rows, [*(columns[name] for name in shown), "source"])
    say()
    for note, number in notes.items():
        say(f"[{number}] " + note.replace("\n", "\n    "))
