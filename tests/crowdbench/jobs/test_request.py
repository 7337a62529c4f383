"""A request says all that was asked, wherever it is taken, and the same request has the same key."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowdbench.errors import DataError
from crowdbench.jobs.request import (
    EvaluationRequest,
    Request,
    TrainingRequest,
    decode,
    encode,
    fingerprint,
    with_absolute_paths,
)

REQUESTS = (EvaluationRequest("m", "d"), TrainingRequest("m", "d"))
KINDS = pytest.mark.parametrize("request_", REQUESTS, ids=["run", "train"])
# How something is done. Everything else is what is done, and makes a difference.
MANNER = {"command", "workers", "save_every_s", "again", "trackers", "out"}
# For each field a value that is not its default.
OTHERS: dict[str, Any] = {
    "method": "n",
    "dataset": "e",
    "settings": {"flip_test": "false"},
    "split": "val",
    "root": Path("/data"),
    "boxes": "none",
    "box_score": 0.3,
    "keypoints": "common",
    "annotations": Path("/a.json"),
    "crowding": 0.5,
    "weights": "none",
    "out": Path("/runs"),
    "limit": 3,
    "batch_size": 2,
    "workers": 7,
    "seed": 1,
    "device": "cpu",
    "precision": "bf16",
    "compiled": True,
    "again": True,
    "save_every_s": 1.5,
    "command": ("crowdbench", "run"),
    "validate_on": "val",
    "select_on_test": True,
    "recipe": {"epochs": "3"},
    "start": "none",
    "deterministic": True,
    "trackers": ("wandb",),
    "evaluated": False,
}

texts = st.text(max_size=8)
paths = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=8).map(Path)
floats = st.floats(allow_nan=False, allow_infinity=False)
plain = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), floats, texts)
settings = st.dictionaries(texts, st.one_of(plain, st.lists(plain, max_size=3)), max_size=3)
counts = st.none() | st.integers(0, 10**6)
common = {
    "method": texts,
    "dataset": texts,
    "settings": settings,
    "split": st.none() | texts,
    "root": st.none() | paths,
    "out": paths,
    "limit": counts,
    "workers": counts,
    "seed": st.integers(0, 2**31),
    "device": texts,
    "precision": st.sampled_from(["fp32", "bf16", "fp16"]),
    "compiled": st.booleans(),
    "save_every_s": floats,
    "command": st.lists(texts, max_size=3).map(tuple),
}
runs = st.builds(
    EvaluationRequest,
    **common,
    boxes=texts,
    annotations=st.none() | paths,
    crowding=st.none() | floats,
    weights=texts,
    batch_size=counts,
    again=st.booleans(),
)
trainings = st.builds(
    TrainingRequest,
    **common,
    validate_on=st.none() | texts,
    select_on_test=st.booleans(),
    recipe=settings,
    start=st.none() | texts,
    deterministic=st.booleans(),
    trackers=st.lists(texts, max_size=2).map(tuple),
    evaluated=st.booleans(),
)


def taken_elsewhere(request: Request) -> Request:
    return decode(json.loads(json.dumps(encode(request))))


@given(runs | trainings)
def test_a_request_comes_back_from_json_as_it_was(request: Request) -> None:
    assert taken_elsewhere(request) == request
    assert fingerprint(taken_elsewhere(request)) == fingerprint(request)


@pytest.mark.parametrize(
    ("encoded", "complaint"),
    [
        pytest.param({"kind": "dance"}, "no request is of the kind 'dance'", id="unknown kind"),
        pytest.param({"method": "m"}, "of the kind None", id="no kind"),
        pytest.param({"kind": "run", "method": "m"}, "missing required field `dataset`", id="incomplete"),
        pytest.param({"kind": "run", "method": 3, "dataset": "d"}, "Expected `str`", id="wrong type"),
        pytest.param(
            {"kind": "train", "method": "m", "dataset": "d", "precision": "fp8"},
            "fp8",
            id="no such precision",
        ),
    ],
)
def test_what_is_no_request_is_refused(encoded: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        decode(encoded)


@KINDS
def test_the_key_sees_what_is_asked_and_not_how_it_is_done(request_: Request) -> None:
    for field in dataclasses.fields(request_):
        changed = dataclasses.replace(request_, **{field.name: OTHERS[field.name]})
        assert changed != request_, f"{field.name}: the other value is the default"
        assert (fingerprint(changed) == fingerprint(request_)) == (field.name in MANNER), field.name


def test_a_run_and_a_training_have_different_keys() -> None:
    assert fingerprint(REQUESTS[0]) != fingerprint(REQUESTS[1])


def test_the_order_in_which_settings_were_given_makes_no_difference() -> None:
    one, other = (
        EvaluationRequest("m", "d", settings=dict(pairs))
        for pairs in ([("a", 1), ("b", 2)], [("b", 2), ("a", 1)])
    )
    assert fingerprint(one) == fingerprint(other)


@given(runs, runs)
def test_requests_that_differ_in_more_than_manner_have_different_keys(
    one: EvaluationRequest, other: EvaluationRequest
) -> None:
    def asked(request: EvaluationRequest) -> dict[str, Any]:
        return {name: value for name, value in encode(request).items() if name not in MANNER}

    # As JSON, because 1 is not True and 1 is not 1.0 when it is written down.
    same = json.dumps(asked(one), sort_keys=True) == json.dumps(asked(other), sort_keys=True)
    assert (fingerprint(one) == fingerprint(other)) == same


def test_what_else_makes_a_difference_is_part_of_the_key() -> None:
    keys = {fingerprint(REQUESTS[1], processes=count) for count in (1, 2)} | {fingerprint(REQUESTS[1])}
    assert len(keys) == 3
    assert all(len(digits) == 8 and int(digits, 16) >= 0 for digits in keys)


@KINDS
def test_relative_paths_mean_the_same_from_anywhere(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.pth").touch()
    names = {"root": Path("data"), "weights": "mine.pth", "boxes": "mine.pth", "start": "mine.pth"}
    names["annotations"] = Path("a.json")
    given = {field.name: names[field.name] for field in dataclasses.fields(request_) if field.name in names}
    found = with_absolute_paths(dataclasses.replace(request_, **given))
    monkeypatch.chdir("/")
    assert found == with_absolute_paths(found)
    assert found.out == tmp_path / "runs"
    for name, value in given.items():
        assert getattr(found, name) == type(value)(tmp_path / value), name


@pytest.mark.parametrize("word", ["published", "i2rnet-vanilla/crowdpose", "https://host/w.pth", "gone.pth"])
def test_names_that_are_no_files_stay_as_they_are(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert with_absolute_paths(EvaluationRequest("m", "d", weights=word, boxes=word)) == EvaluationRequest(
        "m", "d", weights=word, boxes=word, out=tmp_path / "runs"
    )


@pytest.mark.parametrize("word", ["gt", "none", "published"])
def test_a_file_that_is_called_like_a_word_does_not_hide_the_word(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / word).touch()
    assert with_absolute_paths(EvaluationRequest("m", "d", weights=word)).weights == word  # type: ignore[union-attr]
