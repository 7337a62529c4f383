"""Files that a user names for results: nothing else is lost there, and no device becomes a file."""

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from crowdbench.errors import InputError, MachineError
from crowdbench.system.files.outputs import output_file
from crowdbench.system.files.writing import write_whole


def is_own(content: bytes) -> bool:
    return content.startswith(b"ours")


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Path]:
    """A node like /dev/full."""
    path = tmp_path / "full"
    os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 7))
    yield path
    assert stat.S_ISCHR(path.lstat().st_mode)


def write(path: Path, *, force: bool = False) -> None:
    output_file(path, is_own=is_own, force=force).write(b"ours, new")


@pytest.mark.parametrize("before", [None, b"", b"ours, old"])
def test_a_new_file_and_an_own_one_are_written(before: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    if before is not None:
        write_whole(path, before)
    write(path)
    assert path.read_bytes() == b"ours, new"


def test_somebody_elses_file_is_replaced_by_force_only(tmp_path: Path) -> None:
    path = tmp_path / "thesis.html"
    path.write_bytes(b"theirs")
    with pytest.raises(InputError, match=r"thesis\.html: is there already, .* --force"):
        write(path)
    assert path.read_bytes() == b"theirs"
    write(path, force=True)
    assert path.read_bytes() == b"ours, new"


def test_through_a_link_its_target_is_written(tmp_path: Path) -> None:
    for name in ("there", "dangling"):
        (tmp_path / name).symlink_to(f"{name}-target")
    (tmp_path / "there-target").write_bytes(b"theirs")
    with pytest.raises(InputError, match="--force"):
        write(tmp_path / "there")
    write(tmp_path / "dangling")
    write(tmp_path / "there", force=True)
    for name in ("there", "dangling"):
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / f"{name}-target").read_bytes() == b"ours, new"


def test_a_full_device_is_an_error_and_stays_a_device(device: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(device)
    for path in (device, tmp_path / "link"):
        with pytest.raises(MachineError, match="No space left"):
            write(path, force=True)
    with pytest.raises(MachineError, match="this is a device"):
        write_whole(device, b"data")


def test_a_null_device_takes_everything(tmp_path: Path) -> None:
    path = tmp_path / "null"
    os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    write(path)
    write(Path("/dev/null"))
    assert stat.S_ISCHR(path.lstat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").lstat().st_mode)


def test_a_pipe_is_written_through_if_somebody_reads(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(InputError, match="a pipe without a reader"):
        write(path)
    with pytest.raises(MachineError, match="this is a pipe"):
        write_whole(path, b"data")
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    target = output_file(path, is_own=is_own)
    os.set_blocking(reading, True)
    read: list[bytes] = []
    with os.fdopen(reading, "rb") as pipe:
        reader = threading.Thread(target=lambda: read.append(pipe.read()))
        reader.start()
        target.write(b"x" * 1_000_000)
        reader.join()
    assert read == [b"x" * 1_000_000]
    assert stat.S_ISFIFO(path.lstat().st_mode)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "this is a folder"),
        (lambda path: path.symlink_to("/"), "this is a folder"),
        (lambda path: os.mknod(path, 0o600 | stat.S_IFBLK, os.makedev(7, 99)), "no results are written"),
    ],
)
def test_what_takes_no_results_is_refused(make: object, words: str, tmp_path: Path) -> None:
    assert callable(make)
    make(tmp_path / "it")
    with pytest.raises(InputError, match=words):
        write(tmp_path / "it", force=True)


@pytest.mark.parametrize("name", ["file/page.html", "circle", "n" * 300, "a\0b"])
def test_a_place_that_cannot_be_is_said_before_the_work(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(MachineError, match="cannot be written"):
        output_file(tmp_path / name, is_own=is_own)


@pytest.mark.parametrize("name", ["/dev/stdout", "-"])
def test_standard_output_is_named_by_its_device_or_a_dash(
    name: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    target = output_file(Path(name), is_own=is_own)
    assert target.is_stdout
    target.write(b"\x00\xff")
    assert capfdbinary.readouterr().out == b"\x00\xff"
