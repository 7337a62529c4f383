import gzip
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from crowdbench.system.files.reading import read_bytes
from crowdbench.system.files.writing import gzipped, write_whole


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.json"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in path.parent.iterdir()] == ["file.json"]


def test_a_failed_write_keeps_the_old_file_and_removes_the_temporary(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    with pytest.raises(TypeError):
        write_whole(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def _write_for_ever(path: Path) -> None:
    while True:
        for letter in (b"a", b"b"):
            write_whole(path, letter * 1_000_000)


def test_a_reader_never_sees_a_half_written_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"a" * 1_000_000)
    writer = multiprocessing.get_context("spawn").Process(target=_write_for_ever, args=(path,))
    writer.start()
    try:
        deadline = time.monotonic() + 3
        seen = set()
        while time.monotonic() < deadline:
            content = path.read_bytes()
            assert len(content) == 1_000_000
            assert len(set(content)) == 1
            seen.add(content[:1])
        assert seen == {b"a", b"b"}
    finally:
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()


def test_equal_content_packs_to_equal_bytes_and_unpacks_whatever_the_name(tmp_path: Path) -> None:
    packed = gzipped(b"content")
    assert packed == gzipped(b"content")
    assert gzip.decompress(packed) == b"content"
    (tmp_path / "plain.json.gz").write_bytes(b"content")
    (tmp_path / "packed.json").write_bytes(packed)
    assert read_bytes(tmp_path / "plain.json.gz", "content") == b"content"
    assert read_bytes(tmp_path / "packed.json", "content") == b"content"
