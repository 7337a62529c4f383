"""Which tests need something that is not everywhere, and what of it the end of a run says.

Markers follow from the fixtures that tests ask for; groups of skipped tests from the reasons of the skips.
"""

from collections import Counter
from collections.abc import Iterable

import pytest
from _pytest.terminal import TerminalReporter

# Tests that ask for one of these fixtures get the marker.
MARKED = {
    "cluster": {"cluster", "slurm_programs"},
    "browser": {"chromium"},
    "reference": {"reference", "real_data", "cases"},
}
# What a reason has in it, and what is said of tests that were skipped for it. The first that fits counts.
GROUPS = (
    ("Slurm", "need Slurm (slurm/dev-cluster install)"),
    ("Chromium", "need a browser (apt-get install chromium)"),
    ("CUDA", "need a GPU, or a machine without one"),
    ("is not installed", "need a tool that CI installs (xtcocotools)"),
    ("rtmlib", "need rtmlib"),
    ("lets this user mount", "need to mount a small disk"),
    ("reference data", "need photographs, or what was measured on them"),
    ("compact golden numbers", "compare again, with the whole golden numbers"),
    ("", "need something else (-rs says what)"),
)


def mark_by_fixtures(items: Iterable[pytest.Item]) -> None:
    """Mark the tests that need a cluster, a browser or the reference data."""
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        for marker, fixtures in MARKED.items():
            if names & fixtures:
                item.add_marker(marker)


def group_of(reason: str) -> str:
    """What is said of a test that was skipped for this reason."""
    return next(said for word, said in GROUPS if word in reason)


def not_run(reasons: Iterable[str]) -> str:
    """One line about skipped tests, by the kind of what they need; empty if there are none."""
    counts = Counter(group_of(reason) for reason in reasons)
    said = [f"{counts[group]} {group}" for _, group in GROUPS if counts[group]]
    if not said:
        return ""
    return f"Not run ({counts.total()} of all tests): {', '.join(said)}."


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say at the end of a run which tests did not run, and what they need."""
    reports = terminalreporter.stats.get("skipped", ())
    line = not_run(report.longrepr[2] for report in reports if isinstance(report.longrepr, tuple))
    if line:
        terminalreporter.section("tests that did not run")
        terminalreporter.write_line(line)
