"""``crowdbench check NAME``."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crowdbench.cli.echo import say, say_json
from crowdbench.cli.options import PATH, json_option, settings_option

if TYPE_CHECKING:
    from crowdbench.testing import CheckResult

_MARKS = {"Passed": "passed", "Failed": "FAILED", "Inapplicable": "does not apply"}


@click.command()
@click.argument("name")
@click.option(
    "--dataset", help="The dataset whose keypoints and settings a method uses. Default: the first installed."
)
@click.option(
    "--root", type=PATH, help="The dataset's folder; a method's poses are then compared with its annotations."
)
@click.option("--split", help="The dataset's split. Default: the one that papers report.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    help="Compare a method with the first N annotated images. Default: 200, with --root or --split.",
)
@click.option(
    "--weights",
    help=(
        "A method's weights: published, the name of published weights, a file, or none for random "
        "weights. Default: none."
    ),
)
@settings_option
@click.option("--only", metavar="CHECK", help="Run only this check.")
@json_option("a JSON list instead")
def check(name: str, only: str | None, as_json: bool, **options: Any) -> None:
    """Check that NAME, a method or a dataset, follows the plugin contract.

    A method needs no dataset and no weights for most of this. With --root, --split or --limit its poses are
    also compared with the annotations of --dataset. The exit status is 1 if a check failed.
    """
    about = _about(name)
    findings = _of_method(name, only, **options) if about == "method" else _of_dataset(name, only, **options)
    made = list(findings) if as_json else list(_shown_as_made(findings))
    if as_json:
        _print_json(made)
    else:
        _print_summary(made)
    if any(_kind(finding) == "Failed" for finding in made):
        sys.exit(1)


def _about(name: str) -> str:
    """What a name stands for.

    Raises:
        UnknownNameError: neither a method nor a dataset.
        UsageError: both.
    """
    from crowdbench.errors import UnknownNameError
    from crowdbench.plugins import installed

    methods, datasets = installed("method"), installed("dataset")
    if name in methods and name in datasets:
        raise click.UsageError(f"both a method and a dataset are called {name!r}; uninstall one of them.")
    if name not in methods and name not in datasets:
        raise UnknownNameError("method or dataset", name, {*methods, *datasets})
    return "method" if name in methods else "dataset"


def _of_method(
    name: str,
    only: str | None,
    *,
    dataset: str | None,
    root: Path | None,
    split: str | None,
    limit: int | None,
    weights: str | None,
    settings: dict[str, str],
) -> "Iterator[CheckResult]":
    from crowdbench.api.dataset import load_dataset
    from crowdbench.api.load_method import load_method
    from crowdbench.testing import check_method
    from crowdbench.testing.annotated import LIMIT
    from crowdbench.testing.annotated_checks import ANNOTATED_CHECKS
    from crowdbench.testing.contract import first_dataset
    from crowdbench.testing.method_checks import METHOD_CHECKS

    beside = root is not None or split is not None or limit is not None
    if beside and dataset is None:
        raise click.UsageError("--root, --split and --limit are of a dataset; name it with --dataset.")
    _require_check(
        only, [*(known.name for known in METHOD_CHECKS), *(known.name for known in ANNOTATED_CHECKS)]
    )
    of = dataset or first_dataset()
    annotated = load_dataset(of, split=split, root=root) if beside else None
    return check_method(
        lambda: load_method(name, annotated or of, **settings),
        dataset=of,
        weights=weights or "none",
        only=only,
        annotated=annotated,
        limit=limit or LIMIT,
    )


def _of_dataset(
    name: str,
    only: str | None,
    *,
    dataset: str | None,
    root: Path | None,
    split: str | None,
    limit: int | None,
    weights: str | None,
    settings: dict[str, str],
) -> "Iterator[CheckResult]":
    from crowdbench.api.dataset import load_dataset
    from crowdbench.testing import check_dataset
    from crowdbench.testing.dataset_checks import DATASET_CHECKS

    _refuse(
        "a dataset", {"--dataset": dataset, "--weights": weights, "--limit": limit, "--set": settings or None}
    )
    _require_check(only, [known.name for known in DATASET_CHECKS])
    load_dataset(name, split=split, root=root)  # what is not there is wrong input, not a failed check
    return check_dataset(lambda: load_dataset(name, split=split, root=root), root=root, only=only)


def _refuse(about: str, given: dict[str, object]) -> None:
    for option, value in given.items():
        if value is not None:
            raise click.UsageError(f"{option} says nothing about {about}; leave it out.")


def _require_check(name: str | None, known: Sequence[str]) -> None:
    from crowdbench.errors import UnknownNameError

    if name is not None and name not in known:
        raise UnknownNameError("check", name, known)


def _kind(finding: "CheckResult") -> str:
    return type(finding.outcome).__name__


def _remark(finding: "CheckResult") -> str:
    from crowdbench.testing import Inapplicable, Passed

    outcome = finding.outcome
    if isinstance(outcome, Passed):
        return outcome.note
    return outcome.reason if isinstance(outcome, Inapplicable) else finding.question


def _shown_as_made(findings: "Iterator[CheckResult]") -> "Iterator[CheckResult]":
    for finding in findings:
        mark = _MARKS[_kind(finding)]
        remark = _remark(finding)
        say(f"{finding.name:<18} {mark}" + (f": {remark}" if remark else ""))
        yield finding


def _print_summary(made: "list[CheckResult]") -> None:
    from crowdbench.testing import Failed

    failed = [finding for finding in made if isinstance(finding.outcome, Failed)]
    for finding in failed:
        say(f"\n{finding.name}: {finding.question}")
        say("  " + str(finding.outcome).replace("\n", "\n  "))
    passed = sum(_kind(finding) == "Passed" for finding in made)
    rest = len(made) - passed - len(failed)
    say(f"\n{passed} passed, {len(failed)} failed, {rest} did not apply.")


def _print_json(made: "list[CheckResult]") -> None:
    import msgspec

    content = [
        {
            "check": finding.name,
            "question": finding.question,
            "outcome": _MARKS[_kind(finding)].lower(),
            **msgspec.to_builtins(finding.outcome),
        }
        for finding in made
    ]
    say_json(content)
