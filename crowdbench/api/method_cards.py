"""Cards: what a method is, in one sentence, and the work to cite for it.

Packages ship them in ``cards.toml`` (see `crowdbench.plugins`): works under ``[work.<key>]``, methods that
name their work under ``[method.<name>]``. A file is read strictly; its works are its own.
"""

from dataclasses import dataclass
from functools import cache
from typing import Annotated

import msgspec

from crowdbench.errors import PluginError
from crowdbench.plugins import PackageData, Tables, Text, read_package_data, say_broken
from crowdbench.system.files.reading import read_toml_as

FILE = "cards.toml"

Url = Annotated[str, msgspec.Meta(pattern="^https?://")]


class Work(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A published work.

    Attributes:
        title, authors, venue, year: of the publication; the venue in its usual short form.
        code: the authors' repository.
        citation: a BibTeX entry.
    """

    title: Text
    authors: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)]
    venue: Text
    year: Annotated[int, msgspec.Meta(ge=1900, le=2100)]
    citation: Text
    code: Url | None = None


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to say of a method before it is run."""

    description: str
    work: Work


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    description: Text
    work: Text


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    work: dict[str, Work]
    method: dict[str, _Entry]


def card_of(method: str) -> Card | None:
    """The card of a method, or None; raises PluginError if cards are invalid, or two packages have one."""
    found = _tables()
    if method in found.clashes:
        raise found.clashes[method]
    if method not in found.cards:
        found.tables.require_readable(method)
    return found.cards.get(method)


@dataclass(frozen=True)
class _Found:
    tables: Tables[dict[str, Card]]
    cards: dict[str, Card]
    clashes: dict[str, PluginError]


@cache
def _tables() -> _Found:
    tables = read_package_data(FILE, _read)
    owners: dict[str, list[PackageData]] = {}
    for file, cards in tables.files:
        for name in cards:
            owners.setdefault(name, []).append(file)
    clashes = {
        name: PluginError(
            f"two packages have a card for {name!r}: {files[0].path} and {files[1].path}.\n"
            "Uninstall one of them."
        )
        for name, files in owners.items()
        if len(files) > 1
    }
    for clash in clashes.values():
        say_broken(clash)
    cards = {name: card for _, own in tables.files for name, card in own.items() if name not in clashes}
    return _Found(tables, cards, clashes)


def _read(file: PackageData) -> dict[str, Card]:
    content = read_toml_as(file.path, _File, f"the cards of {file.origin}", error=PluginError)
    for name, entry in content.method.items():
        if entry.work not in content.work:
            raise PluginError(
                f"{file.path}: the card of {name!r} names {entry.work!r}; there is no [work.{entry.work}]."
            )
    return {
        name: Card(description=entry.description, work=content.work[entry.work])
        for name, entry in content.method.items()
    }
