"""Damaged files of every kind, for two minutes: the right number, a number with a warning, or one clear error.

``make fuzz MINUTES=60`` goes on for longer, with other inputs.
"""

from pathlib import Path

import pytest
from fuzzing.all_targets import TARGETS
from fuzzing.runner import fuzz

SECONDS = 13.0


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_end_in_the_right_number_or_in_one_clear_error(name: str, tmp_path: Path) -> None:
    summary = fuzz(TARGETS[name](tmp_path), seconds=SECONDS, seed=0)
    assert not summary.findings, "\n\n".join(summary.findings.values())
    # Of the sound ones some must be read, or nothing is tried but the refusals.
    assert summary.outcomes["right"] > 0
    assert summary.outcomes["refused"] > 0 or name == "runs"
