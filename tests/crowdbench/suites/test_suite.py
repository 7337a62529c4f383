"""Suites name runs; a file that does not say clearly what to run is refused."""

from pathlib import Path

import pytest
from support.plugins import install_fake_distribution

from crowdbench import plugins
from crowdbench.errors import InputError, UnknownNameError
from crowdbench.leaderboard.published import published_results
from crowdbench.suites import suite as suites
from crowdbench.suites.suite import Suite, SuiteRun, load_suite, read_suite

PAPER = load_suite("i2rnet-paper")
GOOD = """\
name = "mine"
description = "one run"
[detector.dets]
description = "boxes"
file = "dets.json"
[[run]]
method = "m"
dataset = "d"
boxes = "detector:dets"
"""


def written(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution that ships a suite."""
    (tmp_path / "stranger_suites" / "suites").mkdir(parents=True)
    install_fake_distribution(tmp_path, "stranger", {"data": {"stranger": "stranger_suites"}})
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "stranger_suites" / "suites"


def test_the_papers_suite_has_all_rows_of_its_three_tables() -> None:
    counts = [sum(run.table == table for run in PAPER.runs) for table in ("CrowdPose", "OCHuman", "COCO")]
    assert counts == [3, 3, 4]
    assert len(PAPER.runs) == 10


@pytest.mark.parametrize("run", PAPER.runs, ids=lambda run: f"{run.method}-{run.dataset}-{run.ap}")
def test_a_run_of_the_paper_reproduces_a_published_row_on_its_terms(run: SuiteRun) -> None:
    size = run.settings.get("input_size", [256, 192])
    rows = published_results(
        name=run.method, dataset=run.dataset, protocol="gt-box" if run.boxes == "gt" else "detector"
    )
    (row,) = [row for row in rows if row.input == "x".join(map(str, size))]
    assert row.ap == run.ap
    assert run.split is not None
    assert run.split in row.split
    if run.detector is not None:
        assert row.detector is not None
        assert row.detector.startswith(PAPER.detector[run.detector].file.rsplit("/", 1)[-1])


@pytest.mark.parametrize("name", sorted({run.method for run in PAPER.runs}))
def test_the_papers_methods_are_declared(name: str) -> None:
    assert name in plugins.installed("method")


def test_the_path_that_the_documentation_names_leads_to_the_suite() -> None:
    path = Path(__file__).resolve().parents[3] / "benchmarks" / "suites" / "i2rnet-paper.toml"
    assert read_suite(path) == PAPER


def test_a_file_of_ones_own_is_read_by_its_path(tmp_path: Path) -> None:
    suite = load_suite(written(tmp_path, GOOD))
    assert suite.runs == (SuiteRun(method="m", dataset="d", boxes="detector:dets"),)
    assert suite.runs[0].detector == "dets"
    assert suite.runs[0].weights == "published"


def test_a_strangers_suite_is_found_by_its_name(site: Path) -> None:
    written(site, GOOD)
    assert load_suite("mine").description == "one run"


def test_an_unknown_suite_is_answered_with_the_nearest(site: Path) -> None:
    written(site, GOOD)
    with pytest.raises(UnknownNameError, match="Did you mean 'i2rnet-paper'") as caught:
        load_suite("i2rnet-papers")
    assert "mine" in str(caught.value)


def test_two_suites_of_one_name_are_told_apart_by_their_paths(site: Path) -> None:
    path = written(site, GOOD, "i2rnet-paper")
    with pytest.raises(InputError, match=r"two packages ship a suite 'i2rnet-paper'") as caught:
        load_suite("i2rnet-paper")
    assert str(path) in str(caught.value)
    assert load_suite(path).name == "mine"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param(("boxes =", "box ="), r"unknown field `box` - at `\$\.run\[0\]`", id="misspelled field"),
        pytest.param(("detector:dets", "detections"), "matching regex", id="boxes of no kind"),
        pytest.param(
            ("detector:dets", "detector:det"), r"there is no \[detector\.det\]", id="no such detector"
        ),
        pytest.param(('method = "m"', ""), "missing required field `method`", id="no method"),
        pytest.param(('"m"', "3"), "Expected `str`, got `int`", id="wrong kind"),
        pytest.param(("[[run]]", "[[run"), "not a suite", id="no TOML"),
        pytest.param(
            (GOOD, 'name = "mine"\ndescription = "none"\nrun = []'), "it names no run", id="no runs"
        ),
    ],
)
def test_a_faulty_suite_is_refused_with_its_place(
    tmp_path: Path, change: tuple[str, str], complaint: str
) -> None:
    path = written(tmp_path, GOOD.replace(*change))
    with pytest.raises(InputError, match=complaint) as caught:
        read_suite(path)
    assert str(path) in str(caught.value)


def test_a_suite_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml: there is no such file \(a suite\)"):
        load_suite(tmp_path / "none.toml")


def test_bytes_that_are_no_text_are_no_suite(tmp_path: Path) -> None:
    path = tmp_path / "bytes.toml"
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(InputError, match="not a suite"):
        suites.read_suite(path)


def test_runs_do_not_share_what_one_of_them_sets() -> None:
    first, second = (
        Suite(name="s", description="d", runs=(SuiteRun(method="m", dataset="d"),)) for _ in "12"
    )
    first.runs[0].settings["flip_test"] = False
    assert second.runs[0].settings == {}


GRID = """\
name = "mine"
description = "many runs"
[[grid]]
methods = ["m", "n"]
datasets = ["d", "e"]
seeds = [3, 1]
weights = "none"
settings = { flip_test = false }
table = "T1"
[[run]]
method = "alone"
dataset = "d"
"""


def test_a_grid_is_every_method_on_every_dataset_with_every_seed(tmp_path: Path) -> None:
    first, *grid = read_suite(written(tmp_path, GRID)).all_runs
    assert first == SuiteRun(method="alone", dataset="d")
    assert [(run.method, run.dataset, run.seed) for run in grid] == [
        (method, dataset, seed) for method in ("m", "n") for dataset in ("d", "e") for seed in (3, 1)
    ]
    assert {(run.weights, run.table, run.settings["flip_test"]) for run in grid} == {("none", "T1", False)}


def test_a_grid_without_seeds_takes_the_commands_seed(tmp_path: Path) -> None:
    suite = read_suite(written(tmp_path, GRID.replace("seeds = [3, 1]", "")))
    assert [(run.method, run.dataset, run.seed) for run in suite.all_runs[1:]] == [
        ("m", "d", None),
        ("m", "e", None),
        ("n", "d", None),
        ("n", "e", None),
    ]


def test_seeds_of_trainings_make_a_difference(tmp_path: Path) -> None:
    text = GRID.replace('weights = "none"', "train = true\nrecipe = { epochs = 2 }")
    grid = read_suite(written(tmp_path, text)).all_runs[1:]
    assert [run.seed for run in grid] == [3, 1] * 4
    assert all(run.train and run.recipe == {"epochs": 2} for run in grid)


def test_one_seed_is_as_good_as_none_where_it_makes_no_difference(tmp_path: Path) -> None:
    text = GRID.replace('weights = "none"', "").replace("[3, 1]", "[3]")
    assert [run.seed for run in read_suite(written(tmp_path, text)).all_runs[1:]] == [3] * 4


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param(('weights = "none"', ""), "seeds make no difference", id="seeds of published weights"),
        pytest.param(
            ('weights = "none"', 'weights = "w.pth"'),
            "seeds make no difference",
            id="seeds of a file of weights",
        ),
        pytest.param(('["m", "n"]', "[]"), "length >= 1", id="no methods"),
        pytest.param(('["d", "e"]', "[]"), "length >= 1", id="no datasets"),
        pytest.param(("[3, 1]", "[]"), "length >= 1", id="no seeds"),
        pytest.param(("[3, 1]", '["a"]'), "Expected `int`", id="a seed that is not a number"),
        pytest.param(("methods =", "method ="), "field `method", id="misspelled field"),
        pytest.param(('table = "T1"', "ap = 3.0"), "unknown field `ap`", id="one figure for many runs"),
        pytest.param(('table = "T1"', "recipe = { epochs = 2 }"), "a recipe is for training", id="recipe"),
        pytest.param(('weights = "none"', 'weights = "none"\ntrain = true'), "its own weights", id="weights"),
        pytest.param(
            ('table = "T1"', 'boxes = "detector:dets"'),
            r"there is no \[detector\.dets\]",
            id="no such detector",
        ),
    ],
)
def test_a_faulty_grid_is_refused(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    path = written(tmp_path, GRID.replace(*change))
    with pytest.raises(InputError, match=complaint) as caught:
        read_suite(path)
    assert str(path) in str(caught.value)
