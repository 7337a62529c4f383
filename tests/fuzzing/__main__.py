"""``python -m fuzzing [TARGET ...] --minutes 60 --seed 7 --keep findings``."""

import argparse
import sys
import tempfile
from pathlib import Path

from fuzzing.all_targets import TARGETS
from fuzzing.runner import fuzz


def main() -> None:
    """Fuzz the targets in turn; exit status 1 if there are findings."""
    parser = argparse.ArgumentParser(prog="fuzzing", description=__doc__)
    parser.add_argument(
        "targets", nargs="*", default=list(TARGETS), metavar="TARGET", help=", ".join(TARGETS)
    )
    parser.add_argument("--minutes", type=float, default=2.0, help="In all.")
    parser.add_argument("--inputs", type=int, help="At most, of each target.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="A folder for the files that were found.")
    asked = parser.parse_args()
    found = 0
    for name in asked.targets:
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            seconds = 60 * asked.minutes / len(asked.targets)
            summary = fuzz(
                TARGETS[name](Path(folder)),
                seconds=seconds,
                seed=asked.seed,
                inputs=asked.inputs,
                keep=asked.keep,
            )
        print(f"{name}: {summary.inputs} inputs: {dict(summary.outcomes)}", flush=True)  # noqa: T201
        for key, trouble in summary.findings.items():
            print(f"  {key} {trouble}", flush=True)  # noqa: T201
        found += len(summary.findings)
    sys.exit(1 if found else 0)


main()
