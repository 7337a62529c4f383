"""``crowdbench methods`` and ``crowdbench datasets``: what is installed, and where it comes from."""

from importlib.util import find_spec
from typing import Any

import click

from crowdbench import plugins
from crowdbench.cli.echo import say_json, say_table
from crowdbench.cli.options import json_option
from crowdbench.errors import PluginError
from crowdbench.system.plugin_calls import calling


@click.command()
@json_option("a JSON list instead of a table")
def methods(as_json: bool) -> None:
    """List the installed methods and where they come from.

    A plugin that does not load is listed with its error.
    """
    _show(_rows("method"), as_json)


@click.command()
@json_option("a JSON list instead of a table")
def datasets(as_json: bool) -> None:
    """List the installed datasets, their splits, and where they come from.

    A plugin that does not load is listed with its error.
    """
    _show(_rows("dataset"), as_json)


def _rows(kind: plugins.Kind) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, plugin in plugins.installed(kind).items():
        if isinstance(plugin, PluginError):
            rows.append({"name": name, "origin": "", "target": "", "error": str(plugin)})
            continue
        row = {"name": name, "origin": plugin.origin, "target": plugin.target, "error": None}
        try:
            with calling(f"{kind} {name}", "its class"):
                row |= _facts(kind, plugin)
        except PluginError as error:
            row["error"] = str(error)
        rows.append(row)
    return rows


def _facts(kind: plugins.Kind, plugin: plugins.Plugin) -> dict[str, Any]:
    """Check that a plugin is what it says.

    Methods of this distribution import torch, which takes seconds, and are tested with it: only their module
    is looked up. A third-party method is loaded, as nothing else tells whether it works.
    """
    ours = plugin.entry_point.dist is not None and plugin.entry_point.dist.name == "crowdbench"
    if kind == "method" and ours:
        if not _is_there(plugin.entry_point.module):
            raise PluginError(f"module {plugin.entry_point.module} is missing; reinstall {plugin.origin}")
        return {}
    if kind == "method":
        from crowdbench.api.load_method import method_class

        method = method_class(plugin.name)
        _must_have(method, plugin, "paradigm")
        return {"paradigm": method.paradigm}
    from crowdbench.api.dataset import dataset_class

    dataset = dataset_class(plugin.name)
    _must_have(dataset, plugin, "splits", "default_split")
    # A dataset may learn its keypoints only when it is opened.
    keypoints = getattr(dataset, "keypoints", None)
    return {
        "splits": list(dataset.splits),
        "default_split": dataset.default_split,
        "keypoints": None if keypoints is None else keypoints.count,
    }


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False  # not even the package


def _must_have(cls: type[object], plugin: plugins.Plugin, *attributes: str) -> None:
    missing = [name for name in attributes if not hasattr(cls, name)]
    if missing:
        raise PluginError(
            f"{plugin.kind} {plugin.name!r} of {plugin.origin} has no {' and no '.join(missing)}.\n"
            f"Its class {plugin.target} must set them as class attributes."
        )


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        say_json(rows)
        return
    shown = [
        {
            "name": row["name"],
            "origin": row["origin"],
            "from": row["target"],
            **({"splits": " ".join(row["splits"])} if "splits" in row else {}),
            "error": (row["error"] or "").splitlines()[0] if row["error"] else "",
        }
        for row in rows
    ]
    if not any(row["error"] for row in shown):
        shown = [{key: value for key, value in row.items() if key != "error"} for row in shown]
    say_table(shown)
