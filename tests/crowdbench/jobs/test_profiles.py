"""Profiles: the nearest file that knows a name is believed, and one that is wrong says where."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.plugins import install_fake_distribution

from crowdbench import plugins
from crowdbench.errors import InputError, PluginError, UnknownNameError
from crowdbench.jobs.launcher import load_launcher, load_queue
from crowdbench.jobs.profiles import find_profile, user_folder

CODE = """\
from crowdbench.jobs.launcher import Queue

class Here(Queue):
    pass

NOTHING = 3
"""


class Places:
    """The three places where profiles stand, and one above the project."""

    def __init__(self, root: Path) -> None:
        self.project = root / "project" / "crowdbench.toml"
        self.above = root / "crowdbench.toml"
        self.user = root / "config" / "crowdbench" / "profiles.toml"
        self.package = root / "site" / "shipped_profiles" / "profiles" / "any.toml"

    def write(self, place: str, profiles: Mapping[str, Mapping[str, Any]]) -> Path:
        """Profiles into the file of a place."""
        path: Path = getattr(self, place)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = []
        for name, options in profiles.items():
            lines += [f"[profile.{name}]", *(f"{key} = {value!r}" for key, value in options.items())]
        path.write_text("\n".join(lines))
        return path


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """A user who works in a project, with a distribution that ships profiles and declares launchers."""
    found = Places(tmp_path)
    found.package.parent.mkdir(parents=True)
    (tmp_path / "project" / "deep").mkdir(parents=True)
    declared = {
        "data": {"shipper": "shipped_profiles"},
        "launchers": {"here": "shipped_code:Here", "nothing": "shipped_code:NOTHING"},
    }
    install_fake_distribution(tmp_path / "site", "shipper", declared, modules={"shipped_code": CODE})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path / "project" / "deep")
    plugins.installed.cache_clear()
    yield found
    plugins.installed.cache_clear()


def test_the_project_comes_before_the_user_who_comes_before_packages_and_launchers(places: Places) -> None:
    order = ("project", "user", "package")
    assert find_profile("here").file is None
    for place in reversed(order):
        path = places.write(place, {"here": {"launcher": "here", "partition": place}})
        found = find_profile("here")
        assert (found.file, found.options) == (path, {"partition": place})


def test_a_name_that_the_nearest_file_does_not_know_is_looked_up_in_the_next(places: Places) -> None:
    places.write("project", {"one": {"launcher": "here"}})
    user = places.write("user", {"two": {"launcher": "here"}, "one": {"launcher": "nothing"}})
    assert find_profile("two").file == user
    assert find_profile("one").launcher == "here"
    with pytest.raises(UnknownNameError, match="Known: .*here, local, nothing, one, .*two"):
        find_profile("three")


def test_a_faulty_profile_does_not_keep_others_from_being_used(places: Places) -> None:
    places.write("project", {"faulty": {"partition": "p"}, "good": {"launcher": "here"}})
    assert find_profile("good").launcher == "here"
    with pytest.raises(InputError, match="does not say which launcher"):
        find_profile("faulty")


def test_of_the_folders_above_only_the_nearest_with_a_file_counts(places: Places) -> None:
    above = places.write("above", {"one": {"launcher": "here"}})
    assert find_profile("one").file == above
    places.write("project", {"two": {"launcher": "here"}})
    with pytest.raises(UnknownNameError):
        find_profile("one")


def test_the_user_has_a_folder_without_saying_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_folder() == tmp_path / ".config" / "crowdbench"


def test_an_unknown_name_is_answered_with_the_nearest_and_with_where_profiles_stand(places: Places) -> None:
    places.write("user", {"a100-long": {"launcher": "here"}})
    with pytest.raises(UnknownNameError, match="Did you mean 'a100-long'") as caught:
        load_launcher("a100-lon")
    for word in ("local", "here", "crowdbench.toml", str(places.user)):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("[profile.a", "not a file of profiles", id="no TOML"),
        pytest.param("profile = 3", "not a file of profiles", id="no table"),
        pytest.param("[profile]\na = 3", r"at `\$\.profile\[\.\.\.\]`", id="no table of options"),
        pytest.param("[profile.a]\npartition = 'gpu'", "does not say which launcher", id="no launcher"),
        pytest.param("[profile.a]\nlauncher = 3", "does not say which launcher", id="launcher of no kind"),
        pytest.param("[profile.local]\nlauncher = 'here'", "no profile can be called 'local'", id="local"),
    ],
)
@pytest.mark.parametrize("place", ["project", "user", "package"])
def test_a_faulty_file_is_refused_with_its_place(
    places: Places, place: str, text: str, complaint: str
) -> None:
    path = places.write(place, {})
    path.write_text(text)
    # What a package ships stops nobody who asks for something else.
    unknown = "a" if place == "package" else "here"
    with pytest.raises(InputError, match=complaint) as caught:
        load_launcher("a" if "[profile.a]" in text else unknown)
    assert str(path) in str(caught.value)


def test_bytes_that_are_no_text_are_no_profiles(places: Places) -> None:
    places.write("user", {}).write_bytes(b"a = '\xff'")
    with pytest.raises(InputError, match="not a file of profiles"):
        find_profile("here")


def test_a_faulty_file_does_not_keep_anybody_from_working_here(places: Places) -> None:
    places.write("user", {}).write_text("[profile.a")
    assert load_launcher("local") is None


def test_a_profile_of_a_launcher_that_is_not_installed_names_it(places: Places) -> None:
    places.write("user", {"mine": {"launcher": "hree"}})
    with pytest.raises(UnknownNameError, match="no launcher is called 'hree'. Did you mean 'here'"):
        load_launcher("mine")


def test_what_is_no_launcher_is_refused_by_its_kind(places: Places) -> None:
    with pytest.raises(PluginError, match="'nothing' refers to 3, which is not a subclass"):
        load_launcher("nothing")
    with pytest.raises(PluginError, match="which is not a subclass of crowdbench's Queue"):
        load_queue("nothing")
