"""Whatever is raised inside a command is one line on standard error and an exit status, never a trace."""

import errno
import logging
import os
from pathlib import Path

import click
import pytest

from crowdbench.cli.exit_status import described, status_of
from crowdbench.errors import DataError, RunError


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where traces are kept."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("CROWDBENCH_DEBUG", raising=False)
    return tmp_path / "state" / "crowdbench" / "log"


def failing(error: BaseException, status: int, capsys: pytest.CaptureFixture[str]) -> str:
    def command() -> None:
        raise error

    assert status_of(command, ["report", "runs"]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


LEFT_OVER = [
    (OSError(errno.ENOSPC, "No space left on device", "page.html"), "page.html: No space left on device."),
    (PermissionError(errno.EACCES, "Permission denied", "runs"), "runs: Permission denied."),
    (OSError(errno.EMFILE, "Too many open files"), "Too many open files. Too many files are open at once"),
    (OSError("words only"), "words only."),
    (MemoryError(), "out of memory"),
    (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
    (ValueError("of one\nand two"), "ValueError: of one. This is a fault"),
    (UnicodeEncodeError("ascii", "\udcff", 0, 1, "no"), "UnicodeEncodeError: "),
    (AssertionError(), "AssertionError. This is a fault"),
    (KeyError("name"), "KeyError: 'name'"),
]


@pytest.mark.parametrize(("error", "words"), LEFT_OVER, ids=lambda value: type(value).__name__)
def test_what_is_left_over_is_one_line_and_its_trace_is_kept(
    error: Exception, words: str, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = failing(error, 1, capsys)
    assert said.count("\n") == 1
    assert said.startswith("crowdbench report failed: ")
    assert words in said
    (kept,) = logs.iterdir()
    assert said.endswith(f" Details: {kept}.\n")
    text = kept.read_text()
    assert "crowdbench report runs" in text
    assert "in command\n    raise error" in text


def test_only_the_last_traces_are_kept(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs.mkdir(parents=True)
    for number in range(30):
        (logs / f"20200101-0000{number:02}-1.log").write_text("")
    failing(ValueError("x"), 1, capsys)
    assert len(list(logs.iterdir())) == 20


def test_where_no_log_can_be_written_the_line_says_how_to_see_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    said = failing(MemoryError(), 1, capsys)
    assert "CROWDBENCH_DEBUG=1" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(("error", "status"), [(ValueError("x"), 1), (DataError("y"), 2), (RunError("z"), 1)])
def test_debugging_shows_the_trace(
    error: Exception,
    status: int,
    logs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "Traceback" not in failing(error, status, capsys)
    monkeypatch.setenv("CROWDBENCH_DEBUG", "0")
    assert "Traceback" not in failing(error, status, capsys)
    monkeypatch.setenv("CROWDBENCH_DEBUG", "1")
    assert "Traceback" in failing(error, status, capsys)


ESCAPE = "\x1b]0;owned\x07 \x9b31m \u202ereversed \x7f \udcff"


@pytest.mark.parametrize(
    "error",
    [
        DataError(f"{ESCAPE}: no"),
        RunError(ESCAPE),
        click.UsageError(ESCAPE),
        click.FileError(ESCAPE, hint=ESCAPE),
        OSError(errno.ENOENT, "no", ESCAPE),
        ValueError(ESCAPE),
    ],
)
def test_nothing_in_an_error_reaches_the_terminal_raw(
    error: Exception, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = failing(error, getattr(error, "exit_status", getattr(error, "exit_code", 1)), capsys)
    assert all(character.isprintable() or character == "\n" for character in said)
    assert "\\x1b]0;owned\\x07 \\x9b31m \\u202ereversed \\x7f" in said


def test_nor_does_what_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        logging.getLogger("crowdbench").warning("a file called %s", ESCAPE)

    assert status_of(command, []) == 0
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.exceptions.Abort()])
def test_an_interrupt_is_said(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(error, 130, capsys) == "Interrupted.\n"


def test_a_rename_names_both_paths() -> None:
    error = OSError(errno.EXDEV, os.strerror(errno.EXDEV), "a", None, "b")
    assert described(error) == "a -> b: Invalid cross-device link."
