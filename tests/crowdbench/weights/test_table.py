"""Tables of weights: ours, and those of packages that a test installs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.weights_server import entry, install_table

from crowdbench import plugins
from crowdbench.errors import PluginError
from crowdbench.weights import Wanted, WeightsEntry, weights_table
from crowdbench.weights.table import read_tables

RELEASE = (
    "https://github.com/leijue222/Intra-and-Inter-Human-Relation-Network-for-MPEE/releases/download/models"
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def ours() -> dict[str, WeightsEntry]:
    return {name: e for name, e in weights_table().items() if e.origin.startswith("crowdbench ")}


def test_all_ten_released_models_are_in_the_table(goldens: Path) -> None:
    configurations = json.loads((goldens / "i2rnet" / "manifest.json").read_text())["configs"]
    entries = {e.url: e for e in ours().values() if e.url}
    assert len(entries) == len(configurations) == 10
    for name, configuration in configurations.items():
        found = entries[f"{RELEASE}/{name}.pth"]
        width, height = configuration["model"]["image_size_wh"]
        assert (found.method, found.dataset, found.input_size, found.file) == (
            configuration["variant"],
            configuration["dataset"],
            (height, width),
            f"{name}.pth",
        )
        assert found.role == "trained"


def test_first_stages_and_trunks_are_called_what_the_configurations_expect(goldens: Path) -> None:
    configurations = json.loads((goldens / "i2rnet" / "manifest.json").read_text())["configs"].values()
    files = {(e.role, e.file) for e in ours().values()}
    for configuration in configurations:
        if configuration["model"]["single_checkpoint"]:
            assert ("first-stage", configuration["model"]["single_checkpoint"]) in files
        assert ("trunk", configuration["model"]["imagenet_checkpoint"]) in files


def test_our_entries_belong_to_methods_and_datasets_that_are_installed() -> None:
    datasets = plugins.installed("dataset")
    methods = {*plugins.installed("method"), "pinet"}
    for e in ours().values():
        assert e.method in methods, e.name
        assert e.dataset is None or e.dataset in datasets, e.name


def test_ochuman_models_admit_that_they_were_trained_on_val() -> None:
    trained = [e for e in ours().values() if e.dataset == "ochuman" and e.role == "trained"]
    assert len(trained) == 4
    assert {e.training_data for e in trained} == {"ochuman val"}


def test_every_file_of_the_table_has_a_place_of_its_own() -> None:
    places = [Wanted.of_entry(e).path for e in weights_table().values()]
    assert len(set(places)) == len(places)


def test_a_strangers_table_is_read_without_importing_the_package(site: Path) -> None:
    install_table(
        site, entry("strange/crowdpose", "https://example.org/f.pth", f'sha256 = "{"a" * 64}"', "size = 7")
    )
    found = weights_table()["strange/crowdpose"]
    assert (found.origin, found.size, found.sha256) == ("stranger 3.1", 7, "a" * 64)
    assert "stranger" not in sys.modules


def changed(old: str, new: str) -> str:
    text = entry("strange/crowdpose", "https://example.org/f.pth", "input_size = [256, 192]")
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("table", "sign"),
    [
        pytest.param(changed('role = "trained"', 'role = "tarined"'), "role", id="role"),
        pytest.param(changed('url = "https', 'uri = "https'), "uri", id="unknown field"),
        pytest.param(changed('file = "weights.pth"\n', ""), "file", id="no file"),
        pytest.param(changed('"weights.pth"', '"../../weights.pth"'), "plain file name", id="file with folders"),
        pytest.param(changed('"weights.pth"', '".bashrc"'), "plain file name", id="hidden file"),
        pytest.param(changed('"strange/crowdpose"', '"../crowdpose"'), "name must be", id="name that climbs"),
        pytest.param(changed('"strange/crowdpose"', '"other/crowdpose"'), "name must be", id="name of another"),
        pytest.param(changed('"https:', '"file:'), "https://", id="scheme"),
        pytest.param(changed("url", "page"), "instructions", id="page without instructions"),
        pytest.param(changed("[256, 192]", "[256, 0]"), "positive", id="size"),
        pytest.param(changed("[256, 192]", "[256]"), "input_size", id="one number"),
        pytest.param(changed('dataset = "crowdpose"\n', ""), "dataset", id="no dataset"),
        pytest.param(changed("input_size = [256, 192]", 'sha256 = "A1"'), "sha256", id="hash"),
        pytest.param("[[weights]\n", "weights.toml", id="no TOML"),
        pytest.param("", "weights", id="empty"),
    ],
)  # fmt: skip
def test_a_malformed_table_is_an_error_that_names_package_file_and_fault(
    site: Path, table: str, sign: str
) -> None:
    install_table(site, table)
    assert "i2rnet-tiny/synthcrowd" in weights_table(), "the others are read"
    (fault,) = read_tables().tables.faults.values()
    assert re.search(r"stranger/weights\.toml.*stranger 3\.1", str(fault))
    assert sign in str(fault)


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(entry("strange/crowdpose", "https://example.org/g", dataset="coco"), id="name"),
        pytest.param(entry("strange/again", "https://example.org/g"), id="method, dataset and size"),
    ],
)
def test_two_answers_to_one_question_are_an_error_that_names_both(site: Path, second: str) -> None:
    install_table(site, entry("strange/crowdpose", "https://example.org/f"))
    install_table(site, second, package="other")
    with pytest.raises(PluginError) as caught:
        read_tables().require_answer("strange/crowdpose")
    assert "i2rnet-tiny/synthcrowd" in weights_table()
    assert "stranger 3.1" in str(caught.value)
    assert "other 3.1" in str(caught.value)


def test_reading_the_table_imports_nothing_heavy() -> None:
    code = (
        "import sys; from crowdbench.weights import weights_table; weights_table(); "
        "print([m for m in ('torch', 'requests', 'filelock', 'cv2', 'pandas', 'safetensors') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_names_can_be_typed() -> None:
    for name in ours():
        assert re.fullmatch(r"[a-z0-9-]+/[a-z0-9-]+", name)
