"""Every method of ours has a card, and a card that is not as it must be is refused."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.plugins import install_fake_distribution

from crowdbench import plugins
from crowdbench.api.method_cards import _tables, card_of
from crowdbench.errors import PluginError

GOOD = """\
[work.mine]
title = "Mine"
authors = ["Somebody"]
venue = "CVPR"
year = 2024
citation = "@inproceedings{mine, title = {Mine}}"
[method.my-pose]
work = "mine"
description = "It finds poses."
"""


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of cards of an installed stranger."""
    (tmp_path / "stranger_cards").mkdir()
    install_fake_distribution(tmp_path, "stranger", {"data": {"stranger": "stranger_cards"}})
    monkeypatch.syspath_prepend(str(tmp_path))
    _tables.cache_clear()
    yield tmp_path / "stranger_cards" / "cards.toml"
    _tables.cache_clear()


def ours() -> list[str]:
    return sorted(
        name
        for name, plugin in plugins.installed("method").items()
        if isinstance(plugin, plugins.Plugin)
        and plugin.target.startswith(("crowdbench_i2rnet:", "crowdbench_backbones:"))
    )


@pytest.mark.parametrize("name", ours())
def test_a_method_of_ours_says_what_it_is_and_what_to_cite(name: str) -> None:
    card = card_of(name)
    assert card is not None
    assert card.description.endswith(".")
    assert str(card.work.year) in card.work.citation
    for author in card.work.authors:
        assert author.split()[-1] in card.work.citation
    assert card.work.citation.count("{") == card.work.citation.count("}")


def test_a_strangers_card_is_found_like_ours(cards: Path) -> None:
    cards.write_text(GOOD)
    card = card_of("my-pose")
    assert card is not None
    assert (card.description, card.work.title, card.work.code) == ("It finds poses.", "Mine", None)
    assert card_of("i2rnet-vanilla") is not None


def test_a_method_without_a_card_has_none() -> None:
    assert card_of("no-such-method") is None


def test_two_cards_of_one_method_are_refused_and_both_named(cards: Path) -> None:
    cards.write_text(GOOD.replace("my-pose", "hrformer-b"))
    with pytest.raises(PluginError, match="two packages have a card for 'hrformer-b'") as caught:
        card_of("hrformer-b")
    assert str(cards) in str(caught.value)
    assert "crowdbench_backbones" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param(('work = "mine"', 'work = "yours"'), r"there is no \[work\.yours\]", id="no such work"),
        pytest.param(("venue", "venu"), "unknown field `venu`", id="misspelled field"),
        pytest.param(('title = "Mine"\n', ""), "missing required field `title`", id="no title"),
        pytest.param(("[method", "[[method"), "not the cards of stranger", id="no TOML"),
        pytest.param(('["Somebody"]', "[]"), "length >= 1", id="no authors"),
        pytest.param(("venue", 'code = "ftp://x"\nvenue'), "matching regex", id="no page"),
    ],
)
def test_a_faulty_file_of_cards_is_said_with_its_place_and_costs_no_other(
    cards: Path, change: tuple[str, str], complaint: str, caplog: pytest.LogCaptureFixture
) -> None:
    cards.write_text(GOOD.replace(*change, 1))
    assert card_of("i2rnet-vanilla") is not None, "the others are read"
    (said,) = caplog.messages
    assert re.search(complaint, said)
    assert str(cards) in said
