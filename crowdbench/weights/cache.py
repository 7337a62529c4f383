"""The cache of weights, and the expected content of each file.

Next to every file is a lock, ``<file>.lock.json``: the size and hash that the file had at first. That first
file is trusted, because its publisher gives no hash (otherwise the table has it); from then on any other file
of that name is refused.
"""

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from crowdbench.errors import CrowdbenchError, MachineError, MissingDataError, WeightsError
from crowdbench.system.files.cache import cache_folder
from crowdbench.system.files.digests import file_digest
from crowdbench.system.files.reading import read_json
from crowdbench.system.files.writing import write_whole
from crowdbench.system.text import utc_now
from crowdbench.weights.checkpoint_file.completeness import require_whole
from crowdbench.weights.checkpoint_file.formats import refuse_others
from crowdbench.weights.table import WeightsEntry


def weights_folder() -> Path:
    """The folder of all weights, in the user's cache; raises MissingDataError if there is no cache."""
    return cache_folder() / "weights"


@dataclass(frozen=True)
class Wanted:
    """A requested file and its place in the cache.

    Attributes:
        name: what the user calls it: an entry's name, or a URL.
        path: where it lies, or will lie.
        url: where to fetch it; None if only a person can.
        by_hand: how a person gets it; None if `url` says it all.
        sha256, size: what it must be, where that is published.
        packaged: it came with an installed package, whose folder is not ours to write to.
    """

    name: str
    path: Path
    url: str | None
    by_hand: str | None = None
    sha256: str | None = None
    size: int | None = None
    packaged: bool = False

    @classmethod
    def of_entry(cls, entry: WeightsEntry) -> "Wanted":
        """A file of the table. Names are unique, so their folders are."""
        if entry.packaged:
            origin = f"the package {entry.origin}: install it again"
            place = Path(entry.folder) / "weights" / entry.file
            return cls(entry.name, place, None, origin, entry.sha256, entry.size, packaged=True)
        path = weights_folder() / entry.name / entry.file
        by_hand = None if entry.page is None else f"{entry.page}\n{entry.instructions}"
        return cls(entry.name, path, entry.url, by_hand, entry.sha256, entry.size)

    @classmethod
    def of_url(cls, url: str) -> "Wanted":
        """A file from a URL, in a folder named by the URL's hash; raises WeightsError for unusable URLs."""
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise WeightsError(f"{url!r} is not a URL ({error}).") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise WeightsError(f"{url!r}: weights are fetched from https:// and http:// only.")
        if "@" in parts.netloc:
            raise WeightsError(
                f"The URL for {parts.hostname} holds a user name or password, which would be written into "
                "every record. Put them into ~/.netrc instead, where they are looked up by the host's name."
            )
        # The name is for people who look into the cache; nothing chosen by a third party may become a path.
        name = re.sub(r"[^A-Za-z0-9._-]", "_", parts.path.rsplit("/", 1)[-1]).strip("._")[-100:]
        folder = weights_folder() / "from-url" / sha256(url.encode()).hexdigest()[:16]
        return cls(url, folder / (name or "weights"), url)

    def beside(self, suffix: str) -> Path:
        """A helper file next to it."""
        return self.path.with_name(self.path.name + suffix)

    @property
    def is_here(self) -> bool:
        """Whether the file lies in its place. A folder that may not be looked into has nothing."""
        try:
            return self.path.is_file()
        except OSError:
            return False

    @property
    def state(self) -> str:
        """Whether the file is here, and if not, whether it has to be fetched by hand."""
        return "here" if self.is_here else "not here" if self.url else "fetch by hand"

    @property
    def lock_file(self) -> Path:
        """Says what the file must be."""
        return self.beside(".lock.json")


class Locked(msgspec.Struct, frozen=True):
    """The content of a lock: what a file was when it was first seen, and where it came from."""

    size: int
    sha256: str
    url: str | None
    when: str


def verify(wanted: Wanted, file: Path, *, url: str | None, renewed: bool = False) -> str:
    """Check a file against what is published and against its lock; without a lock, lock it.

    Only complete files are locked: a locked file is not checked against its source again.

    Args:
        wanted: what the file should be.
        file: the file itself, in its place or still on its way there.
        url: where it came from; None if the user put it there.
        renewed: it takes the place of the one that is locked.

    Returns:
        Its SHA-256.

    Raises:
        WeightsError: it is another file, a part of it, or no weights at all.
        MissingDataError: it cannot be read, or its lock cannot be written.
    """
    try:
        refuse_others(file)
    except WeightsError as error:
        raise WeightsError(f"{error}\nThis should be {wanted.name}. {_way_out(wanted, file)}") from error
    size, digest = _measure(file)
    if wanted.size not in (None, size) or wanted.sha256 not in (None, digest):
        raise WeightsError(
            f"{file}: not the file that was published as {wanted.name}.\n"
            f"  published: {_shown(wanted.size, wanted.sha256)}\n"
            f"  found:     {_shown(size, digest)}\n"
            f"{_way_out(wanted, file)}"
        )
    locked = None if wanted.packaged or renewed else read_lock(wanted)
    if locked is not None and (locked.size, locked.sha256) != (size, digest):
        raise WeightsError(
            f"{file}: not the file that was here first.\n"
            f"  locked: {_shown(locked.size, locked.sha256)}, {locked.when}, from "
            f"{locked.url or 'a file put there by hand'}\n"
            f"  found:  {_shown(size, digest)}\n"
            "Results with the two are not comparable. Delete the file and get it again; or, if the change is "
            f"wanted, delete {wanted.lock_file}"
        )
    try:
        require_whole(file, checksums=locked is None and not wanted.packaged)
    except WeightsError as error:
        cached = "The cached file does not load, though it is the one that was locked. " if locked else ""
        raise WeightsError(f"{error}\n{cached}{_way_out(wanted, file)}") from error
    if locked is None and not wanted.packaged:
        _write_lock(wanted, Locked(size, digest, url, utc_now()))
    return digest


def _way_out(wanted: Wanted, file: Path) -> str:
    """How to get another file in the place of this one; of a file that has just come it is known."""
    if file != wanted.path:
        return "The same command fetches it from the start."
    if wanted.packaged:
        return f"It comes with {wanted.by_hand}."
    if wanted.url is None:
        return f"Delete it, and get it again, from {wanted.by_hand}"
    return f"`crowdbench weights fetch {wanted.name} --again` fetches it again."


def get_again(path: Path) -> str | None:
    """How a file of the cache is fetched again; None for files that are elsewhere, or came by hand."""
    try:
        way = path.absolute().relative_to(weights_folder()).parts
        locked = read_json(path.with_name(f"{path.name}.lock.json"), Locked, "the lock of a file of weights")
    except (ValueError, CrowdbenchError):
        return None
    name = locked.url if way[0] == "from-url" else "/".join(way[:-1])
    return f"`crowdbench weights fetch {name} --again` fetches it again." if locked.url else None


def read_lock(wanted: Wanted) -> Locked | None:
    """The lock of a file, if it has one; raises WeightsError if the lock is damaged."""
    try:
        wanted.lock_file.lstat()
    except OSError:
        return None
    try:
        return read_json(wanted.lock_file, Locked, "the lock of a file of weights", error=WeightsError)
    except CrowdbenchError as error:
        raise WeightsError(
            f"{wanted.lock_file}: cannot be read.\n{error}\nDelete it to trust the file beside it once more."
        ) from error


def _write_lock(wanted: Wanted, locked: Locked) -> None:
    try:
        write_whole(wanted.lock_file, msgspec.json.format(msgspec.json.encode(locked), indent=2) + b"\n")
    except MachineError as error:
        raise MissingDataError(
            f"{error} Without it, later changes of the file cannot be detected.\n"
            f"Have a user with write permission run: crowdbench weights fetch {wanted.name}"
        ) from error


def _measure(file: Path) -> tuple[int, str]:
    before = file.stat()
    digest = file_digest(file)
    after = file.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise MissingDataError(f"{file}: still being written. Try again when it is whole.")
    return after.st_size, digest


def _shown(size: int | None, digest: str | None) -> str:
    return f"sha256 {digest or 'unknown'}, {'unknown size' if size is None else f'{size} bytes'}"
