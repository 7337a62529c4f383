"""The section "Broken packages" of docs/bad-input.md."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bad_input_cases import Cases
from support.data import coco_files
from support.methods.faulty_plugins import METHOD, install
from support.plugins import install_fake_distribution

from crowdbench import plugins
from crowdbench.api import method_cards as cards
from crowdbench.leaderboard import published

case = Cases("Broken packages")


def data_package(folder: Path, files: dict[str, str], *, package: str = "odd_data") -> None:
    """A distribution that declares the method ``odd`` and ships files."""
    site = folder / "site"
    install(site, f"{package}_code", METHOD)
    declared = {"methods": {"odd": f"{package}_code:Odd"}, "data": {package: package}}
    install_fake_distribution(site, f"{package}_code", declared)
    (site / package).mkdir()
    for name, text in files.items():
        path = site / package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@case("weights-that-are-no-toml")
def _(folder: Path) -> list[str]:
    data_package(folder, {"weights.toml": "[[weights"})
    return ["weights", "list"]


@case("weights-that-are-no-toml-and-are-asked-for")
def _(folder: Path) -> list[str]:
    data_package(folder, {"weights.toml": "[[weights"})
    coco_files.write(folder / "data", "json/crowdpose_test.json")
    return ["run", "hrnet-tiny", "crowdpose", "--root", "data", "--weights", "odd/crowdpose"]


@case("cards-with-an-unknown-field")
def _(folder: Path) -> list[str]:
    data_package(folder, {"cards.toml": "[worm.x]\n"})
    return ["info", "hrnet-tiny"]


@case("cards-that-are-asked-for")
def _(folder: Path) -> list[str]:
    data_package(folder, {"cards.toml": "[worm.x]\n"})
    return ["info", "odd"]


@case("published-figures-that-are-no-list")
def _(folder: Path) -> list[str]:
    data_package(folder, {"published.yaml": "{a: [}"})
    return ["info", "hrnet-tiny"]


@case("a-suite-that-is-no-toml")
def _(folder: Path) -> list[str]:
    data_package(folder, {"suites/odd.toml": "name = "})
    return ["sweep", "odd", "--dry-run"]


@case("profiles-that-are-no-toml")
def _(folder: Path) -> list[str]:
    data_package(folder, {"profiles/odd.toml": "[profile"})
    coco_files.write(folder / "data", "json/crowdpose_test.json")
    return ["run", "hrnet-tiny", "crowdpose", "--root", "data", "--on", "nowhere"]


@case("data-of-a-package-that-is-not-there")
def _(folder: Path) -> list[str]:
    install(folder / "site", "odd_gone", "", group="data", name="gone", target="odd_gone_data")
    return ["weights", "list"]


@case("data-with-a-name-that-is-none")
def _(folder: Path) -> list[str]:
    install(folder / "site", "odd_dots", "", group="data", name="dots", target="..")
    return ["info", "hrnet-tiny"]


@case("a-method-that-raises-keyboard-interrupt-when-imported")
def _(folder: Path) -> list[str]:
    install(folder / "site", "odd_interrupt", "raise KeyboardInterrupt")
    return ["methods"]


@case("a-method-that-exits-when-imported")
def _(folder: Path) -> list[str]:
    install(folder / "site", "odd_exit", "raise SystemExit(0)")
    coco_files.write(folder / "data", "json/crowdpose_test.json")
    return ["run", "odd", "crowdpose", "--root", "data"]


@case("a-dataset-that-raises-base-exception-when-imported")
def _(folder: Path) -> list[str]:
    install(folder / "site", "odd_base", "raise BaseException('no')", group="datasets")
    return ["datasets"]


@case("a-method-whose-import-fails-without-words")
def _(folder: Path) -> list[str]:
    code = "class Mute(Exception):\n    def __str__(self):\n        raise RuntimeError\nraise Mute"
    install(folder / "site", "odd_mute", code)
    coco_files.write(folder / "data", "json/crowdpose_test.json")
    return ["run", "odd", "crowdpose", "--root", "data"]


@case("a-method-that-prints-when-imported")
def _(folder: Path) -> list[str]:
    install(folder / "site", "odd_prints", "print('hello')\n" + METHOD)
    return ["methods", "--json"]


@case("an-entry-point-without-a-module")
def _(folder: Path) -> list[str]:
    install(folder / "site", "odd_empty", "", target="not a module")
    return ["methods"]


@case("entry-points-that-are-no-text")
def _(folder: Path) -> list[str]:
    install(folder / "site", "odd_bytes", "")
    (folder / "site/odd_bytes-1.0.dist-info/entry_points.txt").write_bytes(
        b"[crowdbench.methods]\n\xff = x:y\n"
    )
    return ["methods"]


@case("two-methods-of-one-name")
def _(folder: Path) -> list[str]:
    install(folder / "site", "odd_one", METHOD)
    install(folder / "site", "odd_two", METHOD)
    return ["methods"]


def test_every_row_has_a_case() -> None:
    case.check_complete()


@pytest.fixture(autouse=True)
def _site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    for kept in (plugins.installed, published.all_published, cards._tables):
        kept.cache_clear()
    monkeypatch.setattr(plugins, "_said", set())
    for module in [name for name in sys.modules if name.startswith("odd_")]:
        monkeypatch.delitem(sys.modules, module)
    # As where nobody has set up logging: pytest has.
    handler = logging.lastResort
    assert handler is not None
    logging.getLogger("crowdbench").addHandler(handler)
    yield
    logging.getLogger("crowdbench").removeHandler(handler)
    for kept in (plugins.installed, published.all_published, cards._tables):
        kept.cache_clear()


@pytest.mark.parametrize("name", case.makers)
def test_the_command_says_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case.check(name, tmp_path, monkeypatch, capsys)
