"""Reading other people's files: whole, bounded, never waiting; or one error that says what is there."""

import bz2
import gzip
import json
import lzma
import os
import pickle
import socket
import zipfile
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowdbench.errors import DataError, MissingDataError, PluginError
from crowdbench.system.files import reading
from crowdbench.system.files.reading import (
    read_bytes,
    read_json,
    read_text,
    read_toml,
    read_toml_as,
    read_yaml,
)


class Note(msgspec.Struct, forbid_unknown_fields=True):
    a: int


def text_of(content: bytes, folder: Path) -> str:
    """What is said of a file that should be JSON."""
    path = folder / "file"
    path.write_bytes(content)
    with pytest.raises(DataError) as refused:
        read_json(path, Note, "a note")
    assert str(path) in str(refused.value)
    return str(refused.value)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.integers(0, 50), st.integers(0, 9))
def test_members_and_padding_unpack_as_gzip_unpacks_them(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], padding: int, level: int
) -> None:
    path = tmp_path_factory.mktemp("packed") / "file.gz"
    path.write_bytes(b"".join(gzip.compress(part, level) + bytes(padding) for part in parts))
    whole = b"".join(parts)
    assert read_bytes(path, "data") == whole.removeprefix(b"\xef\xbb\xbf")


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    packed = gzip.compress(json.dumps({"numbers": list(range(200))}).encode())
    for length in range(2, len(packed)):
        path.write_bytes(packed[:length])
        with pytest.raises(DataError, match="truncated or damaged"):
            read_bytes(path, "data")


@given(st.data())
def test_a_damaged_byte_is_refused_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = b"the content of a file, some of it more than once: the content of a file" * 3
    packed = bytearray(gzip.compress(content))
    place = data.draw(st.integers(2, len(packed) - 1))
    packed[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("damaged") / "file.gz"
    path.write_bytes(packed)
    try:
        read = read_bytes(path, "data")
    except DataError as error:
        said = str(error)
    else:
        assert read == content  # the header has bytes that nobody needs
        return
    assert "truncated or damaged" in said


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_the_limit_is_exact(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(pack(b"x" * 3000))
    assert len(read_bytes(path, "data", limit=3000)) == 3000
    with pytest.raises(DataError, match=r"data (of more than|as large)"):
        read_bytes(path, "data", limit=2999)


def test_much_from_little_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(64 << 20), 9))
    with pytest.raises(DataError, match="unpacks to more than 1 MiB"):
        read_bytes(path, "data", limit=1 << 20)


def test_memory_that_runs_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bytes:
        raise MemoryError

    (tmp_path / "file").write_bytes(b"{}")
    monkeypatch.setattr(reading, "_read_regular", full)
    with pytest.raises(DataError, match="do not fit into this machine's memory"):
        read_bytes(tmp_path / "file", "annotations")


@pytest.mark.parametrize("packed", [False, True])
def test_a_byte_order_mark_and_other_line_ends_change_nothing(packed: bool, tmp_path: Path) -> None:
    def written(name: str, text: str) -> Path:
        content = b"\xef\xbb\xbf" + text.encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
        return tmp_path / name

    assert read_json(written("a.json", '{"a":\r\n 1}\r\n'), Note, "a note") == Note(1)
    assert read_toml_as(written("a.toml", "a = 1\r\n"), Note, "a note") == Note(1)
    assert read_yaml(written("a.yaml", "a: 1\r\n"), Note, "a note") == Note(1)
    assert read_text(written("a.txt", "a\r\nb"), "words") == "a\nb"


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


def a_circle(path: Path) -> None:
    path.symlink_to(path.name)


def a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (a_pipe, "this is a pipe"),
        (a_socket, "cannot read"),
        (a_folder, "this is a folder"),
        (a_circle, "around in a circle"),
        (lambda path: path.symlink_to("/dev/zero"), "this is a device"),
        (lambda path: path.symlink_to("/dev/full"), "this is a device"),
        (lambda path: path.symlink_to("nowhere"), "no such file"),
    ],
)
def test_what_is_no_file_is_said_at_once(
    make: Callable[[Path], None], words: str, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    path = Path("it")
    make(path)
    for read in (lambda: read_bytes(path, "data"), lambda: read_toml(path, "a note")):
        with pytest.raises(MissingDataError, match=words):
            read()


@pytest.mark.parametrize("name", ["a\0b", "n" * 300, "file/below"])
def test_impossible_names_are_one_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MissingDataError):
        read_bytes(tmp_path / name, "data")


def test_files_whose_size_the_system_does_not_know_are_read() -> None:
    assert b"Name:" in read_bytes(Path("/proc/self/status"), "data")


def packed_in_zip() -> bytes:
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.json", "{}")
    return content.getvalue()


def saved_array() -> bytes:
    content = BytesIO()
    np.save(content, np.zeros(3))
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (packed_in_zip(), "a zip archive. Unpack it"),
        (bz2.compress(b"{}"), "bzip2 data. Unpack it first, or pack it with gzip"),
        (lzma.compress(b"{}"), "xz data"),
        (gzip.compress(gzip.compress(b'{"a": 1}')), "it was packed twice"),
        (pickle.dumps({"a": 1}), "a Python pickle"),
        (saved_array(), "a NumPy array"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b'<?xml version="1.0"?><Error/>', "XML"),
        ('{"a": 1}'.encode("utf-16"), "UTF-16"),
        ('{"a": 1}'.encode("utf-16-le"), "UTF-16"),
        ('{"a": 1}'.encode("utf-16-be"), "UTF-16"),
        (b"", "the file is empty"),
        (b" \n ", "the file is empty"),
        (b'{"a": 1,\n}', "a comma stands before a closing bracket, at line 2, column 1"),
        (b'{"a":\n NaN}', "NaN and Infinity are no JSON, at line 2, column 2"),
        (b'{"a": -Infinity}', "NaN and Infinity are no JSON"),
        (b"{'a': 1}", "as Python prints it"),
        (b'{"a": None}', "as Python prints it"),
        (b'{"a": 1 // one\n}', "comments are no JSON"),
        (b'{"a": 1}\n{"a": 2}\n', "JSON lines"),
        (b'{"a"', "truncated"),
        (b'{"a": "one"}', "Expected `int`"),
        (b'{"a": 1, "b": 2}', "unknown field `b`"),
    ],
)
def test_what_is_not_the_json_that_it_should_be_is_named(content: bytes, words: str, tmp_path: Path) -> None:
    said = text_of(content, tmp_path)
    assert words in said
    if len(content) < 50_000 and b"b" not in content:
        assert words in text_of(gzip.compress(content), tmp_path) or content == b""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8|Invalid UTF-8"),
    ],
)
def test_anything_else_than_json_is_refused_where_any_json_would_do(
    content: bytes, words: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_json(tmp_path / "file", object, "JSON")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_note_or_one_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(content)
    readers: tuple[Callable[[], object], ...] = (
        lambda: read_json(path, Note, "a note", error=PluginError),
        lambda: read_toml_as(path, Note, "a note", error=PluginError),
        lambda: read_yaml(path, Note, "a note", error=PluginError),
    )
    for read in readers:
        with suppress(PluginError):
            assert isinstance(read(), Note)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a = " + "[" * 5000, "nested too deeply"),
        ("a = " + "{b=" * 5000, "nested too deeply"),
        (".".join("a" * 100_000) + " = 1", "more than 100 parts"),
        ("[" + ".".join("a" * 100_000) + "]", "more than 100 parts"),
        ("a = 1\nb = \n", "line 2, column 5"),
        ("a = " + "9" * 10_000, "not a note"),
        ("a = 'x'", "Expected `int`"),
        ("<html>", "a web page"),
        ("PK\x03\x04", "a zip archive"),
    ],
)
def test_toml_that_will_not_do_is_one_error(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(content)
    with pytest.raises(DataError, match=words):
        read_toml_as(tmp_path / "a.toml", Note, "a note")


BOMB = "a: &a [x, x]\n" + "".join(
    f"{n}: &{n} [{', '.join([f'*{m}'] * 9)}]\n" for m, n in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (BOMB, "aliases .* are not read"),
        ("a: &x 1\nb: *x", "aliases"),
        ("a: &x {<<: *x}", "aliases"),
        ("[" * 200_000, "nested more than 50 deep"),
        ("- " * 200_000, "nested more than 50 deep"),
        ("{a: " * 200_000, "nested more than 50 deep"),
        ("\n".join(" " * n + "a:" for n in range(300)), "nested more than 50 deep"),
        ("a: !!python/object/apply:os.system [exit]", "could not determine a constructor"),
        ("a: 'x", "while scanning"),
        ("a: x", "Expected `int`"),
        ("\x00", "not a note"),
    ],
)
def test_yaml_that_will_not_do_is_one_error(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(content)
    with pytest.raises(DataError, match=words):
        read_yaml(tmp_path / "a.yaml", Note, "a note")


def test_stars_in_texts_are_no_aliases(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("- 'i2rnet *note & more'\n- plain *x\n")
    assert read_yaml(tmp_path / "a.yaml", list[str], "words") == ["i2rnet *note & more", "plain *x"]
