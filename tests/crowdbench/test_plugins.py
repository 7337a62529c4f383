"""Names are found in the metadata of installed distributions; code is imported on first use only."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.plugins import install_fake_distribution

from crowdbench import plugins
from crowdbench.api.dataset import dataset_class
from crowdbench.errors import PluginError, UnknownNameError


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path for packages, to install into."""
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins.installed.cache_clear()
    yield tmp_path
    plugins.installed.cache_clear()


def install(site: Path, name: str, group: str, lines: str, code: str = "") -> None:
    declared = dict(line.split(" = ") for line in lines.splitlines())
    install_fake_distribution(site, name, {group: declared}, version="3.1", modules={name: code})


def test_listing_names_imports_no_plugin(site: Path) -> None:
    install(site, "lazy_plugin", "methods", "lazy = lazy_plugin:Lazy", "raise RuntimeError('imported')")
    plugin = plugins.installed("method")["lazy"]
    assert isinstance(plugin, plugins.Plugin)
    assert (plugin.origin, plugin.target) == ("lazy_plugin 3.1", "lazy_plugin:Lazy")
    assert "lazy_plugin" not in sys.modules


def test_a_strangers_name_loads_as_ours_do(site: Path) -> None:
    install(site, "thing_plugin", "launchers", "thing = thing_plugin:THING", "THING = 'here'")
    assert plugins.load("launcher", "thing") == "here"


def test_a_plugin_that_does_not_load_names_its_distribution_and_its_error(site: Path) -> None:
    install(site, "bad_plugin", "methods", "bad = bad_plugin:Bad", "raise ValueError('wrong moon')")
    with pytest.raises(PluginError, match=r"bad_plugin 3\.1 does not load: ValueError: wrong moon") as caught:
        plugins.load("method", "bad")
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_object_that_is_not_in_the_module_is_the_plugins_error(site: Path) -> None:
    install(site, "empty_plugin", "methods", "empty = empty_plugin:Nothing")
    with pytest.raises(PluginError, match="AttributeError"):
        plugins.load("method", "empty")


def test_two_packages_of_one_name_are_refused_and_both_named(site: Path) -> None:
    install(site, "one_plugin", "datasets", "twice = one_plugin:A", "A = 1")
    install(site, "two_plugin", "datasets", "twice = two_plugin:A", "A = 2")
    with pytest.raises(PluginError, match=r"one_plugin 3\.1.*two_plugin 3\.1"):
        plugins.load("dataset", "twice")


def test_a_broken_plugin_leaves_the_others_alone(site: Path) -> None:
    install(site, "other_plugin", "datasets", "other = other_plugin:A", "import no_such_module")
    assert dataset_class("crowdpose").name == "crowdpose"


def test_what_is_no_dataset_is_refused_by_its_kind(site: Path) -> None:
    install(site, "three_plugin", "datasets", "three = three_plugin:three", "three = 3")
    with pytest.raises(
        PluginError, match=r"'three' refers to 3, which is not a subclass of crowdbench\.Dataset"
    ):
        dataset_class("three")


def test_an_unknown_name_is_answered_with_the_nearest_and_with_all() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'ochuman'") as caught:
        plugins.load("dataset", "oc-human")
    assert "coco, crowdpose, ochuman" in str(caught.value)
    assert "crowdbench datasets" in str(caught.value)
