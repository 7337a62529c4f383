"""Cards: what a method is, in one sentence, and the work to cite for it.

Packages ship them in ``cards.toml`` (see `crowdbench.shipped`): works under ``[work.<key>]``, methods that
name their work under ``[method.<name>]``. A file is read strictly; its works are its own.
"""

from functools import cache
from typing import Annotated

import msgspec

from crowdbench.errors import PluginError
from crowdbench.shipped import ShippedFile, shipped_files
from crowdbench.system.reading import read_toml_as

FILE = "cards.toml"

Text = Annotated[str, msgspec.Meta(min_length=1)]
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
    """The card of a method; None if no package has written one.

    Raises:
        PluginError: a file of cards is not as it must be, or two of them claim the method.
    """
    return all_cards().get(method)


@cache
def all_cards() -> dict[str, Card]:
    """The cards of all installed packages, by the method's name.

    Raises:
        PluginError: a file is not as it must be, or two of them claim one method.
    """
    cards: dict[str, Card] = {}
    origins: dict[str, str] = {}
    for file in shipped_files(FILE):
        for name, card in _read(file).items():
            if name in cards:
                raise PluginError(
                    f"two packages have a card for {name!r}: {origins[name]} and {file.path}.\n"
                    "Uninstall one of them."
                )
            cards[name], origins[name] = card, str(file.path)
    return cards


def _read(file: ShippedFile) -> dict[str, Card]:
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
