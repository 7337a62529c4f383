"""Every published figure carries over unchanged, and a file that is not as it must be is refused."""

from pathlib import Path

import msgspec
import pytest
import yaml

from crowdbench.errors import PluginError
from crowdbench.leaderboard.published import (
    FILE,
    PublishedResult,
    all_published,
    published_results,
    read_published,
)
from crowdbench.plugins import package_data_files

I2RNET = {
    # dataset, split, protocol, input: (vanilla, transpose, hrformer), AP in percent, from the release's README
    ("crowdpose", "test", "gt-box", "256x192"): (72.3, 76.3, 77.4),
    ("ochuman", "disputed (val|test)", "gt-box", "256x192"): (64.3, 66.5, 67.8),
    ("coco", "val2017", "detector", "256x192"): (75.3, 75.8, 76.4),
    ("coco", "val2017", "detector", "384x288"): (None, None, 77.3),
}
GOOD = "- {dataset: a, split: test, method: M, protocol: gt-box, source: here, year: 2024, ap: 50.5}\n"


def written(folder: Path, text: str) -> Path:
    path = folder / FILE
    path.write_text(text)
    return path


def test_every_row_of_the_reference_is_there_unchanged(goldens: Path) -> None:
    expected = yaml.safe_load((goldens / "published.yaml").read_text())
    (ours,) = [file for file in package_data_files(FILE) if file.path.parent.name == "crowdbench_benchmarks"]
    # What the reference says of a row; rows that were added since are not its business.
    found = [
        {field: value for field, value in msgspec.to_builtins(row).items() if value is not None}
        for row in read_published(ours.path)
    ]
    for row in expected:
        row = {field: value for field, value in row.items() if value is not None}  # noqa: PLW2901
        assert any(row.items() <= candidate.items() for candidate in found), row


def test_the_ten_rows_of_i2rnet_are_tied_to_its_methods() -> None:
    variants = ("i2rnet-vanilla", "i2rnet-transpose", "i2rnet-hrformer")
    found = {
        (r.dataset, r.split, r.protocol, r.input, r.name): r.ap
        for r in all_published()
        if r.method == "I2R-Net"
    }
    expected = {
        (*key, name): ap
        for key, aps in I2RNET.items()
        for name, ap in zip(variants, aps, strict=True)
        if ap is not None
    }
    assert found == expected
    assert len(found) == 10


def test_the_full_hrnet_w48_is_not_taken_for_its_truncated_trunk() -> None:
    assert published_results(name="hrnet-w48-s") == []
    assert {row.backbone for row in published_results(dataset="coco")} >= {"HRNet-W48", "HRNet-S-W48"}


def test_rows_are_found_by_everything_that_is_asked_at_once() -> None:
    (row,) = published_results(name="pinet", dataset="crowdpose", split="test", protocol="bottom-up")
    assert (row.ap, row.year) == (68.9, 2021)
    assert published_results(name="pinet", protocol="gt-box") == []
    assert len(published_results()) == len(all_published())


def test_what_a_row_leaves_out_is_unknown_and_not_zero(tmp_path: Path) -> None:
    (row,) = read_published(written(tmp_path, GOOD))
    assert row == PublishedResult(
        dataset="a", split="test", method="M", protocol="gt-box", source="here", year=2024, ap=50.5
    )
    assert row.ar is None


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param(("ap: 50.5", "ap: 505.0"), r"`float` <= 100.*\$\[0\]\.ap", id="not a percentage"),
        pytest.param(("ap: 50.5", "ap: .nan"), r"\$\[0\]\.ap", id="not a number"),
        pytest.param(("ap: 50.5", "aP: 50.5"), "unknown field `aP`", id="misspelled field"),
        pytest.param(("gt-box", "gt"), "Invalid enum value 'gt'", id="unknown protocol"),
        pytest.param((", source: here", ""), "missing required field `source`", id="no source"),
        pytest.param(("2024", "'2024'"), "Expected `int`, got `str`", id="number as text"),
        pytest.param(("- {", "{"), "Expected `array`", id="no list"),
        pytest.param(("}", ""), "not a list of published results", id="no YAML"),
        pytest.param(("50.5", "!!python/name:os.system"), "not a list of published results", id="code"),
    ],
)
def test_a_faulty_file_is_refused_with_its_place(
    tmp_path: Path, change: tuple[str, str], complaint: str
) -> None:
    path = written(tmp_path, GOOD.replace(*change))
    with pytest.raises(PluginError, match=complaint) as caught:
        read_published(path)
    assert str(path) in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"published\.yaml: there is no such file"):
        read_published(tmp_path / FILE)
