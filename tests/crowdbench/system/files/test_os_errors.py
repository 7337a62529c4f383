"""Files that cannot be written: one error with the path, the reason and what to do; nothing left behind."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crowdbench.errors import MachineError
from crowdbench.system.files.os_errors import cannot_write, is_in_cache, reason, writing
from crowdbench.system.files.writing import write_whole


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """What a full disk is to a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_that_does_not_fit_leaves_the_old_one_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_whole(path, b"old")
    with files_up_to(1000), pytest.raises(MachineError, match=r"report\.html: cannot be written \(File too"):
        write_whole(path, b"new" * 1000)
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["report.html"]


def place_below_a_file(folder: Path) -> Path:
    (folder / "file").write_bytes(b"")
    return folder / "file" / "below"


def place_of_a_folder(folder: Path) -> Path:
    (folder / "taken").mkdir()
    return folder / "taken"


def place_in_a_circle(folder: Path) -> Path:
    (folder / "circle").symlink_to("circle")
    return folder / "circle" / "file"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (place_below_a_file, "is not a folder"),
        (place_of_a_folder, "Is a directory). Give the name of a file"),
        (place_in_a_circle, "is there already"),
        (lambda folder: folder / ("n" * 300), "File name too long). Give a shorter name"),
        (lambda folder: folder / "a\0b", "null"),
        (lambda folder: Path("/proc/nothing/can/be/made/here"), "cannot be written"),
    ],
)
def test_each_reason_has_words_and_nothing_is_left(place: object, words: str, tmp_path: Path) -> None:
    assert callable(place)
    path = place(tmp_path)
    before = names_in(tmp_path)
    with pytest.raises(MachineError) as refused:
        write_whole(path, b"data")
    assert words in str(refused.value)
    assert str(path) in str(refused.value)
    assert names_in(tmp_path) == before


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127, "\udcff" * 255])
def test_names_as_long_as_the_file_system_allows_can_be_written(name: str, tmp_path: Path) -> None:
    write_whole(tmp_path / name, b"data")
    assert names_in(tmp_path) == [name]


def test_a_full_or_forbidden_place_says_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CROWDBENCH_CACHE", str(tmp_path / "cache"))
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
        failure = OSError(number, os.strerror(number))
        told = str(cannot_write(tmp_path / "runs/a", failure))
        assert f"({os.strerror(number)})" in told
        assert "--out" in told
        of_cache = str(cannot_write(tmp_path / "cache/weights/a", failure))
        assert "set CROWDBENCH_CACHE" in of_cache
        assert "--out" not in of_cache
    assert is_in_cache(tmp_path / "cache/../cache/x")
    assert not is_in_cache(tmp_path / "cache2")


def test_an_error_of_the_products_own_passes() -> None:
    with pytest.raises(MachineError, match="its own"), writing(Path("x")):
        raise MachineError("its own")


def test_reasons_are_never_empty() -> None:
    assert reason(OSError()) == "OSError"
    assert reason(OSError("words")) == "words"
    assert reason(MemoryError()) == "MemoryError"
    assert "encoding" in reason(UnicodeEncodeError("ascii", "ü", 0, 1, "ordinal not in range(128)"))
