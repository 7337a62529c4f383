"""Digests of files: read once, and again when anything about the file changed."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from crowdbench.system.files import digests
from crowdbench.system.files.digests import MISSING, UNREADABLE, FileDigests


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three files that have lain there for a while."""
    monkeypatch.setenv("CROWDBENCH_CACHE", str(tmp_path / "cache"))
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path in paths:
        path.write_text(path.name)
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 10**10)
    return list(map(str, paths))


def known(paths: list[str]) -> list[str]:
    found = FileDigests("test")
    seen = [file.digest for file in found.of(paths)]
    found.save()
    return seen


def test_known_files_are_not_read_again(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first = known(files)
    assert first == [sha256(name).hexdigest() for name in (b"a", b"b", b"c")]
    monkeypatch.setattr(digests, "_look", lambda path, reader: pytest.fail(f"{path} is read again"))
    assert known(files) == first


def test_a_change_that_keeps_size_and_time_is_seen(files: list[str]) -> None:
    known(files)
    status = Path(files[1]).stat()
    Path(files[1]).write_text("x")
    os.utime(files[1], ns=(status.st_atime_ns, status.st_mtime_ns))
    assert known(files)[1] == sha256(b"x").hexdigest()


def test_what_has_just_been_written_is_not_believed_to_stay(
    files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("CROWDBENCH_CACHE", str(Path(files[0]).parent / "cache"))
    assert known(files)
    assert not list(Path(files[0]).parent.glob("cache/digests/*"))


def test_what_is_no_file_is_said_and_not_waited_for(files: list[str], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    odd = [str(tmp_path / "pipe"), str(tmp_path), "/dev/zero", str(tmp_path / "none"), "with\0zero"]
    assert known(odd) == [UNREADABLE, UNREADABLE, UNREADABLE, MISSING, UNREADABLE]


def test_many_processes_may_keep_what_they_know_at_once(files: list[str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len({tuple(found) for found in pool.map(lambda _: known(files), range(32))}) == 1
