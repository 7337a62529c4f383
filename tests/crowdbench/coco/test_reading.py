"""The fast way of reading accepts exactly the files in which the rules find nothing."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.data import coco_files

from crowdbench.coco import reading
from crowdbench.coco.keypoint_names import file_order
from crowdbench.coco.raw import raw_file
from crowdbench.coco.reading import read_coco
from crowdbench.coco.rules.entries import Rules
from crowdbench.coco.rules.faults import faults
from crowdbench.errors import AnnotationError
from crowdbench_datasets.keypoint_sets import CROWDPOSE_14
from crowdbench_datasets.scoring_protocols import CROWDPOSE_PROTOCOL

FIELDS = [
    *(("images", field) for field in ("id", "file_name", "width", "height", "crowdIndex")),
    *(("annotations", field) for field in ("id", "image_id", "category_id", "bbox", "keypoints", "area")),
    *(("annotations", field) for field in ("iscrowd", "num_keypoints")),
    *(("categories", field) for field in ("id", "name", "keypoints")),
]
VALUES = st.one_of(
    st.sampled_from([0, 1, 2, 1.0, -1, 1e30, 1e200, 2**60, True, None, "1", "nan", [], [1], {}, 0.5]),
    st.sampled_from([[1, 2, 3, 4], [1, 2, -3, 4], [1.5] * 42, ["1"] * 42, [1, 1, 2] * 14, [0, 0, 7] * 14]),
)


@settings(deadline=None)  # the first one may import plugins, on a busy machine
@given(st.lists(st.tuples(st.sampled_from(FIELDS), VALUES), max_size=3), st.booleans())
def test_a_file_is_read_if_and_only_if_the_rules_find_no_fault(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[tuple[str, str], Any]], loaded: bool
) -> None:
    content = coco_files.document(14)
    for (part, field), value in changes:
        content[part][0][field] = copy.deepcopy(value)
    data = json.dumps(content).encode()
    path = tmp_path_factory.getbasetemp() / "annotations.json"
    path.write_bytes(data)
    rules = Rules(CROWDPOSE_PROTOCOL, loaded=loaded)
    found = list(faults(raw_file(data, path), rules))
    if found:
        with pytest.raises(AnnotationError) as caught:
            read_coco(path, rules)
        assert found[0].what in str(caught.value)
        return
    read, slowly = read_coco(path, rules), reading._read_slowly(data, path, rules)
    assert [entry.id for entry in read.entries] == [entry.id for entry in slowly.entries]
    np.testing.assert_array_equal(read.keypoints, slowly.keypoints)


@settings(deadline=None)  # the first one may import plugins, on a busy machine
@given(st.permutations(range(14)))
def test_keypoints_are_put_in_order_by_name(
    tmp_path_factory: pytest.TempPathFactory, places: list[int]
) -> None:
    content = coco_files.document(14)
    expected = [entry["keypoints"] for entry in content["annotations"]]
    content["categories"][0]["keypoints"] = [CROWDPOSE_14.keypoints[place] for place in places]
    for entry in content["annotations"]:
        triples = [entry["keypoints"][3 * place : 3 * place + 3] for place in places]
        entry["keypoints"] = [value for triple in triples for value in triple]
    path: Path = tmp_path_factory.getbasetemp() / "ordered.json"
    path.write_text(json.dumps(content))
    read = read_coco(path, Rules(CROWDPOSE_PROTOCOL))
    assert [entry.keypoints for entry in read.entries] == expected
    assert bool(read.corrections) == (places != list(range(14)))


@pytest.mark.parametrize(
    "spelling",
    ["Left Shoulder", "left-shoulder", "LEFT_SHOULDER", "leftShoulder", "l_shoulder", "shoulder.L"],
)
def test_the_spelling_of_a_name_does_not_matter(spelling: str) -> None:
    names = [spelling, *CROWDPOSE_14.keypoints[1:]]
    assert file_order(names, CROWDPOSE_14) == tuple(range(14))


def test_other_names_are_no_order() -> None:
    assert file_order([*CROWDPOSE_14.keypoints[:13], "nose"], CROWDPOSE_14) is None
    assert file_order(["neck"] * 14, CROWDPOSE_14) is None
    assert file_order([1, 2, 3], CROWDPOSE_14) is None
