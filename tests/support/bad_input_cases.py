"""What the tables of docs/bad-input.md say, and the cases that make them true.

A row is ``| `name`: what is wrong | status | `words` … |``; all words in backticks of the last column must stand
in what the command says (white space and line breaks are folded). A case of that name makes the input in an
empty folder and returns the command's arguments. Cases stand in ``tests/bad_input/test_*.py``, one file a section.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from crowdbench.cli import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "bad-input.md"
Make = Callable[[Path], list[str]]


@dataclass(frozen=True)
class Row:
    """A row of the page: a case, the exit status, and what must stand in the output."""

    name: str
    status: int
    words: tuple[str, ...]


def rows(section: str) -> dict[str, Row]:
    """The rows of a section of the page, by name."""
    text = PAGE.read_text("utf-8").split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    found = {}
    for line in text.splitlines():
        match = re.fullmatch(r"\| `([\w-]+)`: .+ \| (\d+) \| (.*) \|", line)
        if match:
            name, status, says = match.groups()
            assert name not in found, f"{name} stands twice in {section}"
            found[name] = Row(name, int(status), tuple(re.findall(r"`([^`]+)`", says)))
        else:
            assert not line.startswith("| `"), f"not a row: {line}"
    return found


class Cases:
    """The cases of a section, each under the name of its row."""

    def __init__(self, section: str) -> None:
        self.rows = rows(section)
        self.makers: dict[str, Make] = {}

    def __call__(self, name: str) -> Callable[[Make], Make]:
        """Register a function that makes the input in a folder and returns the arguments."""

        def register(make: Make) -> Make:
            assert name not in self.makers, name
            self.makers[name] = make
            return make

        return register

    def check_complete(self) -> None:
        """Every row has a case and every case a row."""
        assert sorted(self.makers) == sorted(self.rows)

    def check(
        self, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> str:
        """Make the input, give the command in its folder, compare with the row; returns what was said."""
        monkeypatch.chdir(folder)
        monkeypatch.setenv("COLUMNS", "250")
        arguments = self.makers[name](folder)
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        captured = capsys.readouterr()
        said = captured.out + captured.err
        row = self.rows[name]
        assert (ended.value.code or 0) == row.status, said
        assert "Traceback" not in said, said
        folded = " ".join(said.split())
        for words in row.words:
            assert " ".join(words.split()) in folded, said
        return said
