"""``crowdbench export RUN --for SERVER``."""

from pathlib import Path

import click

from crowdbench.cli.echo import say
from crowdbench.cli.options import PATH, runs_option


@click.command()
@click.argument("name", metavar="RUN")
@click.option(
    "--for", "server", required=True, metavar="SERVER", help="The evaluation server, as in coco-server."
)
@click.option(
    "--out",
    type=PATH,
    default=Path(),
    metavar="DIR",
    help="Directory for the archive. Default: the current directory.",
)
@click.option(
    "--name", "algorithm", help="The algorithm's name in the file name. Default: the method's name."
)
@click.option("--force", is_flag=True, help="Overwrite a file that crowdbench did not write.")
@runs_option
def export(name: str, server: str, out: Path, algorithm: str | None, force: bool, runs: Path) -> None:
    """Pack a finished run for the evaluation server of its dataset.

    RUN is a run, by folder, id, job, method/dataset or method. It must be complete, and on a split that the
    server scores. Nothing is sent.
    """
    from crowdbench.evaluation.server_export import archive_for, is_archive
    from crowdbench.run_store.find import run_of
    from crowdbench.system.files.outputs import output_file

    run = run_of(name, runs)
    found = archive_for(run, server, algorithm)
    target = out / found.name
    output_file(target, is_own=is_archive, force=force).write(found.data)
    say(f"{target}: {found.predictions} predictions, {len(found.data) / 1e6:.1f} MB")
    if found.left_out:
        say(
            f"note: {found.left_out} predictions are left out: the server looks at the best "
            f"{found.form.per_image} of an image",
            err=True,
        )
    say(
        f"note: coordinates are rounded to {found.form.decimals} decimals, and confidences of keypoints, "
        f"which the server does not use, are {found.form.confidence}",
        err=True,
    )
