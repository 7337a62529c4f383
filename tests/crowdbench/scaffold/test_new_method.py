"""Packages that `crowdbench new-method` writes: their names, their files, and what their code does."""

import ast
import errno
import os
import re
import subprocess
import sys
import tomllib
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from crowdbench import Dataset, evaluate, load_dataset
from crowdbench.api.dataset import dataset_class
from crowdbench.api.settings import override
from crowdbench.api.types import FloatArray, KeypointSet, Pose, Sample
from crowdbench.errors import DataError, InputError, MachineError, SettingsError
from crowdbench.scaffold.names import names_of
from crowdbench.scaffold.new_method import BEGINNINGS, Beginning, new_method
from crowdbench.scaffold.templates import bottom_up, top_down, wrapper
from crowdbench.scaffold.templates.bottom_up import examples, frames
from crowdbench.system.files.writing import write_whole
from crowdbench.training import train

ROOT = Path(__file__).resolve().parents[3]


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# Names.


@pytest.mark.parametrize(
    ("name", "module", "class_name"),
    [
        ("my-method", "my_method", "MyMethod"),
        ("pose-3d", "pose_3d", "Pose3d"),
        ("hr2net", "hr2net", "Hr2net"),
        ("none", "none", "MyNone"),  # None is a word of Python
        ("value-error", "value_error", "MyValueError"),  # is an exception
        ("pose", "pose", "MyPose"),  # `taken` below
    ],
)
def test_a_name_becomes_a_module_and_a_class_that_nothing_else_is_called(
    name: str, module: str, class_name: str
) -> None:
    names = names_of(name, taken={"Pose"})
    assert (names.module, names.class_name) == (module, class_name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        pytest.param("", "lowercase letters", id="nothing"),
        pytest.param("MyMethod", "lowercase letters", id="capitals"),
        pytest.param("my_method", "lowercase letters", id="underscore"),
        pytest.param("3d-pose", "a letter first", id="digit first"),
        pytest.param("-pose", "a letter first", id="hyphen first"),
        pytest.param("my--pose", "single hyphens", id="two hyphens"),
        pytest.param("pose-", "single hyphens", id="hyphen last"),
        pytest.param("../pose", "lowercase letters", id="a path"),
        pytest.param("größe", "lowercase letters", id="not ASCII"),
        pytest.param("my-pose\n", "lowercase letters", id="line end"),
        pytest.param("lambda", "a word of Python", id="keyword"),
        pytest.param("numpy", "module numpy is installed", id="installed module"),
        pytest.param("crowdbench", "module crowdbench is installed", id="crowdbench itself"),
        pytest.param("crowdbench-i2rnet", "module crowdbench_i2rnet is installed", id="with underscores"),
        pytest.param("json", "module json is installed", id="standard library"),
        pytest.param("opencv-python-headless", "pip would remove", id="distribution of another module"),
        pytest.param("tests", "projects have a folder tests", id="a project's folder"),
        pytest.param("i2rnet-tiny", r"is installed \(from crowdbench", id="installed method"),
    ],
)
def test_a_name_that_would_not_work_is_refused_with_the_reason(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=why):
        new_method(name, into=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_of_that_name_in_the_working_directory_is_no_installed_module(tmp_path: Path) -> None:
    (tmp_path / "my_pose").mkdir()
    command = [sys.executable, "-m", "crowdbench", "new-method", "my-pose"]  # has "" on its path
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "my-pose" / "pyproject.toml").is_file()


# Files.


@settings(max_examples=30, deadline=None)  # each writes a folder, and waits for the disk
@given(
    name=st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,8}){0,3}", fullmatch=True),
    beginning=st.sampled_from(BEGINNINGS),
)
def test_whatever_the_name_the_entry_point_leads_to_a_class_that_is_there(
    name: str, beginning: Beginning, tmp_path_factory: pytest.TempPathFactory
) -> None:
    try:
        names_of(name)
    except InputError:
        reject()  # a keyword, or something installed
    folder = tmp_path_factory.mktemp("named")
    files = new_method(name, beginning, folder)
    project = tomllib.loads((folder / name / "pyproject.toml").read_text())["project"]
    assert project["name"] == name
    ((declared, target),) = project["entry-points"]["crowdbench.methods"].items()
    assert declared == name
    module, class_name = target.split(":")
    package = folder / name / "src" / module
    defined = [
        node.name
        for node in ast.walk(ast.parse((package / "method.py").read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    assert defined.count(class_name) == 1
    assert f"from .method import {class_name}\n" in (package / "__init__.py").read_text()
    for file in files:
        if file.suffix == ".py":
            compile(file.read_text(), str(file), "exec")
        left = re.findall(r"my[-_]method|MyMethod", file.read_text())
        assert not left or set(left) <= {name, module, class_name}


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_the_files_that_are_named_are_all_that_is_written(beginning: Beginning, tmp_path: Path) -> None:
    files = new_method("my-pose", beginning, tmp_path / "new" / "place")
    assert {str(file.relative_to(tmp_path / "new" / "place" / "my-pose")) for file in files} == set(
        contents(tmp_path / "new" / "place" / "my-pose")
    )
    assert [path.name for path in (tmp_path / "new" / "place").iterdir()] == ["my-pose"]


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_the_readme_tells_of_every_file_of_the_code(beginning: Beginning, tmp_path: Path) -> None:
    files = new_method("my-pose", beginning, tmp_path)
    readme = (tmp_path / "my-pose" / "README.md").read_text()
    told = set(re.findall(r"^\| `(\S+)` \|", readme, re.MULTILINE))
    unremarkable = {"README.md", "src/my_pose/__init__.py", "src/my_pose/py.typed"}
    assert told == {str(file.relative_to(tmp_path / "my-pose")) for file in files} - unremarkable
    assert "$" not in readme


@pytest.mark.parametrize("kind", ["folder", "file", "link to nowhere"])
def test_what_is_there_already_is_left_as_it_is(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "my-pose"
    if kind == "folder":
        place.mkdir()
    elif kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to(tmp_path / "nowhere")
    before = place.lstat()
    with pytest.raises(DataError, match="something is there already"):
        new_method("my-pose", into=tmp_path)
    assert place.lstat() == before
    assert [path.name for path in tmp_path.iterdir()] == ["my-pose"]


def test_where_the_disk_is_full_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def until_full(path: Path, data: bytes) -> None:
        if len(written) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(path)
        write_whole(path, data)

    monkeypatch.setattr("crowdbench.scaffold.new_method.write_whole", until_full)
    with pytest.raises(MachineError, match="my-pose: cannot be written .No space left"):
        new_method("my-pose", into=tmp_path)
    assert len(written) == 3
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param(["check", "--config", str(ROOT / "pyproject.toml")], id="crowdbench's"),
        pytest.param(["check"], id="ruff's own"),
        pytest.param(["format", "--check"], id="format"),
    ],
)
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_ruff_has_no_complaint(beginning: Beginning, rules: list[str], tmp_path: Path) -> None:
    new_method("a-method-with-a-rather-long-name", beginning, tmp_path)
    command = [sys.executable, "-m", "ruff", *rules, "--no-cache", str(tmp_path)]
    # The repository's settings speak of its own folders, and hold where it is.
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_mypy_has_no_complaint_in_strict_mode(tmp_path: Path) -> None:
    for beginning in BEGINNINGS:
        new_method(f"strict-{beginning}", beginning, tmp_path)
    # In the repository, whose cache knows PyTorch already; mypy's settings there are the strict ones.
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *map(str, sorted(tmp_path.glob("*/src/*")))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# Code.


class Knowing(nn.Module):
    """In the place of a network: it says what it should have been trained to say."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.parameter = nn.Parameter(torch.zeros(1))
        self.answer = answer

    def forward(self, images: torch.Tensor) -> Any:
        return self.answer


@pytest.fixture(scope="module")
def crowds(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Four images of three people who stand apart."""
    root = tmp_path_factory.mktemp("data") / "crowds"
    command = [sys.executable, "-m", "crowdbench", "data", "synth", str(root), "--split", "train"]
    subprocess.run([*command, "--images", "4", "--people", "3", "--crowding", "0"], check=True)
    return load_dataset("synthcrowd", split="train", root=root)


def distance(poses: list[Pose], wanted: FloatArray, where: NDArray[np.bool_]) -> float:
    """How far, in pixels, the keypoints of the nearest poses are from those wanted, at most.

    Args:
        poses: found.
        wanted: ``(n, K, 2)``.
        where: ``(n, K)``, which of them count.
    """
    found = np.array([pose.keypoints[:, :2] for pose in poses])  # (m, K, 2)
    apart = np.linalg.norm(found[:, None] - wanted[None], axis=3)  # (m, n, K)
    return float(np.where(where, apart, 0).max(axis=2).min(axis=0).max())


def both_ways(sample: Sample, keypoints: KeypointSet) -> tuple[FloatArray, FloatArray]:
    """``(n, K, 2)``: keypoints as annotated, and in the mirrored image."""
    plain = np.array([person.keypoints[:, :2] for person in sample.instances])
    mirrored = plain[:, list(keypoints.flip_order)] * [-1, 1] + [sample.width - 1, 0]
    return plain, mirrored


def well_inside(heatmaps: NDArray[np.float32]) -> NDArray[np.bool_]:
    """``(S, K)``: whose peak is far enough from the edge to be found to a fraction of a pixel."""
    height, width = heatmaps.shape[2:]
    y, x = np.divmod(heatmaps.reshape(*heatmaps.shape[:2], -1).argmax(axis=2), width)
    inside: NDArray[np.bool_] = (np.minimum(x, width - 1 - x) >= 4) & (np.minimum(y, height - 1 - y) >= 4)
    return inside


def test_top_down_the_way_to_heatmaps_and_back_is_exact(crowds: Dataset) -> None:
    method = top_down.MyMethod(crowds.keypoints, top_down.MyMethod.Settings(flip_test=False))
    method.configure_training(
        override(method.published_recipe("any", crowds.keypoints), {"rotation": 0.0}, of="it")
    )
    seen = set()
    for seed, sample in product(range(4), (crowds[index] for index in range(len(crowds)))):
        lesson = method.prepare(sample, np.random.default_rng(seed))
        network = Knowing(torch.from_numpy(lesson.heatmaps))
        (poses,) = method.predict(network, lesson.crops)
        shown = (lesson.weights > 0) & well_inside(lesson.heatmaps)
        assert shown.mean() > 0.5
        distances = [distance(poses, wanted, shown) for wanted in both_ways(sample, crowds.keypoints)]
        seen.add(int(np.argmin(distances)))
        # A pixel of a heatmap is several of the image.
        assert min(distances) < 1.0
    assert seen == {0, 1}, "some images are mirrored for training, others are not"


def test_bottom_up_the_way_to_offsets_and_back_is_exact(crowds: Dataset) -> None:
    method = bottom_up.MyMethod(crowds.keypoints, bottom_up.MyMethod.Settings(flip_test=False))
    seen = set()
    for seed, sample in product(range(4), (crowds[index] for index in range(len(crowds)))):
        lesson = method.prepare(sample, np.random.default_rng(seed))
        centers = torch.from_numpy(lesson.centers)
        network = Knowing((torch.logit(centers, eps=1e-6), torch.from_numpy(lesson.offsets)))
        (poses,) = method.predict(network, lesson.images)
        everywhere = np.ones((len(sample.instances), crowds.keypoints.count), dtype=bool)
        distances = [distance(poses, wanted, everywhere) for wanted in both_ways(sample, crowds.keypoints)]
        seen.add(int(np.argmin(distances)))
        assert min(distances) < 0.01
    assert seen == {0, 1}, "some images are mirrored for training, others are not"


@settings(deadline=None)
@given(
    width=st.integers(1, 3000),
    height=st.integers(1, 3000),
    enlargement=st.floats(0.5, 2),
    point=st.tuples(st.floats(-100, 3000), st.floats(-100, 3000)),
)
def test_bottom_up_every_point_of_every_image_comes_back_from_its_cell(
    width: int, height: int, enlargement: float, point: tuple[float, float]
) -> None:
    to_input = frames.image_to_input(width, height, (256, 320), enlargement)
    cell = frames.image_to_cells(to_input) @ [*point, 1]
    assert frames.cells_to_image(to_input) @ [*cell, 1] == pytest.approx(point, abs=1e-6)


@pytest.mark.parametrize(("width", "height"), [(640, 512), (320, 256), (100, 80)])
def test_bottom_up_an_image_of_the_inputs_shape_fills_it_edge_to_edge(width: int, height: int) -> None:
    to_input = frames.image_to_input(width, height, (256, 320))
    # Pixels are squares around their centres: an image begins at -0.5.
    assert to_input @ [-0.5, -0.5, 1] == pytest.approx([-0.5, -0.5])
    assert to_input @ [width - 0.5, height - 0.5, 1] == pytest.approx([319.5, 255.5])


def test_bottom_up_a_cell_between_two_people_belongs_to_the_nearer_one() -> None:
    positions = np.array([[[4.0, 5.0]], [[8.0, 5.0]]])  # two people of a single keypoint
    centers, offsets, weights = examples.targets(positions, np.ones((2, 1), dtype=bool), (10, 12), sigma=1.5)
    assert centers[5, 4] == centers[5, 8] == 1
    assert offsets[0, :, 5, 5] == pytest.approx([-1 / examples.OFFSET_UNIT, 0])
    assert offsets[0, :, 5, 7] == pytest.approx([1 / examples.OFFSET_UNIT, 0])
    assert weights[0, 5, 4] == 1
    assert weights[0, 0, 0] == 0, "nobody is there"


def test_a_wrapped_model_finds_the_person_in_the_middle_of_the_box() -> None:
    keypoints = dataset_class("synthcrowd").keypoints
    method = wrapper.MyMethod(keypoints, wrapper.MyMethod.Settings())
    (pose,) = method.estimate(np.zeros((400, 600, 3), np.uint8), np.array([[100.0, 50.0, 101.0, 301.0]]))
    left, right = (keypoints.keypoints.index(f"{side}_hip") for side in ("left", "right"))
    assert pose.keypoints[[left, right], 0].mean() == pytest.approx(150), "the box's middle"
    assert pose.keypoints[left, 0] > pose.keypoints[right, 0], "who faces us has the left on our right"
    assert pose.box_xywh == pytest.approx([100, 50, 101, 301])


def test_a_wrapped_model_refuses_keypoints_that_it_does_not_know() -> None:
    tails = KeypointSet("cats", ("nose", "tail"), (), (), (0.1, 0.1), ())
    with pytest.raises(SettingsError, match="does not know tail of cats"):
        wrapper.MyMethod(tails, wrapper.MyMethod.Settings())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "changes", "expected"),
    [
        pytest.param(top_down, {"epochs": 60, "rotation": 0.0, "scaling": 1.0}, 0.9, id="top-down"),
        pytest.param(bottom_up, {"epochs": 100, "scaling": 1.0}, 0.4, id="bottom-up"),
    ],
)
def test_a_few_images_are_learnt_by_heart(
    module: Any, changes: dict[str, Any], expected: float, crowds: Dataset, tmp_path: Path
) -> None:
    cls = module.MyMethod
    method = cls(crowds.keypoints, cls.Settings(), "my-method")
    recipe = override(cls.published_recipe("any", crowds.keypoints), changes, of="the recipe")
    trained = train(method, crowds, recipe=recipe, out=tmp_path, workers=0, device="cpu")
    run = evaluate(method, crowds, weights=trained.weights, out=tmp_path, workers=0, device="cpu")
    assert run.record.scores is not None
    assert run.record.scores["AP"] > expected
