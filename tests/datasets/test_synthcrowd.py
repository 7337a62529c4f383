"""The built-in dataset: determined by its seed, true to the pixel, as crowded as it is told to be."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdbench import load_dataset, score
from crowdbench.api.boxes import GroundTruthBoxes
from crowdbench.api.dataset import dataset_class
from crowdbench.cli import cli
from crowdbench.errors import DataError, RunError, SettingsError, UnknownNameError
from crowdbench_datasets.keypoint_sets import COCO_17, CROWDPOSE_14
from crowdbench_datasets.synthcrowd.annotation import annotate
from crowdbench_datasets.synthcrowd.drawing import OWNER_STEP
from crowdbench_datasets.synthcrowd.export import generate, has_room
from crowdbench_datasets.synthcrowd.recipe import STANDARD_IMAGES, Recipe, standard


def labels(recipe: Recipe, index: int) -> tuple[float, list[dict[str, Any]]]:
    return annotate(recipe.crowd(index), recipe.keypoint_set, 1, 1)


def points(annotation: dict[str, Any]) -> np.ndarray:
    return np.array(annotation["keypoints"]).reshape(-1, 3)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        command = [sys.executable, "-m", "crowdbench", "data", "synth", str(tmp_path / name), "--images", "6"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "6 images" in done.stdout
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert len(files(tmp_path / "one")) == 7


@pytest.mark.parametrize("workers", [2, 3, 9])
def test_drawing_in_several_processes_changes_no_byte(tmp_path: Path, workers: int) -> None:
    recipe = Recipe(images=7, keypoints=17, crowding=0.6, width=160, height=120)
    generate(recipe, tmp_path / "alone", workers=1)
    calls: list[None] = []
    generate(recipe, tmp_path / "together", lambda: calls.append(None), workers=workers)
    assert files(tmp_path / "alone") == files(tmp_path / "together")
    assert len(calls) == 7


def test_annotations_are_numbered_from_one_without_a_double(tmp_path: Path) -> None:
    recipe = Recipe(images=12, people=5, width=64, height=64)
    generate(recipe, tmp_path / "set", workers=2)
    content = json.loads((tmp_path / "set" / "json" / "synthcrowd_test.json").read_text())
    assert [a["id"] for a in content["annotations"]] == list(range(1, len(content["annotations"]) + 1))
    assert {a["image_id"] for a in content["annotations"]} == {image["id"] for image in content["images"]}


def synth_in(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "crowdbench", "data", "synth", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_set_is_drawn_into_the_present_folder_which_stays_the_same(tmp_path: Path) -> None:
    inode = tmp_path.stat().st_ino
    process = synth_in(tmp_path, ".", "--images", "2")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert tmp_path.stat().st_ino == inode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "json"]


def test_of_two_seeds_at_once_in_one_folder_one_is_drawn_and_the_other_refused(tmp_path: Path) -> None:
    both = [synth_in(tmp_path, "set", "--images", "20", "--seed", seed) for seed in "12"]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], said
    (refused,) = (text for process, text in zip(both, said, strict=True) if process.returncode)
    assert "something else is there" in refused
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["images", "json"]


def test_what_a_killed_process_has_drawn_is_removed_by_the_next_one(tmp_path: Path) -> None:
    process = drawing(tmp_path, seed=717_000_000 + os.getpid())
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(list(tmp_path.iterdir())) > 0
    generate(Recipe(images=2), tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def drawing_processes(mark: str) -> list[int]:
    """The processes that draw the set with this mark in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().decode().split("\0")
        except OSError:
            continue  # it has ended meanwhile
        if "crowdbench_datasets.synthcrowd.worker" in arguments and any(mark in a for a in arguments):
            found.append(int(path.parent.name))
    return found


def wait_until(holds: Any, timeout_s: float = 30) -> bool:
    deadline = time.monotonic() + timeout_s
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(holds())


def drawing(folder: Path, seed: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "crowdbench", "data", "synth", str(folder / "set"), "--images", "5000"]
    process = subprocess.Popen(
        [*command, "--workers", "2", "--seed", str(seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert wait_until(lambda: list(folder.rglob("*.jpg")))
    assert len(drawing_processes(f'"seed": {seed}')) == 2
    return process


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
def test_no_drawing_process_outlives_a_command_that_is_stopped(tmp_path: Path, sign: signal.Signals) -> None:
    seed = 715_000_000 + os.getpid() * 100 + sign
    process = drawing(tmp_path, seed)
    os.killpg(process.pid, sign)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in errors
    assert wait_until(lambda: not drawing_processes(f'"seed": {seed}'), timeout_s=10)
    assert not (tmp_path / "set").exists()
    if sign == signal.SIGINT:
        assert list(tmp_path.iterdir()) == []


def test_a_drawing_process_that_dies_ends_the_drawing_with_a_reason_and_without_a_set(tmp_path: Path) -> None:
    seed = 716_000_000 + os.getpid()
    process = drawing(tmp_path, seed)
    os.kill(drawing_processes(f'"seed": {seed}')[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == RunError.exit_status
    assert "ended with status -9" in errors
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []
    assert drawing_processes(f'"seed": {seed}') == []


def test_a_script_that_opens_the_dataset_at_its_top_runs_once(tmp_path: Path) -> None:
    """Processes of `multiprocessing` would run it again in every worker."""
    script = tmp_path / "script.py"
    script.write_text(
        "import logging\n"
        "logging.basicConfig(level=logging.INFO)\n"
        "print('top')\n"
        "from crowdbench_datasets.synthcrowd import parallel\n"
        "parallel.FEWEST_IMAGES, parallel.os.sched_getaffinity = 1, lambda _: {0, 1}\n"
        "import crowdbench\n"
        "print(len(crowdbench.load_dataset('synthcrowd', split='val')))\n"
    )
    environment = {**os.environ, "CROWDBENCH_CACHE": str(tmp_path / "cache")}
    # A module beside the script and one in the working folder must not be taken for the standard library's.
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "dataclasses.py").write_text("raise SystemExit('not mine')")
    done = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        cwd=tmp_path / "work",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["top", "100"], done.stderr
    assert f"drawing 100 images, once, into {tmp_path}" in done.stderr


def test_the_standard_sets_are_as_large_as_the_page_says() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "datasets.md").read_text()
    for split in ("train", "val", "test"):
        assert re.search(rf"{standard(split).images:,}(?: images)? in {split}\b", page)
    assert f"{standard('test', 0.5).images} images per level" in page
    with pytest.raises(UnknownNameError):
        standard("tset")


def test_an_image_does_not_depend_on_which_were_drawn_before() -> None:
    recipe = Recipe()
    alone = recipe.crowd(5).image
    for index in (7, 2):
        recipe.crowd(index)
    np.testing.assert_array_equal(recipe.crowd(5).image, alone)
    np.testing.assert_array_equal(Recipe(images=1000).crowd(5).image, alone)


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"split": "train"}, {"crowding": 0.9}, {"people": 3}], ids=str
)
def test_another_seed_split_crowding_or_number_gives_other_pixels(change: dict[str, Any]) -> None:
    assert not np.array_equal(Recipe().crowd(0).image, Recipe(**change).crowd(0).image)


def test_crowd_index_rises_with_crowding() -> None:
    means = [
        np.mean([labels(Recipe(crowding=level, people=6), i)[0] for i in range(20)])
        for level in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert means == sorted(means)
    assert means[0] < 0.1
    assert means[-1] > 0.8


@settings(deadline=None, max_examples=8)
@given(
    st.integers(0, 2**32),
    st.lists(st.sampled_from([0, 0.25, 0.5, 0.75, 1]), min_size=2, max_size=2, unique=True),
    st.integers(4, 8),
)
def test_a_higher_level_is_not_measured_less_crowded(seed: int, levels: list[float], people: int) -> None:
    """On the mean of a small set: a single image is drawn by chance."""
    low, high = (
        np.mean(
            [
                labels(Recipe(crowding=level, people=people, seed=seed, width=256, height=192), i)[0]
                for i in range(12)
            ]
        )
        for level in sorted(levels)
    )
    assert low <= high


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 500), st.floats(0, 1), st.integers(1, 12), st.sampled_from([14, 17]))
def test_labels_are_possible(index: int, crowding: float, people: int, keypoints: int) -> None:
    recipe = Recipe(crowding=crowding, people=people, keypoints=keypoints)
    crowd = recipe.crowd(index)
    crowd_index, annotations = annotate(crowd, recipe.keypoint_set, 1, 1)
    assert len(annotations) <= people
    for annotation in annotations:
        labelled = points(annotation)
        assert len(labelled) == keypoints
        seen = labelled[labelled[:, 2] > 0]
        assert ((seen[:, :2] >= 0) & (seen[:, :2] <= (511, 383))).all()
        assert not labelled[labelled[:, 2] == 0].any()
        counted = labelled[:12] if keypoints == 14 else labelled
        assert annotation["num_keypoints"] == np.count_nonzero(counted[:, 2])
        x, y, width, height = annotation["bbox"]
        assert 0 <= x <= x + width <= 511.01
        assert 0 <= y <= y + height <= 383.01
    assert crowd_index == pytest.approx(published_crowd_index(annotations), abs=0.006)


def published_crowd_index(annotations: list[dict[str, Any]]) -> float:
    """CrowdPose's formula, written as its paper has it, one person and one keypoint at a time."""
    ratios = []
    for person in annotations:
        if person["num_keypoints"] == 0:
            continue
        x, y, width, height = person["bbox"]
        own = sum(1 for _, _, v in points(person) if v > 0)
        others = 0
        for other in annotations:
            if other is person or other["num_keypoints"] == 0:
                continue
            others += sum(
                1 for px, py, v in points(other) if v > 0 and x <= px <= x + width and y <= py <= y + height
            )
        ratios.append(others / own)
    return sum(ratios) / len(ratios) if ratios else 0.0


def test_visibility_is_true_to_who_hides_whom() -> None:
    """A visible keypoint lies on or beside its own figure; behind somebody else's body it is hidden."""
    hidden = visible = 0
    for index in range(12):
        crowd = Recipe(crowding=0.7, people=7).crowd(index)
        _, annotations = annotate(crowd, CROWDPOSE_14, 1, 1)
        for annotation in annotations:
            number = annotation["id"]  # ids follow the figures from 1
            for x, y, v in points(annotation):
                if v == 0:
                    continue
                row, column = round(y), round(x)
                near = crowd.owners[max(row - 5, 0) : row + 6, max(column - 5, 0) : column + 6] // OWNER_STEP
                if v == 2:
                    visible += 1
                    assert (near == number).any()
                elif not (near == number).any():
                    hidden += 1
                    assert near.any(), "nobody is there to hide it"
    assert visible > 300
    assert hidden > 100


def test_who_stands_in_front_is_wholly_visible_from_others() -> None:
    crowd = Recipe(crowding=1.0, people=5).crowd(3)
    nearest = len(crowd.figures)
    assert (crowd.origins[-1, 1] >= crowd.origins[:, 1]).all()
    height, width = crowd.owners.shape
    painted = (crowd.owners // OWNER_STEP == nearest).nonzero()
    x, y, w, h = annotate(crowd, CROWDPOSE_14, 1, 1)[1][-1]["bbox"]
    assert painted[1].min() >= x - 2
    assert painted[1].max() <= x + w + 2
    assert painted[0].min() >= y - 2
    assert painted[0].max() <= min(y + h + 2, height)
    assert width == 512


def test_left_and_right_are_the_figures_own() -> None:
    """Of a figure that faces the camera, the left shoulder is on the right of the image, and the reverse."""
    facing, backs = [], []
    for index in range(25):
        crowd = Recipe(crowding=0, people=5).crowd(index)
        for figure, annotation in zip(crowd.figures, annotate(crowd, CROWDPOSE_14, 1, 1)[1], strict=True):
            labelled = points(annotation)
            if labelled[:2, 2].all() and abs(figure.head_facing) > 0.8:
                (facing if figure.head_facing > 0 else backs).append(labelled[0, 0] - labelled[1, 0])
    assert len(facing) > 20
    assert len(backs) > 5
    assert np.mean(np.array(facing) > 0) > 0.9
    assert np.mean(np.array(backs) < 0) > 0.9


def test_both_keypoint_sets_agree_where_they_name_the_same() -> None:
    crowd = Recipe().crowd(2)
    _, fourteen = annotate(crowd, CROWDPOSE_14, 1, 1)
    _, seventeen = annotate(crowd, COCO_17, 1, 1)
    shared = [name for name in CROWDPOSE_14.keypoints if name in COCO_17.keypoints]
    assert len(shared) == 12
    for a, b in zip(fourteen, seventeen, strict=True):
        if not (a["num_keypoints"] and b["num_keypoints"]):
            continue
        first = points(a)[[CROWDPOSE_14.keypoints.index(name) for name in shared]]
        second = points(b)[[COCO_17.keypoints.index(name) for name in shared]]
        np.testing.assert_array_equal(first, second)


def test_the_standard_set_has_easy_medium_and_hard_images_and_perfect_poses_score_one(tmp_path: Path) -> None:
    dataset = load_dataset("synthcrowd")
    levels = np.array([sample.crowd_index for sample in dataset])
    assert min((levels < 0.2).sum(), ((levels >= 0.2) & (levels < 0.8)).sum(), (levels >= 0.8).sum()) >= 5
    perfect = [
        {
            "image_id": sample.image_id,
            "category_id": 1,
            "keypoints": i.keypoints.ravel().tolist(),
            "score": 1.0,
        }
        for sample in dataset
        for i in sample.instances
    ]
    scores = score(perfect, dataset)
    assert scores.values["AP"] > 0.999
    assert all(scores.values[name] > 0.99 for name in ("AP_easy", "AP_medium", "AP_hard"))


def test_a_written_set_is_read_as_synthcrowd_and_as_crowdpose(tmp_path: Path) -> None:
    generate(Recipe(images=3), tmp_path / "set")
    ours = load_dataset("synthcrowd", root=tmp_path / "set")
    written = tmp_path / "set" / "json" / "synthcrowd_test.json"
    written.rename(written.with_name("crowdpose_test.json"))
    theirs = load_dataset("crowdpose", root=tmp_path / "set")
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.boxes_xywh, b.boxes_xywh)
        np.testing.assert_array_equal(a.read(), b.read())


def test_seventeen_keypoints_are_read_with_cocos_sigmas(tmp_path: Path) -> None:
    generate(Recipe(images=2, keypoints=17), tmp_path / "set")
    dataset = load_dataset("synthcrowd", root=tmp_path / "set")
    assert dataset.keypoints is COCO_17
    assert dataset.protocol.keypoints is COCO_17
    assert dataset[0].instances[0].keypoints.shape == (17, 3)


def test_images_use_the_whole_range_of_colours_and_are_no_noise() -> None:
    """Neighbouring pixels of a picture are alike; of noise they are not."""
    for index in range(6):
        image = Recipe().crowd(index).image.astype(np.float64)
        step = np.abs(np.diff(image, axis=1)).mean()
        assert 1 < step < 15
        assert image.std() > 25
        assert len(np.unique(cv2.resize(image, (64, 48)).round().reshape(-1, 3), axis=0)) > 500


FIRST_USE = "import crowdbench; d = crowdbench.load_dataset('synthcrowd', split='val'); print(len(d), d[0].read().sum())"


def test_a_level_is_a_split_of_its_own_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROWDBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr("crowdbench_datasets.synthcrowd.recipe.IMAGES_AT_A_LEVEL", 5)
    cls = dataset_class("synthcrowd")
    one = cls.at_crowding(1, "test", GroundTruthBoxes())
    assert (one.split, len(one)) == ("test-crowding-1", 5)
    drawn = one.annotation_file.stat().st_mtime_ns
    again = cls.at_crowding(1.0, "test", GroundTruthBoxes())
    assert again.annotation_file == one.annotation_file
    assert again.annotation_file.stat().st_mtime_ns == drawn
    apart = cls.at_crowding(0.0, "test", GroundTruthBoxes())
    assert apart.split == "test-crowding-0"
    assert np.mean([s.crowd_index for s in apart]) < np.mean([s.crowd_index for s in one])


@pytest.mark.parametrize(("first", "second"), [(0.1234567, 0.12345678), (0, 1e-9)])
def test_levels_that_differ_at_all_have_names_that_differ(first: float, second: float) -> None:
    names = {standard("test", level).name for level in (first, second)}
    assert len(names) == 2


def test_a_level_shows_the_people_of_the_ordinary_split_elsewhere() -> None:
    """What changes from level to level is how near people stand, not who they are."""
    crowds = [Recipe(crowding=level).crowd(4) for level in (None, 0, 0.5, 1)]
    outfits = [sorted(str(figure.outfit) for figure in crowd.figures) for crowd in crowds]
    assert outfits.count(outfits[0]) == 4
    assert not np.array_equal(crowds[1].origins, crowds[3].origins)


@pytest.mark.parametrize("level", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_level_that_cannot_be_is_refused(level: float) -> None:
    with pytest.raises(SettingsError, match="crowding lies in 0..1"):
        dataset_class("synthcrowd").at_crowding(level, "test", GroundTruthBoxes())


def test_a_dataset_of_photographs_has_no_controlled_crowding() -> None:
    with pytest.raises(SettingsError, match="crowdpose has no controlled crowding"):
        dataset_class("crowdpose").at_crowding(0.5, "test", GroundTruthBoxes())


@pytest.mark.slow
def test_first_use_by_six_processes_at_once_leaves_one_good_set(tmp_path: Path) -> None:
    environment = {**os.environ, "CROWDBENCH_CACHE": str(tmp_path)}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    code = f"import logging; logging.basicConfig(level='INFO'); {FIRST_USE}"
    starts = [subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes) for _ in range(6)]
    results = [process.communicate(timeout=120) for process in starts]
    assert [process.returncode for process in starts] == [0] * 6, results
    assert len({out for out, _ in results}) == 1
    assert len(list((tmp_path / "synthcrowd").iterdir())) == 1
    assert sum("drawing 100 images" in errors for _, errors in results) == 1
    assert sum("is at this very set of images" in errors for _, errors in results) >= 1


@pytest.mark.slow
def test_being_killed_while_drawing_leaves_no_half_set(tmp_path: Path) -> None:
    environment = {**os.environ, "CROWDBENCH_CACHE": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", FIRST_USE], env=environment, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("*.jpg")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert all(folder.name.startswith(".") for folder in (tmp_path / "synthcrowd").iterdir())
    done = subprocess.run(
        [sys.executable, "-c", FIRST_USE], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("100 ")


def synth(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["data", "synth", *arguments])


def test_the_command_refuses_what_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    result = synth(str(tmp_path / "mine"), "--images", "1")
    assert isinstance(result.exception, DataError)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "precious"


def test_the_command_repeated_says_that_the_set_is_there(tmp_path: Path) -> None:
    arguments = [
        str(tmp_path / "set"),
        "--images",
        "2",
        "--crowding",
        "0.5",
        "--size",
        "128x96",
        "--keypoints",
        "17",
    ]
    assert synth(*arguments).exit_code == 0
    before = files(tmp_path / "set")
    assert "already" in synth(*arguments).output
    assert files(tmp_path / "set") == before
    assert isinstance(synth(*arguments, "--seed", "1").exception, DataError)
    info = json.loads((tmp_path / "set" / "json" / "synthcrowd_test.json").read_text())
    assert (info["images"][0]["width"], info["images"][0]["height"]) == (128, 96)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--crowding", "2"),
        ("--crowding", "much"),
        ("--images", "0"),
        ("--people", "0"),
        ("--size", "5"),
        ("--seed", "-1"),
    ],
)
def test_the_command_says_what_it_cannot_do(tmp_path: Path, arguments: tuple[str, str]) -> None:
    result = synth(str(tmp_path / "set"), *arguments)
    assert result.exit_code == 2 or isinstance(result.exception, SettingsError)
    assert not (tmp_path / "set").exists()


def test_the_data_check_finds_nothing_wrong_with_any_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROWDBENCH_CACHE", str(tmp_path))
    monkeypatch.setitem(STANDARD_IMAGES, "train", 30)  # 2,000 take half a minute
    for split in ("train", "val"):
        load_dataset("synthcrowd", split=split)
    result = CliRunner().invoke(cli, ["data", "check", "synthcrowd"])
    assert result.exit_code == 0, result.output
    assert "0 errors" in result.output
    assert "30 images" in result.output
    assert "100 images" in result.output


def test_one_folder_takes_a_set_of_each_split_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "crowds"
    for split, images in (("train", 3), ("val", 2), ("test", 2)):
        generate(Recipe(split, images, width=128, height=96), folder, workers=1)
    names = [path.name for path in folder.rglob("*.jpg")]
    assert len(names) == 7
    for split, images in (("train", 3), ("val", 2), ("test", 2)):
        dataset = load_dataset("synthcrowd", split=split, root=folder)
        assert len(dataset) == images
        assert all(sample.read().shape == (96, 128, 3) for sample in dataset)
    assert not has_room(Recipe("test", 5), folder)  # there is one
    (folder / "json" / "synthcrowd_test.json").unlink()
    assert has_room(Recipe("test", 5), folder)
    (folder / "notes.txt").write_text("mine")
    assert not has_room(Recipe("test", 5), folder)
