"""Fetch and verify a file; several processes may fetch the same file at once."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from crowdbench.errors import MissingDataError, WeightsError
from crowdbench.system.files.cache import VARIABLE
from crowdbench.system.text import plain
from crowdbench.weights.cache import Wanted, read_lock, verify
from crowdbench.weights.download import Transfer, TransferError, discard, download

log = logging.getLogger("crowdbench")

OnProgress = Callable[[Transfer], None]


def fetch(wanted: Wanted, on_progress: OnProgress | None = None, *, again: bool = False) -> str:
    """Have a file in its place, fetching it if it is not there.

    Safe when many processes want the same file: one fetches, the others wait for it. One that is killed
    leaves a partial file that the next continues.

    Args:
        wanted: the file.
        on_progress: called with the progress of the transfer.
        again: fetch it even if it is there, and trust the new one in its place. The old one stays until the
            new one is whole.

    Returns:
        The file's SHA-256.

    Raises:
        MissingDataError: the file is not here and cannot be fetched; the message says how to get it by hand.
        WeightsError: the file is not whole, or not the one that was published, or that was here first.
    """
    if wanted.is_here and not again:
        return verify(wanted, wanted.path, url=None)
    if wanted.packaged:
        here = "cannot be fetched" if wanted.is_here else "missing"
        raise MissingDataError(f"{wanted.path}: {here}, though it comes with {wanted.by_hand}.")
    try:
        wanted.path.parent.mkdir(parents=True, exist_ok=True)  # also for the person who puts a file there
        if wanted.url is None:
            here = (
                "no program can fetch it again" if wanted.is_here else "not here, and no program can fetch it"
            )
            raise MissingDataError(
                f"{wanted.name}: {here}. A person can, from {wanted.by_hand}\n{_put_it(wanted)}"
            )
        with _alone(wanted):
            if wanted.is_here and not again:  # another process fetched it meanwhile
                return verify(wanted, wanted.path, url=wanted.url)
            if again:
                discard(wanted.beside(".part"))
            return _transfer(wanted, wanted.url, on_progress, again)
    except OSError as error:
        raise MissingDataError(
            f"{wanted.name}: cannot write in {wanted.path.parent} ({error.strerror or error}).\n"
            f"Make room, or set {VARIABLE} to a folder that can be written to, on another disk. The same "
            f"command goes on from what is there.\n{_put_it(wanted)}"
        ) from error


def _transfer(wanted: Wanted, url: str, on_progress: OnProgress | None, again: bool) -> str:
    partial = wanted.beside(".part")
    log.info("fetching %s", wanted.name)

    def on_bytes(done: int, of: int | None) -> None:
        if on_progress is not None:
            on_progress(Transfer(wanted.name, done, of))

    try:
        download(url, partial, on_bytes=on_bytes, size=wanted.size)
    except TransferError as error:
        kept = partial.stat().st_size if partial.exists() else 0
        lines = [f"{wanted.name}: cannot fetch {plain(url)}: {error}"]
        if kept:
            lines.append(f"{kept} bytes are kept; the same command goes on from there if the server allows.")
        raise MissingDataError("\n".join([*lines, _put_it(wanted)])) from error
    before = read_lock(wanted) if again else None
    try:
        digest = verify(wanted, partial, url=url, renewed=again)
    except WeightsError as error:
        discard(partial)  # the transfer has ended, and there is nothing to go on from
        raise WeightsError(
            f"{wanted.name}: what {plain(url)} sends cannot be used; nothing of it is kept.\n{error}"
        ) from error
    partial.replace(wanted.path)
    discard(partial)
    if before is not None and before.sha256 != digest:
        log.warning(
            "%s is another file than before (sha256 %s, before %s); results with the two are not comparable",
            *(wanted.name, digest, before.sha256),
        )
    return digest


def _put_it(wanted: Wanted) -> str:
    return f"If you have the file, or get it on another machine, put it at {wanted.path}"


@contextmanager
def _alone(wanted: Wanted) -> Iterator[None]:
    """Hold the kernel's lock (flock) on a file, which is freed when its holder dies and works over NFS."""
    import filelock

    lock = filelock.FileLock(wanted.beside(".fetching"))
    try:
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            log.info("another process fetches %s; waiting for it", wanted.name)
            lock.acquire(poll_interval=0.2)
    except NotImplementedError as error:
        raise MissingDataError(
            f"{wanted.path.parent}: this file system has no locks, so that two processes might fetch "
            f"{wanted.name} into one file.\n"
            f"Set CROWDBENCH_CACHE to a folder on another disk.\n{_put_it(wanted)}"
        ) from error
    try:
        yield
    finally:
        lock.release()
