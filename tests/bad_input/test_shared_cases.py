"""Small inputs that went wrong for people of the field, and those that broke crowdbench once, by the command line.

Most are made of photographs and outside the repository, in ``shared/cases``; each case has siblings of our own in
the tables of docs/bad-input.md. Cases that need a cluster, another environment or a plugin are tried where those are:
tests/slurm, tests/crowdbench/test_lower_bounds.py, test_loading.py, test_identity.py, test_sharing.py.
"""

import os
import shutil
import stat
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from crowdbench.cli import main

RUN = ("--weights", "none", "--workers", "0", "--out", "OUT")
CORNERS = "they seem to be x1, y1, x2, y2"
NORMALIZED = "between 0 and 1"
# Folder, arguments, exit status, what is said.
CASES: tuple[tuple[str, str, int, tuple[str, ...]], ...] = (
    ("05-corner-boxes", "run hrnet-tiny synthcrowd --root sc --boxes xyxy.json RUN", 2, (CORNERS,)),
    ("05-corner-boxes", "run hrnet-tiny synthcrowd --root sc --boxes norm.json RUN", 2, (NORMALIZED,)),
    ("05-corner-boxes", "data check synthcrowd --root sc --split test --no-images --boxes xyxy.json", 1, (CORNERS,)),
    ("06-predictions-in-another-frame", "score normalised.json coco --annotations gt.json", 0, ("lie in [0, 1]",)),
    ("06-predictions-in-another-frame", "score of_a_larger_picture.json coco --annotations gt.json", 0, ("outside their images",)),
    ("06-predictions-in-another-frame", "score corner_bbox_53.json coco --annotations gt_53.json", 0, (CORNERS,)),
    ("07-file-names-for-ids", "score names.json coco --annotations gt.json", 0, ("names of their files", "93.33")),
    ("07-file-names-for-ids", "score stems.json coco --annotations gt.json", 0, ("names of their files", "93.33")),
    ("07-file-names-for-ids", "score no_image_id.json coco --annotations gt.json", 0, ("there is no image_id", "93.33")),
    ("09-category-0", "run hrnet-tiny coco --root coco RUN", 0, ("AP",)),
    ("09-category-0", "run hrnet-tiny coco --root coco --boxes boxes0.json RUN", 0, ("AP",)),
    ("10-area-0", "run hrnet-tiny coco --root coco RUN", 2, ("leave no person to predict on any of the 2 images",)),
    ("10-area-0", "data check coco --root coco --split val2017", 1, ("3 of 3 persons have area 0",)),
    ("10-area-0", "score preds.json coco --annotations coco/annotations/person_keypoints_val2017.json", 0, ("3 of 3 persons have area 0",)),
    ("12-partly-swapped-sizes", "run hrnet-tiny crowdpose --root crowdpose RUN", 0, ("swapped in 20 of the images",)),
    ("12-partly-swapped-sizes", "data check crowdpose --root crowdpose --split test", 1, ("swapped in 20 of the images",)),
    ("14-ochuman-raw-file", "score preds.json ochuman --annotations ochuman.json", 2, ("OCHuman's own format", "ochuman_coco_format")),
    ("bad-input-03", "score A-bbox-xyxy-all/gt.json crowdpose --annotations A-bbox-xyxy-all/gt.json", 2, (CORNERS,)),
    ("bad-input-03", "run hrnet-tiny crowdpose --root D-bbox-xyxy/ds RUN", 0, ("boxes",)),
    ("bad-input-03", "run hrnet-tiny crowdpose --root DATA/crowdpose --boxes G-bbox-xyxy/det.json RUN", 0, (CORNERS,)),
    ("bad-input-03", "run hrnet-tiny crowdpose --root DATA/crowdpose --boxes G-bbox-normalised/det.json RUN", 0, (NORMALIZED,)),
    ("bad-input-04", "score A-kp-order-both/p.json crowdpose --annotations A-kp-order-both/gt.json", 0, ("in another order", "put in order by name")),
    ("bad-input-04", "score A-kp-order-both/p.json crowdpose --annotations A-kp-names-reversed/gt.json", 0, ("in another order",)),
    ("bad-input-06", "score A-bbox-area-overflow/gt.json crowdpose --annotations A-bbox-area-overflow/gt.json", 2, ("bbox[2] is 1e+200",)),
    ("bad-input-06", "run hrnet-tiny crowdpose --root D-bbox-1e308/ds RUN", 2, ("bbox[2] is 1e+308",)),
    ("bad-input-12", "run hrnet-tiny crowdpose --root D-bbox-negative-size/ds RUN", 2, ("negative width or height",)),
    ("bad-input-12", "run hrnet-tiny crowdpose --root D-category-0/ds RUN", 0, ("AP",)),
    ("bad-input-12", "run hrnet-tiny crowdpose --root D-category-missing/ds RUN", 2, ("'categories' is missing",)),
    ("bad-input-12", "run hrnet-tiny crowdpose --root D-crowdindex-missing/ds RUN", 2, ("crowdIndex is missing", "1 more")),
    ("bad-input-12", "run hrnet-tiny crowdpose --root D-iscrowd-7/ds RUN", 2, ("iscrowd is 7, not 0 or 1",)),
    ("bad-input-13", "score /dev/zero crowdpose --root DATA/crowdpose", 2, ("device",)),
    ("bad-input-14", "sweep H-deep-array/s.toml --dry-run", 2, ("nested",)),
    ("bad-input-16", "sweep H-name-escape/s.toml --dry-run", 0, ()),
    ("bad-input-16", "run hrnet-tiny crowdpose --root D-file_name-escape/ds RUN", 2, ()),
    ("bad-input-17", "run hrnet-tiny synthcrowd --root SC --weights F-meta-tensors/w.pth --workers 0 --out OUT", 2, ("meta",)),
    ("bad-input-18", "sweep H-grid-product/s.toml --dry-run", 2, ()),
    ("bad-input-23", "data synth . --images 2", 2, ()),
    ("results-styles", "score 05_ultra_stem.json coco --root DATA/coco --split val2017", 0, ("38.54",)),
    ("results-styles", "score 07_filename_id.json coco --root DATA/coco --split val2017", 0, ("38.54",)),
    ("results-styles", "score 09_wrapped_info.json coco --root DATA/coco --split val2017", 0, ("38.54",)),
    ("results-styles", "score 10_lines.jsonl coco --root DATA/coco --split val2017", 0, ("38.54",)),
    ("results-styles", "score 21_by_image.json coco --root DATA/coco --split val2017", 0, ("grouped by image", "18.88")),
    ("results-styles", "score 24_table.csv coco --root DATA/coco --split val2017", 2, ("CSV",)),
    ("results-styles", "score 31_cp_alphapose.json crowdpose --root DATA/crowdpose", 0, ("names of their files",)),
)  # fmt: skip


# Those whose inputs are drawn or written by hand are in tests/data too.
OWN = (
    "05-corner-boxes",
    "bad-input-14",
    "bad-input-16: sweep",
    "bad-input-17",
    "bad-input-18",
    "bad-input-23",
)


def parameters() -> list[object]:
    """Every case, and where its folder is; in this repository if it may be."""
    found: list[object] = []
    for case in CASES:
        name = f"{case[0]}: {case[1]}"
        if name.startswith(OWN):
            found.append(pytest.param("compact_goldens", *case, id=f"compact-{name}"))
        found.append(pytest.param("cases", *case, id=f"whole-{name}", marks=pytest.mark.reference))
    return found


@pytest.fixture(scope="session")
def writable(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Copies that commands may write beside; the folders themselves may be read-only."""

    def ordinary(folder: str, names: list[str]) -> set[str]:
        return {
            n
            for n in names
            if not stat.S_ISREG((Path(folder) / n).lstat().st_mode) and not (Path(folder) / n).is_dir()
        }

    @cache
    def copied(fixture: str) -> Path:
        source = request.getfixturevalue(fixture)
        target = tmp_path_factory.mktemp("cases") / "cases"
        shutil.copytree(source if fixture == "cases" else source / "cases", target, ignore=ordinary)
        for folder, _, files in os.walk(target):
            Path(folder).chmod(0o755)
            for name in files:
                (Path(folder) / name).chmod(0o644)
        return target

    return copied


@pytest.mark.parametrize(("source", "folder", "command", "status", "words"), parameters())
def test_a_case_ends_as_it_should(
    source: str,
    folder: str,
    command: str,
    status: int,
    words: tuple[str, ...],
    writable: Callable[[str], Path],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copied = writable(source)
    monkeypatch.chdir(copied / folder)
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    places = {"OUT": tmp_path / "out", "SC": copied / "05-corner-boxes/sc"}
    if "DATA" in command:
        places["DATA"] = request.getfixturevalue("real_data")
    arguments = [word for part in command.split() for word in (RUN if part == "RUN" else (part,))]
    for name, place in places.items():
        arguments = [
            str(place) + word.removeprefix(name) if word.split("/")[0] == name else word for word in arguments
        ]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = "".join(capsys.readouterr())
    assert (ended.value.code or 0) == status, said
    assert "Traceback" not in said
    assert not [c for c in said if not c.isprintable() and c != "\n"], said
    for expected in words:
        assert expected in said
