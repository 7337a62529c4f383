"""Results files replayed as methods: the same scores, an honest record, and refusals."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from support.data import coco_files

import crowdbench
from crowdbench.errors import PredictionError, SettingsError
from crowdbench.leaderboard.board import build_leaderboard
from crowdbench.run_store.run import Run


@pytest.fixture(scope="module")
def dataset() -> crowdbench.Dataset:
    return crowdbench.load_dataset("synthcrowd", split="val")


@pytest.fixture(scope="module")
def entries(dataset: crowdbench.Dataset) -> list[dict[str, Any]]:
    """The ground truth, some of it moved, with the boxes of a system that writes some."""
    found = []
    for index in range(6):
        sample = dataset[index]
        for place, person in enumerate(sample.instances):
            keypoints = person.keypoints.copy()
            keypoints[:, :2] += 3 * place
            keypoints[:, 2] = 0.5
            found.append(
                {
                    "image_id": sample.image_id,
                    "category_id": 1,
                    "keypoints": keypoints.ravel().tolist(),
                    "score": 1 / (2 + place),
                    "bbox": [*person.box_xywh[:2].tolist(), 30.0, 50.0],
                }
            )
    return found


def replay(dataset: crowdbench.Dataset, file: Path, out: Path, **settings: Any) -> Run:
    settings.setdefault("boxes", "gt")
    limit = settings.pop("limit", None)
    method = crowdbench.load_method("results", dataset, **settings)
    return crowdbench.evaluate(method, dataset, weights=file, out=out, limit=limit)


@pytest.mark.parametrize("boxes", [True, False])
def test_a_replay_scores_exactly_what_the_file_scores(
    dataset: crowdbench.Dataset, entries: list[dict[str, Any]], tmp_path: Path, boxes: bool
) -> None:
    written = entries if boxes else [{k: v for k, v in e.items() if k != "bbox"} for e in entries]
    file = tmp_path / "results.json.gz"
    file.write_bytes(gzip.compress(json.dumps(written).encode()))
    run = replay(dataset, file, tmp_path / "runs")
    assert run.record.scores == dict(crowdbench.score(file, dataset).values)
    assert 0 < run.record.scores["AP"] < 1
    with gzip.open(run.predictions_file) as kept:
        again = json.loads(kept.read())
    assert again == written


def test_the_record_says_what_the_user_said(
    dataset: crowdbench.Dataset, entries: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "results.json"
    file.write_text(json.dumps(entries))
    facts = {
        "system": "posex-1.0",
        "boxes": "detector:yolox-x",
        "training_data": "crowdpose trainval",
        "input_size": "256x192",
        "flip_test": "true",
    }
    record = replay(dataset, file, tmp_path / "runs", **facts).record
    assert record.method == "results-posex-1.0"
    assert record.protocol.boxes == "detector:yolox-x"
    assert record.protocol.training_data == "crowdpose trainval"
    assert record.protocol.input_size == (256, 192)
    assert record.protocol.flip_test is True
    assert record.weights.source == str(file)
    assert record.weights.sha256
    # The same file elsewhere is the same run.
    moved = file.rename(tmp_path / "moved.json")
    assert replay(dataset, moved, tmp_path / "runs", **facts).record.id == record.id


def test_replays_with_unknown_boxes_are_ranked_with_nobody(
    dataset: crowdbench.Dataset, entries: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "results.json"
    file.write_text(json.dumps(entries))
    runs = [
        replay(dataset, file, tmp_path / "runs", system=system, boxes=boxes)
        for system, boxes in (("a", "unknown"), ("b", "unknown"), ("c", "gt"), ("d", "gt"))
    ]
    tables = [sorted(table.rows["method"]) for table in build_leaderboard(runs)]
    assert sorted(tables) == [["results-a"], ["results-b"], ["results-c", "results-d"]]
    assert any("boxes unknown (a)" in table.title for table in build_leaderboard(runs))


def test_boxes_have_to_be_told(
    dataset: crowdbench.Dataset, entries: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "results.json"
    file.write_text(json.dumps(entries))
    method = crowdbench.load_method("results", dataset)
    with pytest.raises(SettingsError, match="--set boxes=gt, --set boxes=none"):
        crowdbench.evaluate(method, dataset, weights=file, out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    with pytest.raises(SettingsError, match="boxes must be gt, none, detector"):
        crowdbench.load_method("results", dataset, boxes="mine")
    with pytest.raises(SettingsError, match="system becomes part of file names"):
        crowdbench.load_method("results", dataset, system="../elsewhere")


def test_a_file_of_another_split_is_refused(
    dataset: crowdbench.Dataset, entries: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "results.json"
    strange = [{**entry, "image_id": 7} for entry in entries[:1]]
    file.write_text(json.dumps(entries + strange))
    with pytest.raises(PredictionError, match="1 of its 7 images are not in this split, for one image_id 7"):
        replay(dataset, file, tmp_path / "runs")
    # A part of the split may be asked for.
    assert replay(dataset, file, tmp_path / "runs", limit=3).record.counts["images"] == 3
    file.write_text(json.dumps(strange))
    with pytest.raises(PredictionError, match="another split or dataset"):
        replay(dataset, file, tmp_path / "runs", limit=3)


def test_a_file_that_cannot_be_scored_is_refused(dataset: crowdbench.Dataset, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text(json.dumps([{"image_id": 1, "category_id": 1, "keypoints": [1, 2, 3], "score": 1}]))
    with pytest.raises(PredictionError, match="another dataset"):
        replay(dataset, file, tmp_path / "runs")


def test_without_a_file_there_is_nothing_to_replay(dataset: crowdbench.Dataset, tmp_path: Path) -> None:
    method = crowdbench.load_method("results", dataset, boxes="gt")
    with pytest.raises(SettingsError, match="name one with --weights FILE"):
        crowdbench.evaluate(method, dataset, weights="none", out=tmp_path)


@pytest.mark.parametrize("folder", ["", "somewhere/else/images/"])
def test_a_file_that_names_images_is_replayed_and_the_record_says_so(tmp_path: Path, folder: str) -> None:
    coco_files.write(tmp_path, "json/crowdpose_test.json")
    dataset = crowdbench.load_dataset("crowdpose", root=tmp_path)
    entries = [
        {
            **{k: p[k] for k in ("category_id", "keypoints")},
            "score": 0.5,
            "file_name": f"{folder}{p['image_id']:06d}.jpg",
        }
        for p in coco_files.document(14)["annotations"]
    ]
    (tmp_path / "named.json").write_text(json.dumps({"results": entries}))
    method = crowdbench.load_method("results", dataset, boxes="gt")
    run = crowdbench.evaluate(
        method, dataset, weights=tmp_path / "named.json", out=tmp_path / "runs", device="cpu", workers=0
    )
    assert run.scores is not None
    assert run.scores["AP"] == 1.0
    for words in ("read from 'results'", "images were read from 'file_name'", "by the names of their files"):
        assert any(words in warning for warning in run.record.warnings), words
    assert not run.record.doubts


def test_a_file_whose_ids_and_names_disagree_is_refused(tmp_path: Path) -> None:
    coco_files.write(tmp_path, "json/crowdpose_test.json")
    dataset = crowdbench.load_dataset("crowdpose", root=tmp_path)
    person = coco_files.document(14)["annotations"][0]
    entry = {k: person[k] for k in ("image_id", "category_id", "keypoints")}
    (tmp_path / "mixed.json").write_text(json.dumps([{**entry, "score": 0.5, "file_name": "000002.jpg"}]))
    method = crowdbench.load_method("results", dataset, boxes="gt")
    with pytest.raises(PredictionError, match=r"image_id is 1, but its file '000002.jpg' is the image 2"):
        crowdbench.evaluate(
            method, dataset, weights=tmp_path / "mixed.json", out=tmp_path / "runs", device="cpu", workers=0
        )


def test_a_replay_that_cannot_be_meant_is_marked_wherever_its_numbers_stand(
    dataset: crowdbench.Dataset, entries: list[dict[str, Any]], tmp_path: Path
) -> None:
    from crowdbench.report import report_data

    exchanged = []
    for entry in entries:
        x, y, c = (entry["keypoints"][n::3] for n in range(3))
        keypoints = [value for point in zip(y, x, c, strict=True) for value in point]
        exchanged.append({**entry, "keypoints": keypoints})
    file = tmp_path / "results.json"
    file.write_text(json.dumps(exchanged))
    run = replay(dataset, file, tmp_path / "runs", limit=6)
    (doubt,) = [doubt for doubt in run.record.doubts if "x and y exchanged" in doubt]
    assert doubt in run.record.warnings
    (table,) = build_leaderboard([run])
    assert table.entries[0].values["in doubt"] == "!"
    assert any(note.startswith("! results-unnamed") and doubt in note for note in table.notes)
    data = report_data([run], dataset, pictures=0)
    assert any("are in doubt" in note and doubt in note for note in data.notes)
