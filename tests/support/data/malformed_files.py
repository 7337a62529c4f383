"""Ways in which ground truth or predictions can be wrong: one fault each, put into sound files.

The first 47 are those whose outcomes on the official tools were measured
(``metrics/robustness.json`` of the golden numbers, same names); the others are our own. What must come of each stands in
the table of docs/metrics.md, which the tests read.
"""

import copy
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Content = Any  # bytes are written as they are; Path stands for a folder; anything else as JSON


@dataclass
class Files:
    """Sound files, to be changed by a case."""

    truth: Content
    predictions: Content
    keypoints: int
    suffix: str = ".json"

    @property
    def best(self) -> dict[str, Any]:
        """The prediction of the highest score."""
        found: dict[str, Any] = max(self.predictions, key=lambda p: p["score"])
        return found


@dataclass
class Case:
    """A fault, what an error about it must say, and whether entries in memory cannot have it."""

    name: str
    inject: Callable[[Files], None]
    says: str = ""
    is_of_file: bool = False


CASES: list[Case] = []


def case(
    name: str, says: str = "", is_of_file: bool = False
) -> Callable[[Callable[[Files], None]], Callable[[Files], None]]:
    def add(inject: Callable[[Files], None]) -> Callable[[Files], None]:
        CASES.append(Case(name, inject, says, is_of_file))
        return inject

    return add


def prediction(name: str, says: str = "", at: int = 3, drop: str | None = None, **changes: Any) -> None:
    """A case that changes or drops fields of one prediction."""

    def inject(files: Files) -> None:
        files.predictions[at].update(changes)
        if drop:
            del files.predictions[at][drop]

    CASES.append(Case(name, inject, says))


def person(name: str, says: str = "", drop: str | None = None, **changes: Any) -> None:
    """A case that changes fields of the first annotation, or drops a field of all."""

    def inject(files: Files) -> None:
        files.truth["annotations"][0].update(changes)
        if drop:
            for annotation in files.truth["annotations"]:
                annotation.pop(drop, None)

    CASES.append(Case(name, inject, says))


@case("baseline")
def _(files: Files) -> None:
    pass


@case("preds: empty list")
def _(files: Files) -> None:
    files.predictions = []


@case("preds: NaN xy in one joint of best det", r"predictions\[35\].*keypoints\[0\] is nan")
def _(files: Files) -> None:
    files.best["keypoints"][0:2] = [float("nan")] * 2


@case("preds: NaN x of joint0 in every det", r"predictions\[0\].*keypoints\[0\] is nan.*more")
def _(files: Files) -> None:
    for one in files.predictions:
        one["keypoints"][0] = float("nan")


@case("preds: Infinity x", r"predictions\[35\].*keypoints\[0\] is inf")
def _(files: Files) -> None:
    files.best["keypoints"][0] = float("inf")


@case("preds: x=1e200")
def _(files: Files) -> None:
    files.best["keypoints"][0] = 1e200


@case("preds: NaN score", r"predictions\[35\].*score is nan")
def _(files: Files) -> None:
    files.best["score"] = float("nan")


@case("preds: inf score", r"predictions\[35\].*score is inf")
def _(files: Files) -> None:
    files.best["score"] = float("inf")


prediction("preds: score missing", r"predictions\[3\].*score is missing", drop="score")
prediction("preds: score null", r"predictions\[3\].*score is missing or null", score=None)
prediction('preds: score string "0.5"', r"predictions\[3\].*score must be a number, found '0.5'", score="0.5")
prediction(
    "preds: keypoints missing in one (not first)",
    r"predictions\[3\].*keypoints is missing",
    drop="keypoints",
)
prediction(
    "preds: keypoints missing in first", r"predictions\[0\].*keypoints is missing", at=0, drop="keypoints"
)


@case("preds: one det with K-1 joints", r"predictions\[3\].*keypoints has (39|48) numbers, needs (42|51)")
def _(files: Files) -> None:
    del files.predictions[3]["keypoints"][-3:]


@case("preds: all dets with K-1 joints", r"predictions\[0\].*needs (42|51).*\n1[36] keypoints.*another")
def _(files: Files) -> None:
    for one in files.predictions:
        del one["keypoints"][-3:]


@case("preds: all dets with K+1 joints", r"predictions\[0\].*has (45|54) numbers, needs (42|51)")
def _(files: Files) -> None:
    for one in files.predictions:
        one["keypoints"] += [1.0, 1.0, 1.0]


@case("preds: xy only (2K numbers)", r"predictions\[0\].*has (28|34) numbers.*\n.*add a confidence")
def _(files: Files) -> None:
    for one in files.predictions:
        del one["keypoints"][2::3]


prediction("preds: keypoints []", r"predictions\[3\].*keypoints has 0 numbers", keypoints=[])


@case("preds: keypoints as strings", r"predictions\[0\].*keypoints\[0\] is '.*', which is not a number")
def _(files: Files) -> None:
    for one in files.predictions:
        one["keypoints"] = [str(number) for number in one["keypoints"]]


@case("preds: null coordinate", r"predictions\[3\].*keypoints\[0\] is null, which is not a number")
def _(files: Files) -> None:
    files.predictions[3]["keypoints"][0] = None


prediction(
    "preds: unknown image_id", r"predictions\[3\]: image_id 999999999 is not an image of", image_id=999999999
)
prediction("preds: unknown category_id", r"predictions\[3\].*category_id is 7", category_id=7)
prediction("preds: category_id missing", r"predictions\[3\].*category_id is missing", drop="category_id")


@case("preds: image_id string", r"predictions\[3\]: image_id '\d+' is not an image.*\n.*without quotes")
def _(files: Files) -> None:
    files.predictions[3]["image_id"] = str(files.predictions[3]["image_id"])


@case("preds: image_id float (123.0)")
def _(files: Files) -> None:
    for one in files.predictions:
        one["image_id"] = float(one["image_id"])


@case("preds: all dets carry id=5")
def _(files: Files) -> None:
    for one in files.predictions:
        one["id"] = 5


@case("preds: every det listed twice")
def _(files: Files) -> None:
    files.predictions = [entry for one in files.predictions for entry in (one, dict(one))]


@case("preds: object not list")
def _(files: Files) -> None:
    files.predictions = {"annotations": files.predictions}


@case("preds: truncated JSON", r"ends too early.*line 1, column \d+", is_of_file=True)
def _(files: Files) -> None:
    text = json.dumps(files.predictions).encode()
    files.predictions = text[: len(text) // 2]


@case("preds: empty file", r"the file is empty", is_of_file=True)
def _(files: Files) -> None:
    files.predictions = b""


def _box(one: dict[str, Any]) -> None:
    xs, ys = one["keypoints"][0::3], one["keypoints"][1::3]
    one["bbox"] = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


@case("preds: bbox only on some (first without)", r"predictions\[0\].*bbox is missing, but other")
def _(files: Files) -> None:
    for one in files.predictions[1::2]:
        _box(one)


@case("preds: bbox only on some (first with)", r"predictions\[1\].*bbox is missing, but other")
def _(files: Files) -> None:
    for one in files.predictions[0::2]:
        _box(one)


@case("gt: all annotation ids equal", r"annotations\[1\]: id 1 stands already at annotations\[0\]")
def _(files: Files) -> None:
    for one in files.truth["annotations"]:
        one["id"] = 1


@case("gt: duplicate image entry")
def _(files: Files) -> None:
    files.truth["images"].append(copy.deepcopy(files.truth["images"][0]))


person("gt: num_keypoints missing", r"annotations\[0\].*num_keypoints is missing", drop="num_keypoints")
person("gt: iscrowd missing", r"annotations\[0\].*iscrowd is missing", drop="iscrowd")
person("gt: area missing", r"annotations\[0\].*area is missing", drop="area")
person("gt: bbox missing", r"annotations\[0\].*bbox is missing", drop="bbox")


@case("gt: crowdIndex missing", r"images\[0\].*crowdIndex is missing")
def _(files: Files) -> None:
    for image in files.truth["images"]:
        image.pop("crowdIndex", None)


@case("gt: crowdIndex NaN", r"images\[0\].*crowdIndex is nan")
def _(files: Files) -> None:
    files.truth["images"][0]["crowdIndex"] = float("nan")


@case("gt: keypoints as strings (OCHuman quirk)")
def _(files: Files) -> None:
    for one in files.truth["annotations"]:
        one["keypoints"] = [str(number) for number in one["keypoints"]]


@case("gt: keypoints K-1 in one annotation", r"annotations\[0\].*keypoints has (39|48) numbers")
def _(files: Files) -> None:
    del files.truth["annotations"][0]["keypoints"][-3:]


@case("gt: NaN coordinate", r"annotations\[0\].*keypoints\[0\] is nan")
def _(files: Files) -> None:
    files.truth["annotations"][0]["keypoints"][0] = float("nan")


@case("gt: annotations of images not listed")
def _(files: Files) -> None:
    gone = {image["id"] for image in files.truth["images"][:5]}
    del files.truth["images"][:5]
    files.predictions = [one for one in files.predictions if one["image_id"] not in gone]


@case("gt: no annotations")
def _(files: Files) -> None:
    files.truth["annotations"] = []


@case("gt: categories missing", r"'categories' is missing")
def _(files: Files) -> None:
    del files.truth["categories"]


def _renamed(files: Files, rename: Callable[[int], Any]) -> None:
    for image in files.truth["images"]:
        image["id"] = rename(image["id"])
    for one in (*files.truth["annotations"], *files.predictions):
        one["image_id"] = rename(one["image_id"])


@case("gt+preds: string image ids")
def _(files: Files) -> None:
    _renamed(files, lambda i: f"img_{i:09}")


@case("gt+preds: image ids + 2**62")
def _(files: Files) -> None:
    _renamed(files, lambda i: i + 2**62)


# From here on our own.


@case("gt+preds: image ids + 2**70")
def _(files: Files) -> None:
    _renamed(files, lambda i: i + 2**70)


@case("gt+preds: negative image ids")
def _(files: Files) -> None:
    _renamed(files, lambda i: i - 10**9)


@case("gt: some image ids are strings", r"some image ids are numbers and some are strings")
def _(files: Files) -> None:
    files.truth["images"][0]["id"] = "first"


@case("gt: image id is true", r"images\[0\].*id must be a whole number or a string, found true")
def _(files: Files) -> None:
    files.truth["images"][0]["id"] = True


@case("gt: image listed twice with another crowdIndex", r"images\[\d+\].*with another 'crowdIndex'")
def _(files: Files) -> None:
    files.truth["images"].append({**files.truth["images"][0], "crowdIndex": 0.123})


@case("gt: image id of two files", r"images\[\d+\].*with another 'file_name'")
def _(files: Files) -> None:
    files.truth["images"].append({**files.truth["images"][0], "file_name": "another.jpg"})


@case("gt: crowdIndex negative", r"images\[0\].*crowdIndex is -0.1, below 0")
def _(files: Files) -> None:
    files.truth["images"][0]["crowdIndex"] = -0.1


@case("gt: two categories")
def _(files: Files) -> None:
    files.truth["categories"].append({"id": 2, "name": "dog"})


@case("gt: two categories, none named person", r"must have one category, the person; it has 2.*'dog'")
def _(files: Files) -> None:
    files.truth["categories"][0]["name"] = "human"
    files.truth["categories"].append({"id": 2, "name": "dog"})


@case("gt: annotations of another category")
def _(files: Files) -> None:
    files.truth["categories"].append({"id": 2, "name": "dog"})
    files.truth["annotations"].append({"id": 10**9, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4]})


@case("gt: names of keypoints in another spelling")
def _(files: Files) -> None:
    names = files.truth["categories"][0]["keypoints"]
    files.truth["categories"][0]["keypoints"] = [name.replace("_", " ").title() for name in names]


@case("gt: other names of as many keypoints", r"the category's keypoints are .*thumb, .*but .* is scored on")
def _(files: Files) -> None:
    files.truth["categories"][0]["keypoints"][-1] = "thumb"


@case("gt: category with other keypoints", r"the category has 5 keypoints")
def _(files: Files) -> None:
    files.truth["categories"][0]["keypoints"] = ["a", "b", "c", "d", "e"]


@case("gt: a list, not an object", r"a ground-truth file is an object.*found a list")
def _(files: Files) -> None:
    files.truth = files.truth["annotations"]


@case("gt: visibility 3", r"annotations\[0\].*a keypoint has visibility 3, not 0, 1 or 2")
def _(files: Files) -> None:
    files.truth["annotations"][0]["keypoints"][2] = 3


@case("gt: every iscrowd true or false")
def _(files: Files) -> None:
    for one in files.truth["annotations"]:
        one["iscrowd"] = bool(one["iscrowd"])


@case("gt: fields that nobody knows")
def _(files: Files) -> None:
    for one in (*files.truth["annotations"], *files.predictions):
        one.update(ignore=1, comment={"text": "extra"})


@case("gt: UTF-16", r"UTF-16 text")
def _(files: Files) -> None:
    files.truth = json.dumps(files.truth).encode("utf-16")


person("gt: category_id unknown", r"annotations\[0\].*category_id is 2, but", category_id=2)
person("gt: num_keypoints negative", r"annotations\[0\].*num_keypoints is -1", num_keypoints=-1)
person("gt: num_keypoints 2.5", r"annotations\[0\].*num_keypoints must be a whole number", num_keypoints=2.5)
person("gt: iscrowd 2", r"annotations\[0\].*iscrowd is 2, not 0 or 1", iscrowd=2)
person("gt: bbox with negative width", r"annotations\[0\].*negative width", bbox=[9, 9, -5, 9])
person("gt: bbox of three numbers", r"annotations\[0\].*bbox has 3 numbers, needs 4", bbox=[1, 2, 3])
person("gt: area NaN", r"annotations\[0\].*area is nan", area=float("nan"))
person("gt: area negative", r"annotations\[0\].*area is -1.0, below 0", area=-1.0)

prediction("preds: score true", r"predictions\[3\].*score must be a number, found true", score=True)
prediction(
    "preds: score of 400 digits",
    r"predictions\[3\].*score is a whole number of \d+ bits, which is not finite",
    score=10**400,
)
prediction("preds: image_id true", r"predictions\[3\].*whole number or a string, found true", image_id=True)
prediction("preds: image_id 12.5", r"predictions\[3\].*whole number or a string, found 12.5", image_id=12.5)
prediction("preds: image_id beyond 64 bits", r"predictions\[3\].*not an image of", image_id=2**70)


@case("preds: confidence NaN", r"predictions\[3\].*keypoints\[2\] is nan")
def _(files: Files) -> None:
    files.predictions[3]["keypoints"][2] = float("nan")


@case("preds: coordinate true", r"predictions\[3\].*keypoints\[0\] is true, which is not a number")
def _(files: Files) -> None:
    files.predictions[3]["keypoints"][0] = True


@case("preds: keypoints nested")
def _(files: Files) -> None:
    for one in files.predictions:
        flat = one["keypoints"]
        one["keypoints"] = [flat[i : i + 3] for i in range(0, len(flat), 3)]


@case("preds: bbox of three numbers", r"predictions\[0\].*bbox has 3 numbers, needs 4")
def _(files: Files) -> None:
    for one in files.predictions:
        one["bbox"] = [1.0, 2.0, 3.0]


@case("preds: bbox NaN", r"predictions\[0\].*bbox\[3\] is nan")
def _(files: Files) -> None:
    for one in files.predictions:
        one["bbox"] = [1.0, 2.0, 3.0, float("nan")]


@case("preds: bbox with negative height", r"predictions\[0\].*negative width or height")
def _(files: Files) -> None:
    for one in files.predictions:
        one["bbox"] = [1.0, 2.0, 3.0, -4.0]


@case("preds: every bbox []")
def _(files: Files) -> None:
    for one in files.predictions:
        one["bbox"] = []


@case("preds: an entry is null", r"predictions\[3\] must be an object, found null")
def _(files: Files) -> None:
    files.predictions[3] = None


@case("preds: the file is NaN", r"predictions must be a list of objects, found a float", is_of_file=True)
def _(files: Files) -> None:
    files.predictions = b"NaN"


@case("preds: the ground truth", r"must be a list of predictions, found an object")
def _(files: Files) -> None:
    files.predictions = copy.deepcopy(files.truth)


@case("preds: UTF-8 with byte order mark", is_of_file=True)
def _(files: Files) -> None:
    files.predictions = b"\xef\xbb\xbf" + json.dumps(files.predictions).encode()


@case("preds: a key twice in each object", is_of_file=True)
def _(files: Files) -> None:
    text = json.dumps(files.predictions).replace('{"image_id"', '{"score": 0.123, "image_id"')
    files.predictions = text.encode()


@case("preds: gzipped", is_of_file=True)
def _(files: Files) -> None:
    files.predictions, files.suffix = gzip.compress(json.dumps(files.predictions).encode()), ".json.gz"


@case("preds: gzipped, named .json", is_of_file=True)
def _(files: Files) -> None:
    files.predictions = gzip.compress(json.dumps(files.predictions).encode())


@case("preds: gzip truncated", r"gzipped file is truncated or damaged", is_of_file=True)
def _(files: Files) -> None:
    packed = gzip.compress(json.dumps(files.predictions).encode())
    files.predictions, files.suffix = packed[: len(packed) // 2], ".json.gz"


@case("preds: gzip damaged", r"gzipped file is truncated or damaged", is_of_file=True)
def _(files: Files) -> None:
    packed = bytearray(gzip.compress(json.dumps(files.predictions).encode()))
    packed[len(packed) // 2] ^= 0xFF
    files.predictions, files.suffix = bytes(packed), ".json.gz"


@case("preds: nested 100000 deep", r"nested too deeply", is_of_file=True)
def _(files: Files) -> None:
    files.predictions = b"[" * 100_000


@case("preds: field nested 100000 deep", r"nested too deeply", is_of_file=True)
def _(files: Files) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    text = json.dumps(files.predictions).encode()
    files.predictions = text.replace(b"{", b'{"extra": ' + deep + b", ", 1)


@case("preds: comma missing", r"no valid JSON: .* at line 2, column \d+", is_of_file=True)
def _(files: Files) -> None:
    files.predictions = b'[{"image_id": 1,\n "category_id": 1 "score": 0.5}]   \n\n'


@case("preds: a folder", r"this is a folder", is_of_file=True)
def _(files: Files) -> None:
    files.predictions = Path()


def write(files: Files, folder: Path) -> tuple[Path, Path]:
    """Write ground truth and predictions of a case."""
    truth, predictions = folder / "truth.json", folder / f"predictions{files.suffix}"
    for path, content in ((truth, files.truth), (predictions, files.predictions)):
        if isinstance(content, Path):
            path.mkdir()
        else:
            path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return truth, predictions
