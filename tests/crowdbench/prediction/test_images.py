"""Images of every kind, through the command: what is found, read, named and refused."""

import json
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.data.images import HEIGHT, WIDTH, Predict, picture, save


def drawn(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*") if p.suffix != ".json")


def spot(entry: dict[str, list[float]]) -> list[float]:
    return entry["keypoints"][:2]


def test_a_picture_gets_its_drawn_copy_and_its_poses(predict: Predict, machine: Path) -> None:
    save(machine / "in" / "a.png")
    said = predict("toy-brightest", "in/a.png")
    assert said.status == 0, said.err
    assert said.out == "1 pose in 1 image.\nResults: poses\n"
    [entry] = said.predictions
    assert entry["image_id"] == 1
    assert entry["category_id"] == 1
    assert entry["file_name"] == "in/a.png"
    assert entry["keypoints"] == [10.0, 5.0, 1.0] * 14
    [image] = said.listing["images"]
    assert image == {
        "id": 1,
        "file_name": "in/a.png",
        "width": WIDTH,
        "height": HEIGHT,
        "poses": 1,
        "drawn": "a.png",
    }
    assert said.listing["categories"][0]["keypoints"][0] == "left_shoulder"
    assert min(min(bone) for bone in said.listing["categories"][0]["skeleton"]) == 1
    copy = cv2.imread(str(machine / "poses" / "a.png"))
    assert copy is not None
    assert copy.shape == (HEIGHT, WIDTH, 3)
    assert (copy != picture()).any()


def test_folders_are_searched_for_pictures_by_content(predict: Predict, machine: Path) -> None:
    save(machine / "in" / "deep" / "er" / "b.jpg")
    save(machine / "in" / "a.png").rename(machine / "in" / "a.data")
    save(machine / "in" / ".hidden.png")
    save(machine / "in" / ".cache" / "c.png")
    (machine / "in" / "notes.txt").write_text("BMP is also how some pictures begin")
    (machine / "in" / "more.txt").write_text("P6 is another such beginning")
    (machine / "in" / "table.csv").write_text("a,b\n1,2\n")
    said = predict("toy-brightest", "in")
    assert said.status == 0, said.err
    assert [image["file_name"] for image in said.listing["images"]] == ["in/a.data", "in/deep/er/b.jpg"]
    assert drawn(machine / "poses") == ["a.data.png", "b.jpg"]


FORMATS = (".avif", ".bmp", ".gif", ".jp2", ".jpg", ".png", ".pgm", ".ppm", ".tiff", ".webp")


@pytest.mark.parametrize("ending", [ending for ending in FORMATS if cv2.haveImageWriter(f"a{ending}")])
def test_pictures_of_every_format_are_found_without_their_ending(
    predict: Predict, machine: Path, ending: str
) -> None:
    pixels = picture()
    if ending == ".pgm":
        pixels = pixels[..., 0]
    save(machine / "in" / f"a{ending}", pixels).rename(machine / "in" / "a")
    said = predict("toy-brightest", "in")
    assert said.status == 0, said.err
    assert [image["drawn"] for image in said.listing["images"]] == ["a.png"]


def test_results_in_the_folder_itself_are_not_taken_for_pictures(predict: Predict, machine: Path) -> None:
    save(machine / "in" / "a.png")
    for _ in range(2):
        said = predict("toy-brightest", "in", "--out", "in/poses", "--overwrite", out="in/poses")
        assert [image["file_name"] for image in said.listing["images"]] == ["in/a.png"]


def test_a_picture_that_is_named_twice_is_taken_once(predict: Predict, machine: Path) -> None:
    save(machine / "a.png")
    assert len(predict("toy-brightest", "a.png", ".", machine / "a.png").predictions) == 1


def test_pictures_of_one_name_keep_their_folders_and_others_do_not(predict: Predict, machine: Path) -> None:
    for name in ("x/one/a.png", "x/two/a.png", "x/two/b.png", "x/a.PNG", "x/c.bmp", "x/c.bmp.png"):
        save(machine / name)
    said = predict("toy-brightest", "x")
    assert said.status == 0, said.err
    assert drawn(machine / "poses") == sorted(
        ["a.PNG", "one/a.png", "two/a.png", "b.png", "c.bmp.png", "c.bmp-2.png"]
    )
    assert len({image["drawn"] for image in said.listing["images"]}) == 6


def test_numbers_that_are_names_are_image_ids_unless_two_are_equal(predict: Predict, machine: Path) -> None:
    save(machine / "in" / "000139.png")
    save(machine / "in" / "7.png")
    assert [e["image_id"] for e in predict("toy-brightest", "in").predictions] == [139, 7]
    save(machine / "in" / "07.png")
    said = predict("toy-brightest", "in", "--overwrite")
    assert [e["image_id"] for e in said.predictions] == [1, 2, 3]


def test_an_annotation_file_gives_image_ids_to_a_method_without_boxes(
    predict: Predict, machine: Path
) -> None:
    save(machine / "in" / "a.png")
    save(machine / "in" / "b.png")
    images = [{"id": 12, "file_name": "train/b.png", "width": WIDTH, "height": HEIGHT}]
    (machine / "names.json").write_text(json.dumps({"images": images}))
    said = predict("toy-brightest", "in", "--annotations", "names.json")
    assert [e["image_id"] for e in said.predictions] == [12]
    assert said.status == 1
    assert "a.png: names.json does not name this image" in said.err


def test_damaged_images_are_reported_and_the_others_processed(predict: Predict, machine: Path) -> None:
    save(machine / "in" / "a.png")
    (machine / "in" / "empty.jpg").write_bytes(b"")
    whole = save(machine / "in" / "cut.png", np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8))
    whole.write_bytes(whole.read_bytes()[:2000])
    (machine / "in" / "page.png").write_text("<html>not found</html>")
    (machine / "in" / "gone.png").symlink_to("nowhere.png")
    save(machine / "in" / "z.png")
    said = predict("toy-brightest", "in")
    assert said.status == 1
    assert [e["file_name"] for e in said.predictions] == ["in/a.png", "in/z.png"]
    failed = {failure["file_name"]: failure["error"] for failure in said.listing["failed"]}
    assert sorted(failed) == ["in/cut.png", "in/empty.jpg", "in/gone.png", "in/page.png"]
    for name, error in failed.items():
        assert error.startswith(f"{name}: ")
        assert error in said.err
    assert "No such file" in failed["in/gone.png"]
    assert said.out.startswith("2 poses in 2 images. 4 files failed.\n")
    assert drawn(machine / "poses") == ["a.png", "z.png"]


def test_what_is_not_there_ends_the_command_before_anything_is_done(predict: Predict, machine: Path) -> None:
    save(machine / "a.png")
    (machine / "empty").mkdir()
    for missing, sign in (("b.png", "no such file or folder"), ("empty", "neither an image nor a video")):
        said = predict("toy-brightest", "a.png", missing)
        assert said.status == 2
        assert sign in said.err
    assert not (machine / "poses").exists()


def test_nothing_is_overwritten_without_the_option(predict: Predict, machine: Path) -> None:
    save(machine / "a.png")
    (machine / "poses").mkdir()
    (machine / "poses" / "a.png").write_text("mine")
    said = predict("toy-brightest", "a.png")
    assert said.status == 2
    assert "poses/a.png would be overwritten" in said.err
    assert "--overwrite" in said.err
    assert [p.read_text() for p in (machine / "poses").iterdir()] == ["mine"]
    assert predict("toy-brightest", "a.png", "--overwrite").status == 0
    assert (machine / "poses" / "a.png").read_bytes().startswith(b"\x89PNG")
    said = predict("toy-brightest", "a.png")
    assert "poses/images.json and 2 other files would be overwritten" in said.err


def test_a_picture_is_never_drawn_over_its_original(predict: Predict, machine: Path) -> None:
    before = save(machine / "a.png").read_bytes()
    said = predict("toy-brightest", "a.png", "--out", ".", "--overwrite")
    assert said.status == 2
    assert "is one of the images" in said.err
    assert (machine / "a.png").read_bytes() == before


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(picture()[..., 0], id="grey"),
        pytest.param(picture()[..., 0].astype(np.uint16) * 257, id="16 bit grey"),
        pytest.param(picture().astype(np.uint16) * 257, id="16 bit"),
        pytest.param(np.dstack([picture(), np.zeros((HEIGHT, WIDTH), np.uint8)]), id="transparent"),
    ],
)
@pytest.mark.parametrize("ending", [".png", ".tiff"])
def test_pixels_of_other_kinds_give_the_same_poses(
    predict: Predict, machine: Path, stored: np.ndarray, ending: str
) -> None:
    save(machine / f"a{ending}", stored)
    said = predict("toy-brightest", f"a{ending}")
    assert said.status == 0, said.err
    assert spot(said.predictions[0]) == [10.0, 5.0]


def turned_jpeg(path: Path, orientation: int) -> Path:
    """A picture with an Exif header of one entry, the orientation."""
    pixels = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    pixels[:16, :16] = 255  # large enough to survive compression
    content = save(path, pixels).read_bytes()
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    exif = b"Exif\0\0" + b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)
    path.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:])
    return path


def test_exif_orientation_is_ignored_and_said_or_followed_when_asked(predict: Predict, machine: Path) -> None:
    turned_jpeg(machine / "phone.jpg", 6)
    said = predict("toy-brightest", "phone.jpg")
    assert (said.listing["images"][0]["width"], said.listing["images"][0]["height"]) == (WIDTH, HEIGHT)
    assert spot(said.predictions[0])[0] < 16
    assert "note: phone.jpg: stored rotated" in said.err
    assert said.status == 0
    said = predict("toy-brightest", "phone.jpg", "--upright", "--overwrite")
    assert (said.listing["images"][0]["width"], said.listing["images"][0]["height"]) == (HEIGHT, WIDTH)
    assert spot(said.predictions[0])[0] >= HEIGHT - 16
    assert "note" not in said.err
    copy = cv2.imread(str(machine / "poses" / "phone.jpg"))
    assert copy is not None
    assert copy.shape == (WIDTH, HEIGHT, 3)


def test_an_image_that_exif_does_not_rotate_gets_no_note(predict: Predict, machine: Path) -> None:
    turned_jpeg(machine / "camera.jpg", 1)
    assert "note" not in predict("toy-brightest", "camera.jpg").err


def test_json_prints_one_object_and_writes_nothing(predict: Predict, machine: Path) -> None:
    save(machine / "a.png")
    said = predict("toy-brightest", "a.png", "--json")
    content = json.loads(said.out)
    assert spot(content["predictions"][0]) == [10.0, 5.0]
    assert content["images"][0]["drawn"] is None
    assert content["info"]["method"] == "toy-brightest"
    assert sorted(p.name for p in machine.iterdir()) == ["a.png"]
    said = predict("toy-brightest", "a.png", "--json", "--out", "poses")
    assert sorted(p.name for p in (machine / "poses").iterdir()) == ["images.json", "predictions.json"]
    assert json.loads(said.out)["predictions"] == said.predictions


def test_results_that_cannot_be_written_end_with_a_sentence(predict: Predict, machine: Path) -> None:
    save(machine / "a.png")
    (machine / "poses").write_text("a file, not a folder")
    said = predict("toy-brightest", "a.png", out="elsewhere")
    assert said.status == 1
    assert "cannot be written" in said.err
    assert "poses" in said.err


def test_names_in_any_writing_survive(predict: Predict, machine: Path) -> None:
    name = "Zoë \"<b>&' 人.png"
    save(machine / name)
    said = predict("toy-brightest", name)
    assert said.predictions[0]["file_name"] == name
    assert drawn(machine / "poses") == [name]


def test_on_start_receives_all_images_that_can_be_read(predict: Predict, machine: Path) -> None:
    for name in ("a", "b", "c"):
        save(machine / "in" / f"{name}.png")
    (machine / "in" / "broken.png").write_bytes(b"")
    said = predict("toy-told", "in")
    assert [image["poses"] for image in said.listing["images"]] == [3, 3, 3]
    assert said.err.count("broken.png: ") == 1


def test_keypoints_and_poses_below_what_is_asked_for_are_not_drawn(predict: Predict, machine: Path) -> None:
    save(machine / "a.png")
    for option in ("--threshold", "--min-score"):
        said = predict("toy-brightest", "a.png", option, "1.5", "--overwrite")
        assert len(said.predictions) == 1
        assert said.out.startswith("1 pose in 1 image" + (", 0 with" if option == "--min-score" else "."))
        assert np.array_equal(cv2.imread(str(machine / "poses" / "a.png")), picture())


@pytest.mark.parametrize(
    ("arguments", "dataset", "sign"),
    [
        (("toy-brightest", "a.png", "--boxes", "whole"), "crowdpose", "finds the persons itself"),
        (("toy-diagonal", "a.png"), "crowdpose", "needs the boxes of the persons"),
        (
            ("toy-diagonal", "a.png", "--boxes", "no.json"),
            "crowdpose",
            "no.json: there is no such file (boxes)",
        ),
        (("toy-brightest", "a.png"), None, "choose one with --dataset NAME"),
        (("hrformer-b", "a.png", "--boxes", "whole"), None, "Weights are published for c"),
        (("toy-brightes", "a.png"), None, "Did you mean 'toy-brightest'"),
        (("toy-brightest", "a.png"), "crowdpos", "Did you mean 'crowdpose'"),
        (("toy-brightest", "a.png", "--device", "abacus"), "crowdpose", "device"),
        (("toy-brightest", "a.png", "--set", "x=1"), "crowdpose", "no setting"),
        (("toy-brightest", "a.png", "--weights", "no.pth"), "crowdpose", "takes no weights"),
    ],
)
def test_wrong_input_ends_with_a_sentence_and_status_2(
    predict: Predict, machine: Path, arguments: tuple[str, ...], dataset: str | None, sign: str
) -> None:
    save(machine / "a.png")
    said = predict(*arguments, dataset=dataset)
    assert said.status == 2
    assert sign in said.err
    assert not (machine / "poses").exists()
