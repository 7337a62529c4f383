"""docs/report.md names every option."""

import re
from pathlib import Path

from crowdbench.cli.report import report

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "report.md").read_text()


def test_every_option_is_named_with_its_default() -> None:
    rows = dict(re.findall(r"^\| (`--.+?) \| (.+) \|$", PAGE, re.MULTILINE))
    told = {name: text for names, text in rows.items() for name in re.findall(r"--[a-z-]+", names)}
    for parameter in report.params:
        for name in parameter.opts:
            if name.startswith("--"):
                assert name in told
                if parameter.default is not None and "Sentinel" not in str(parameter.default):
                    assert str(parameter.default) in told[name]
