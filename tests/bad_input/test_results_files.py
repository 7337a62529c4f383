"""The section "Results files" of docs/bad-input.md: styles of other tools, and files that are none."""

import gzip
import json
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.bad_input_cases import Cases
from support.data import coco_files

case = Cases("Results files")
IMAGES = 4
PERFECT = "AP              100.00"


def score(folder: Path, content: Any, name: str = "results.json") -> list[str]:
    """The command for a file of results beside four annotated images called photos/00000N.jpg."""
    truth = coco_files.document(17, IMAGES)
    for image in truth["images"]:
        image["id"] += 1000
        image["file_name"] = f"photos/{image['file_name']}"
    for person in truth["annotations"]:
        person["image_id"] += 1000
    (folder / "truth.json").write_text(json.dumps(truth))
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / name).write_bytes(data)
    return ["score", name, "coco", "--annotations", "truth.json"]


def perfect() -> list[dict[str, Any]]:
    """Everybody found."""
    persons = coco_files.document(17, IMAGES)["annotations"]
    return [
        {
            "image_id": person["image_id"] + 1000,
            "category_id": 1,
            "keypoints": person["keypoints"],
            "score": 0.9 - 0.1 * index,
        }
        for index, person in enumerate(persons)
    ]


def named(name: str, field: str = "image_id") -> list[dict[str, Any]]:
    """The same with names of images; ``{}`` stands for the image's number."""
    entries = perfect()
    for entry in entries:
        number = entry.pop("image_id") - 1000
        entry[field] = name.format(f"{number:06d}")
    return entries


def by_name(entries: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {
        f"{e['image_id'] - 1000:06d}.jpg": [{k: v for k, v in e.items() if k != "image_id"}] for e in entries
    }


@case("ids-are-file-names")
def _(folder: Path) -> list[str]:
    return score(folder, named("{}.jpg"))


@case("ids-are-file-names-with-folders")
def _(folder: Path) -> list[str]:
    return score(folder, named("/home/me/data/photos/{}.jpg"))


@case("ids-are-stems")
def _(folder: Path) -> list[str]:
    return score(folder, named("{}"))


@case("ids-are-windows-paths")
def _(folder: Path) -> list[str]:
    return score(folder, named("D:\\photos\\{}.jpg"))


@case("file-name-without-image-id")
def _(folder: Path) -> list[str]:
    return score(folder, named("{}.jpg", "file_name"))


@case("image-path-without-image-id")
def _(folder: Path) -> list[str]:
    return score(folder, named("photos/{}.jpg", "image_path"))


@case("names-in-another-folder")
def _(folder: Path) -> list[str]:
    return score(folder, named("other/{}.jpg"))


@case("names-of-other-images")
def _(folder: Path) -> list[str]:
    return score(folder, named("x{}.jpg"))


@case("id-in-quotes")
def _(folder: Path) -> list[str]:
    entries = perfect()
    entries[2]["image_id"] = "1003"
    return score(folder, entries)


@case("id-with-zeros-in-quotes")
def _(folder: Path) -> list[str]:
    return score(folder, [{**entry, "image_id": f"0000{entry['image_id']}"} for entry in perfect()])


@case("id-and-name-disagree")
def _(folder: Path) -> list[str]:
    entries = [{**entry, "file_name": "000002.jpg", "extra": float("nan")} for entry in perfect()]
    entries[0]["score"] = 1
    return score(folder, entries)


@case("wrapped-with-info")
def _(folder: Path) -> list[str]:
    return score(folder, {"info": {"tool": "mine"}, "predictions": perfect()})


@case("wrapped-twice")
def _(folder: Path) -> list[str]:
    return score(folder, {"model": "mine", "results": {"annotations": perfect()}})


@case("wrapped-without-a-list")
def _(folder: Path) -> list[str]:
    return score(folder, {"info": {}, "poses_of_everybody": 3})


@case("an-object-by-file-name")
def _(folder: Path) -> list[str]:
    return score(folder, by_name(perfect()))


@case("an-object-by-id")
def _(folder: Path) -> list[str]:
    return score(folder, {str(e["image_id"]): [e | {"image_id": None}] for e in perfect()})


@case("a-list-of-images")
def _(folder: Path) -> list[str]:
    return score(folder, [{"file_name": n, "instances": of} for n, of in by_name(perfect()).items()])


@case("json-lines")
def _(folder: Path) -> list[str]:
    return score(folder, "\n".join(map(json.dumps, perfect())).encode(), "results.jsonl")


@case("json-lines-gzipped")
def _(folder: Path) -> list[str]:
    lines = "\r\n\r\n".join(map(json.dumps, named("{}.jpg")))
    return score(folder, gzip.compress(lines.encode()), "results.jsonl.gz")


@case("json-lines-cut-off")
def _(folder: Path) -> list[str]:
    return score(folder, "\n".join(map(json.dumps, perfect())).encode()[:-20], "results.jsonl")


@case("keypoints-as-points")
def _(folder: Path) -> list[str]:
    return score(
        folder, [{**e, "keypoints": np.reshape(e["keypoints"], (17, 3)).tolist()} for e in perfect()]
    )


@case("confidences-apart")
def _(folder: Path) -> list[str]:
    entries = [
        {**e, "keypoints": np.reshape(e["keypoints"], (17, 3))[:, :2].tolist(), "keypoint_scores": [0.5] * 17}
        for e in perfect()
    ]
    return score(folder, entries)


@case("flat-pairs-and-confidences-apart")
def _(folder: Path) -> list[str]:
    entries = [
        {
            **e,
            "keypoints": np.delete(e["keypoints"], slice(2, None, 3)).tolist(),
            "keypoint_scores": [0.5] * 17,
        }
        for e in perfect()
    ]
    return score(folder, entries)


@case("score-under-another-name")
def _(folder: Path) -> list[str]:
    return score(
        folder, [{("bbox_score" if k == "score" else k): v for k, v in e.items()} for e in perfect()]
    )


@case("openpose")
def _(folder: Path) -> list[str]:
    people = [{"pose_keypoints_2d": [1.0] * 54}]
    return score(folder, {name: {"version": 1.3, "people": people} for name in by_name(perfect())})


@case("a-table")
def _(folder: Path) -> list[str]:
    rows = [",".join(map(str, [e["image_id"], e["score"], *e["keypoints"]])) for e in perfect()]
    return score(folder, "\n".join(["image_id,score" + ",k" * 51, *rows]).encode(), "results.csv")


@case("a-numpy-array")
def _(folder: Path) -> list[str]:
    np.save(folder / "results.npy", np.array([e["keypoints"] for e in perfect()]))
    return score(folder, (folder / "results.npy").read_bytes())


@case("a-pickle")
def _(folder: Path) -> list[str]:
    return score(folder, pickle.dumps(perfect()), "results.pkl")


@case("a-zip-archive")
def _(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "results.zip", "w") as archive:
        archive.writestr("results.json", json.dumps(perfect()))
    return score(folder, (folder / "results.zip").read_bytes())


@case("a-page-of-the-server")
def _(folder: Path) -> list[str]:
    return score(folder, b"<!DOCTYPE html>\n<html><body>404</body></html>")


@case("a-comma-before-the-bracket")
def _(folder: Path) -> list[str]:
    return score(folder, json.dumps(perfect(), indent=1).encode()[:-2] + b",\n]")


@case("a-score-that-is-nan")
def _(folder: Path) -> list[str]:
    entries = [{"name": "NaN", **entry} for entry in perfect()]
    entries[1]["score"] = float("nan")
    return score(folder, json.dumps(entries).replace("}, {", "},\n{").encode())


@case("printed-by-python")
def _(folder: Path) -> list[str]:
    return score(folder, str(perfect()).encode())


def test_every_row_has_a_case() -> None:
    case.check_complete()


@pytest.mark.parametrize("name", case.makers)
def test_the_command_says_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = case.check(name, tmp_path, monkeypatch, capsys)
    if case.rows[name].status == 0:
        assert PERFECT in said
