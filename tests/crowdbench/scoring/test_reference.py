"""Agreement with the official tools on sets that each stress a rule.

The expected numbers were measured with crowdposetools, pycocotools and xtcocotools (tests/data/README.md).
"""

import importlib
import json
from pathlib import Path

import pytest
from support.reference.scoring_protocols import GOLDEN_SETS, OF_NAME, SETS, WHOLE_SETS
from support.requirements import everything_is_required

from crowdbench.scoring.score import score_files


def needs(engine: str) -> None:
    """Skip where an optional engine is not installed; `.ci/run` installs them."""
    if engine == "xtcocotools" and not everything_is_required():
        try:
            importlib.import_module("xtcocotools.cocoeval")
        except ImportError as error:
            pytest.skip(f"xtcocotools is not installed: {error}")


@pytest.mark.parametrize(("goldens", "name"), GOLDEN_SETS, indirect=["goldens"])
@pytest.mark.parametrize("engine", ["hotcoco", "pycocotools", "xtcocotools"])
def test_statistics_equal_those_of_the_official_tool(engine: str, name: str, goldens: Path) -> None:
    needs(engine)
    folder = goldens / "metrics"
    expected = json.loads((folder / "expected.json").read_text())[name]
    scores = score_files(
        folder / expected["preds"], folder / expected["gt"], OF_NAME[expected["protocol"]], engine=engine
    )
    assert list(scores.values.values()) == pytest.approx(expected["authority_stats"], abs=1e-9, rel=0)
    if "authority_split_ap_unrounded" in expected:
        unrounded = [-1 if ap is None else ap for ap in expected["authority_split_ap_unrounded"]]
        assert list(scores.unrounded.values()) == pytest.approx(unrounded, abs=1e-9, rel=0)


@pytest.mark.parametrize(
    ("goldens", "names"),
    [("compact", SETS), pytest.param("whole", WHOLE_SETS, marks=pytest.mark.reference)],
    indirect=["goldens"],
)
def test_all_golden_sets_are_tested(goldens: Path, names: tuple[str, ...]) -> None:
    assert sorted(names) == sorted(json.loads((goldens / "metrics/expected.json").read_text()))


def test_statistics_are_named_as_by_the_adapters() -> None:
    from crowdbench.api.dataset import dataset_class

    for name in ("crowdpose", "coco", "ochuman"):
        protocol, by_hand = dataset_class(name).protocol, OF_NAME[name]
        assert protocol.statistics == by_hand.statistics
        assert protocol.keypoints.sigmas == by_hand.keypoints.sigmas
        assert protocol.box_area_factor == by_hand.box_area_factor
        assert protocol.area_ranges == by_hand.area_ranges
        assert protocol.crowding_splits == by_hand.crowding_splits
