"""No command prints a name as it is: all go through one filter."""

import json
import re
from pathlib import Path

import pytest

from crowdbench import cli
from crowdbench.cli.echo import say, say_json

FOLDER = Path(cli.__file__).parent
HOSTILE = "\x1b]0;owned\x07\x9b31m\u202e\x7f\udcff\t"
# The filter itself, and tables of a chosen format, whose escapes are those of the format.
OWN_WAYS = {"echo.py", "exit_status.py", "leaderboard.py"}


@pytest.mark.parametrize("file", sorted(p.name for p in FOLDER.glob("*.py") if p.name not in OWN_WAYS))
def test_commands_print_through_the_filter_only(file: str) -> None:
    assert not re.findall(r"click\.(?:s?echo|secho)\(|(?<!\.)\bprint\(", (FOLDER / file).read_text("utf-8"))


def test_text_is_shown_and_lines_stay(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"a\n{HOSTILE}")
    say(f"b{HOSTILE}", err=True)
    said = capsys.readouterr()
    assert said.out == "a\n\\x1b]0;owned\\x07\\x9b31m\\u202e\\x7f\\udcff\\t\n"
    assert said.err.startswith("b\\x1b")


def test_json_means_what_it_meant(capsys: pytest.CaptureFixture[str]) -> None:
    for name in (HOSTILE, HOSTILE.replace("\udcff", ""), "ü²人"):
        say_json({"name": name})
        out = capsys.readouterr().out
        assert out.removesuffix("\n").isprintable()
        assert json.loads(out) == {"name": name.replace("\udcff", "\\xff")}
