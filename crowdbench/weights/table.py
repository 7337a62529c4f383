"""The tables of published weights that installed packages ship as ``weights.toml``.

A table is data: adding a published file needs no code. Its packages are found without being imported
(`crowdbench.plugins`).
"""

import re
import tomllib
from dataclasses import dataclass
from typing import Literal

import msgspec

from crowdbench.errors import PluginError
from crowdbench.plugins import PackageData, Tables, read_package_data, say_broken

FILE = "weights.toml"
Role = Literal["trained", "first-stage", "trunk"]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._-]*")
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class WeightsEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A published file of weights.

    Attributes:
        name: ``<method>/<what>``, as in ``i2rnet-hrformer/coco-384x288``; unique among all tables.
        method: whose network it fits.
        role: ``"trained"``: a method's whole network. ``"first-stage"``: the same, and other methods start
            their training from it. ``"trunk"``: a part of the network, pretrained elsewhere; for training.
        file: what the file is called on disk.
        training_data: what it was trained on, as in ``"crowdpose trainval"``; None if unknown.
        dataset: for which the network was built; None for trunks.
        input_size: (height, width) of the network's input; None where the network takes any.
        url: where a program can fetch it.
        page: where a person can, when a program cannot; then `instructions` say what to do there.
        packaged: the file comes with the table's package, in its folder ``weights``; `sha256` is given.
        sha256, size: of the file, where they are published. Otherwise the first file seen is trusted.
        origin, folder: the distribution and the folder that the table is in; filled in on reading.
    """

    name: str
    method: str
    role: Role
    file: str
    training_data: str | None = None
    dataset: str | None = None
    input_size: tuple[int, int] | None = None
    url: str | None = None
    page: str | None = None
    instructions: str | None = None
    packaged: bool = False
    sha256: str | None = None
    size: int | None = None
    origin: str = ""
    folder: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or not self.name.startswith(f"{self.method}/"):
            raise ValueError(f"name must be {self.method}/<what> in lower case, got {self.name!r}")
        if not _FILE_NAME.fullmatch(self.file):
            raise ValueError(f"{self.name}: file must be a plain file name, got {self.file!r}")
        if (self.dataset is None) != (self.role == "trunk"):
            raise ValueError(f"{self.name}: a dataset belongs to every role but trunk")
        sources = (self.url is not None, self.page is not None, self.packaged)
        if sum(sources) != 1 or (self.page is None) != (self.instructions is None):
            raise ValueError(
                f"{self.name}: give a url, or a page with instructions, or packaged with a sha256"
            )
        if self.packaged and self.sha256 is None:
            raise ValueError(f"{self.name}: a packaged file has a sha256")
        if not (self.packaged or (self.url or self.page or "").startswith(("https://", "http://"))):
            raise ValueError(f"{self.name}: url and page start with https:// or http://")
        if self.sha256 is not None and not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"{self.name}: sha256 is 64 hexadecimal digits in lower case")
        if any(number <= 0 for number in (self.size or 1, *(self.input_size or ()))):
            raise ValueError(f"{self.name}: size and input_size are positive")

    @property
    def is_whole(self) -> bool:
        """Whether it fills a method's whole network, so that it can be evaluated."""
        return self.role != "trunk"


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    weights: list[WeightsEntry]


def weights_table() -> dict[str, WeightsEntry]:
    """All entries of all installed tables by name, sorted; without those that two tables claim."""
    return read_tables().entries


@dataclass(frozen=True)
class WeightsTables:
    """What packages say of weights.

    Attributes:
        entries: by name, sorted.
        tables: those that could be read, and what is wrong with the others.
        clashes: two tables that have one name, or one answer for a method; by name and by method.
    """

    entries: dict[str, WeightsEntry]
    tables: Tables[list[WeightsEntry]]
    clashes: dict[str, PluginError]

    def require_answer(self, asked: str, method: str | None = None) -> None:
        """Called where nothing is found: perhaps because something is wrong with a table.

        Args:
            asked: the name of an entry, or a word that stands for one.
            method: for which it was asked.

        Raises:
            PluginError: a table that would have the answer cannot be read, or two have it.
        """
        owner = method or asked.partition("/")[0]
        for name in (asked, owner):
            if name in self.clashes:
                raise self.clashes[name]
        self.tables.require_readable(owner)


def read_tables() -> WeightsTables:
    """Read the tables of all installed packages; what is wrong with one costs its own entries only."""
    tables = read_package_data(FILE, _read)
    found: dict[str, WeightsEntry] = {}
    clashes: dict[str, PluginError] = {}
    asked: dict[tuple[object, ...], WeightsEntry] = {}
    for entry in (entry for _, entries in tables.files for entry in entries):
        other = found.get(entry.name)
        if other is None and entry.is_whole:
            # `published` must have one answer.
            other = asked.setdefault((entry.method, entry.dataset, entry.input_size), entry)
        if other is not None and other is not entry:
            clash = PluginError(
                f"two tables of weights clash: {other.name!r} of {other.origin} and {entry.name!r} of "
                f"{entry.origin} have one name, or one method, dataset and input size.\n"
                "Uninstall one of the packages."
            )
            say_broken(clash)
            clashes |= dict.fromkeys((entry.name, other.name, entry.method, other.method), clash)
        found.setdefault(entry.name, entry)
    known = {name: entry for name, entry in sorted(found.items()) if name not in clashes}
    return WeightsTables(known, tables, clashes)


def _read(shipped: PackageData) -> list[WeightsEntry]:
    try:
        content = tomllib.loads(shipped.path.read_text(encoding="utf-8"))
        entries = msgspec.convert(content, _Table).weights
    except (OSError, ValueError) as error:  # bad TOML, bad UTF-8 and msgspec's errors are ValueErrors
        raise PluginError(
            f"{shipped.path}: the table of weights of {shipped.origin} cannot be read: {error}.\n"
            "Reinstall or remove the package."
        ) from error
    folder = str(shipped.path.parent)
    return [msgspec.structs.replace(entry, origin=shipped.origin, folder=folder) for entry in entries]
