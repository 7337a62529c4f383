"""``crowdbench report RUN [RUN...]``."""

from pathlib import Path

import click

from crowdbench.cli.echo import say
from crowdbench.cli.options import PATH, root_option, runs_option


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--out", type=PATH, default=Path("report.html"), show_default=True, help="The HTML file to write."
)
@click.option("--force", is_flag=True, help="Overwrite a file that crowdbench did not write.")
@runs_option
@click.option(
    "--pictures",
    type=click.IntRange(0, 500),
    default=12,
    show_default=True,
    help="Images in each part of the gallery; 0 for none.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed for images chosen at random.")
@root_option
@click.option(
    "--annotations",
    type=PATH,
    help="The annotation file that the runs were scored on, if it is not the split's own.",
)
def report(
    names: tuple[str, ...],
    runs: Path,
    out: Path,
    force: bool,
    pictures: int,
    seed: int,
    root: Path | None,
    annotations: Path | None,
) -> None:
    """Write one HTML page about the runs RUN, side by side on the same images.

    RUN is a run, by folder, id, job, method/dataset or method, or a folder that holds runs.
    """
    import shlex
    import sys

    from crowdbench.report import is_page, report_data, report_html
    from crowdbench.run_store.find import runs_of
    from crowdbench.scoring.run_inputs import reopen_dataset
    from crowdbench.system.files.outputs import output_file

    target = output_file(out, is_own=is_page, force=force)
    found = runs_of(names, runs)
    dataset = reopen_dataset(found[0].record.protocol, root, annotations)
    data = report_data(
        found,
        dataset,
        pictures=pictures,
        seed=seed,
        command=shlex.join(["crowdbench", *sys.argv[1:]]),
        on_progress=lambda words: say(words, err=True),
    )
    page = report_html(data)
    target.write(page)
    say(
        f"{out}: {len(found)} run{'s' if len(found) > 1 else ''}, {len(page) / 1e6:.1f} MB",
        err=target.is_stdout,
    )
