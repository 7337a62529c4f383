"""``crowdbench sweep SUITE``."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from crowdbench.cli.echo import say, say_json, say_table, size_text
from crowdbench.cli.launch_options import refuse_queue_options, where_options
from crowdbench.cli.options import (
    batch_size_option,
    compile_option,
    device_option,
    json_option,
    key_value_pairs,
    named_paths,
    out_option,
    precision_option,
    seed_option,
    workers_option,
)
from crowdbench.cli.progress import in_words, show_progress, wait_for_jobs
from crowdbench.cli.stopping import stopping_cleanly
from crowdbench.jobs.job import Resources

if TYPE_CHECKING:
    from crowdbench.jobs.launcher import Queue
    from crowdbench.jobs.request import Request
    from crowdbench.run_store.run import Run
    from crowdbench.suites.plan import PlannedRun
    from crowdbench.suites.run import RunOutcome


@click.command()
@click.argument("suite")
@click.option("--dry-run", is_flag=True, help="Print the plan and what is missing on this machine.")
@click.option(
    "--only", metavar="PATTERN", help="Select runs whose method, dataset or METHOD/DATASET matches."
)
@click.option(
    "--root", "roots", multiple=True, callback=named_paths, metavar="DATASET=DIR", help="A dataset's folder."
)
@click.option(
    "--boxes",
    multiple=True,
    callback=named_paths,
    metavar="NAME=FILE",
    help="The results file of one of the suite's detectors.",
)
@click.option(
    "--box-score",
    type=float,
    metavar="SCORE",
    help="Use only detectors' boxes with at least this score. Default: the suite's.",
)
@click.option("--weights", help="Weights for all runs instead of the suite's, as for crowdbench run.")
@where_options
@click.option(
    "--parallel", type=click.IntRange(1), help="How many runs may run at the same time. On a cluster only."
)
@click.option(
    "--retry",
    is_flag=True,
    help="Also submit runs that failed because of an error of their own. On a cluster only.",
)
@device_option
@precision_option
@compile_option
@batch_size_option
@workers_option
@click.option(
    "--limit",
    type=click.IntRange(1),
    help="Evaluate only the first N images of each; results are marked partial.",
)
@seed_option
@out_option
@click.option("--again", is_flag=True, help="Recompute what is done.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    callback=key_value_pairs,
    metavar="KEY=VALUE",
    help="Override a setting of all runs.",
)
@json_option("a JSON list instead of a table")
def sweep(
    suite: str,
    dry_run: bool,
    where: str,
    gpus: int | None,
    nodes: int | None,
    wait: bool,
    parallel: int | None,
    retry: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run the missing runs of SUITE, and show all results next to the published ones.

    SUITE is the name of an installed suite or a .toml file. Runs that lack something on this machine are
    skipped and named; a run that fails does not stop the others. On a cluster all are submitted together;
    run the same command again to resubmit what was lost. Jobs in progress are left alone.
    """
    from crowdbench.errors import RunError
    from crowdbench.jobs.launcher import load_launcher
    from crowdbench.suites.plan import plan
    from crowdbench.suites.run import RunOutcome, run_all
    from crowdbench.suites.suite import load_suite

    queue = load_launcher(where)
    if queue is None:
        refuse_queue_options(gpus, nodes, wait)
        if parallel is not None or retry:
            raise click.UsageError("--parallel and --retry go with --on slurm, or a profile.")
    opened = load_suite(suite)
    cells = plan(opened, command=tuple(sys.argv), **options)
    if dry_run:
        outcomes = [RunOutcome(cell, cell.run) for cell in cells]
    elif queue is not None:
        outcomes = _submit(cells, queue, Resources(gpus, nodes), parallel, retry, wait)
    else:
        with stopping_cleanly():
            outcomes = list(run_all(cells, _run_here))
    if as_json:
        _print_json(outcomes)
    else:
        say(f"{opened.name}: {opened.description}\n")
        _print_table(outcomes, options["limit"])
    undone = [outcome for outcome in outcomes if outcome.run is None and outcome.how is None]
    if undone and not dry_run:
        missing = sum(outcome.cell.state == "missing" for outcome in undone)
        raise RunError(
            f"{len(undone)} of {len(outcomes)} runs are not done: {len(undone) - missing} failed, "
            f"{missing} lack something."
        )


def _submit(
    cells: "Sequence[PlannedRun]",
    queue: "Queue",
    resources: Resources,
    parallel: int | None,
    retry: bool,
    wait: bool,
) -> "list[RunOutcome]":
    from crowdbench.jobs.execute import preflight
    from crowdbench.suites.run import refresh, submit_all

    for cell in cells:
        if cell.state == "fetch":
            with show_progress(cell.request.method) as show:
                preflight(cell.request, show)
    outcomes = submit_all(cells, queue, resources, max_parallel=parallel, retry=retry)
    jobs = [outcome.job for outcome in outcomes if outcome.job is not None and outcome.how is not None]
    if not wait or not jobs:
        return outcomes
    words = {row.job: in_words(row) for row in wait_for_jobs(list(dict.fromkeys(jobs)))}
    return [
        refresh(outcome, words.get(outcome.job.folder, "")) if outcome.job is not None else outcome
        for outcome in outcomes
    ]


def _run_here(request: "Request") -> "Run | None":
    from crowdbench.jobs.execute import run_evaluation, run_training
    from crowdbench.jobs.request import EvaluationRequest

    with show_progress(f"{request.method} on {request.dataset}") as show:
        if isinstance(request, EvaluationRequest):
            return run_evaluation(request, show)
        return run_training(request, show).run


_HOW = {"submitted": "submitted", "waiting": "waiting", "running": "running"}


def _print_json(outcomes: "Sequence[RunOutcome]") -> None:
    import msgspec

    from crowdbench.run_store.record import extent_of_run

    rows = [
        {
            **msgspec.to_builtins(outcome.cell.row),
            "split": outcome.cell.request.split,
            "seed": outcome.cell.request.seed,
            "settings": outcome.cell.request.settings,
            "weights": getattr(outcome.cell.request, "weights", "trained"),
            "published_ap": _published(outcome),
            "ap": _measured(outcome.run),
            "extent": extent_of_run(outcome.run.record).words if outcome.run else None,
            "state": _word(outcome),
            "job": outcome.job.name if outcome.job else None,
            "missing": outcome.cell.missing,
            "error": outcome.error,
            "run": str(outcome.run.directory) if outcome.run else None,
            "computed": outcome.run is not None and not outcome.run.was_done_before,
        }
        for outcome in outcomes
    ]
    say_json(rows)


def _print_table(outcomes: "Sequence[RunOutcome]", limit: int | None) -> None:
    notes: dict[str, int] = {}
    measured = "AP" if limit is None else f"AP of {limit} images"
    rows = [
        {
            "table": outcome.cell.row.table,
            "method": outcome.cell.row.method,
            "dataset": f"{outcome.cell.request.dataset} {outcome.cell.request.split or ''}".strip(),
            "boxes": outcome.cell.row.boxes,
            "seed": "" if outcome.cell.row.seed is None else str(outcome.cell.row.seed),
            "settings": " ".join(
                f"{name}={size_text(v)}" for name, v in outcome.cell.request.settings.items()
            ),
            "published AP": _percent(_published(outcome)),
            measured: _percent(_measured(outcome.run)),
            "state": _state(outcome, notes),
        }
        for outcome in outcomes
    ]
    kept = [name for name in rows[0] if any(row[name] for row in rows)]
    right = ("published AP", measured)
    cells = [[row[name] for name in kept] for row in rows]
    say_table(cells, kept, colalign=["right" if name in right else "left" for name in kept])
    for note, number in notes.items():
        say(f"\n[{number}] " + note.replace("\n", "\n    "))
    say(f"\n{_summary(outcomes)}")
    if any(outcome.run is not None and outcome.run.was_done_before for outcome in outcomes):
        say("Runs that were done before were not computed again; --again computes them anew.")


def _state(outcome: "RunOutcome", notes: dict[str, int]) -> str:
    """One word or two; what there is more to say goes into the notes, once."""
    from crowdbench.run_store.record import extent_of_run

    def noted(text: str) -> str:
        return f"[{notes.setdefault(text, len(notes) + 1)}]"

    cell = outcome.cell
    if outcome.run is not None:
        record = outcome.run.record
        words = extent_of_run(record).words
        on = f" on {words}" if words else ""
        if outcome.run.was_done_before:
            return f"done before{on}, {(record.finished or record.started)[:10]}: {record.id}"
        return f"done{on}: {record.id}"
    if outcome.how is not None and outcome.job is not None:
        return f"{_HOW[outcome.how]}: {outcome.job.name}"
    if outcome.error is not None and cell.state != "missing":
        return f"failed {noted(outcome.error)}"
    lacking = ", ".join(f"{missing.what} {noted(missing.detail)}" for missing in cell.missing)
    return {"ready": "ready", "fetch": f"ready, fetches {lacking}"}.get(cell.state, f"missing {lacking}")


def _summary(outcomes: "Sequence[RunOutcome]") -> str:
    words = {
        "done": "done",
        "sample": "done, but not on the whole split: not to be compared with published figures",
        "failed": "failed",
        "ready": "ready",
        "fetch": "ready once weights are fetched",
        "missing": "missing something",
        **_HOW,
    }
    states = [_word(outcome) for outcome in outcomes]
    counts = [f"{states.count(state)} {word}" for state, word in words.items() if state in states]
    return f"{len(outcomes)} run{'' if len(outcomes) == 1 else 's'}: {', '.join(counts)}."


def _word(outcome: "RunOutcome") -> str:
    from crowdbench.suites.plan import state_of

    if outcome.run is not None:
        return state_of(outcome.run)
    if outcome.error is not None and outcome.cell.state != "missing":
        return "failed"
    return outcome.how or outcome.cell.state


def _published(outcome: "RunOutcome") -> float | None:
    """The figure beside which the run may stand: none if it is of something else than the whole split."""
    return None if _word(outcome) == "sample" else outcome.cell.row.ap


def _measured(run: "Run | None") -> float | None:
    score = None if run is None or run.scores is None else run.scores.get("AP")
    return None if score is None or score < 0 else 100 * score


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
