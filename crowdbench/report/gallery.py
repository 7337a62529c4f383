"""The gallery: images with the poses of every run drawn over them, within the page's size."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from crowdbench.report.compression import Packed, pack, packing_ratio
from crowdbench.report.data import ERRORS, DrawnPose, GalleryImage, PageData, Panel
from crowdbench.report.jpegs import Encoded
from crowdbench.report.svg_poses import bones_path, marks_path, view_size

FINE, COARSE, MANY_RUNS = 500, 320, 12
"""Units of a picture's longer side, to which poses are rounded; the second where there are more runs."""

_PERSON_COLOURS = 7
_MARKS = {"jitter": "mj", "inversion": "mi", "swap": "ms", "miss": "mm"}


@dataclass(frozen=True)
class _DrawnPanel:
    """Paths are pairs of classes and ``d``."""

    run: int
    words: str
    paths: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _DrawnPicture:
    key: int
    picture: GalleryImage
    name: str
    words: str
    width: int
    height: int
    truth: str
    panels: tuple[_DrawnPanel, ...]
    address: str = ""
    problem: str = ""


@dataclass(frozen=True)
class _DrawnSection:
    title: str
    words: str
    pictures: tuple[_DrawnPicture, ...]


def _drawn_sections(data: PageData) -> list[_DrawnSection]:
    keys = iter(range(10**9))
    return [
        _DrawnSection(
            section.title,
            section.words,
            tuple(_drawn_picture(next(keys), picture, data) for picture in section.pictures),
        )
        for section in data.gallery
        if section.pictures
    ]


def _drawn_picture(key: int, picture: GalleryImage, data: PageData) -> _DrawnPicture:
    long_side = FINE if len(data.runs) <= MANY_RUNS else COARSE
    width, height = view_size(picture.width, picture.height, long_side)
    scale = long_side / max(picture.width, picture.height, 1)
    return _DrawnPicture(
        key=key,
        picture=picture,
        name=picture.name,
        words=picture.words,
        width=width,
        height=height,
        truth="".join(bones_path(keypoints, data.keypoints, scale) for keypoints in picture.truth),
        panels=tuple(
            _DrawnPanel(panel.run, panel.words, tuple(_paths(panel, data, scale))) for panel in picture.panels
        ),
    )


def _paths(panel: Panel, data: PageData, scale: float) -> Iterator[tuple[str, str]]:
    bones: dict[str, list[str]] = {}
    for pose in panel.poses:
        classes = "unmatched" if pose.person is None else f"p{pose.person % _PERSON_COLOURS}"
        bones.setdefault(classes, []).append(_bones(pose, data, scale))
    for classes, ds in bones.items():
        yield f"predicted {classes}", "".join(ds)
    for kind in ERRORS:
        d = "".join(marks_path(pose.keypoints, pose.kinds, kind, scale) for pose in panel.poses)
        if d:
            yield f"marks {_MARKS[kind]}", d


def _bones(pose: DrawnPose, data: PageData, scale: float) -> str:
    # A predicted keypoint counts whatever its confidence, so that all are drawn.
    keypoints = pose.keypoints.copy()
    keypoints[:, 2] = 1
    return bones_path(keypoints, data.keypoints, scale)


def _packed(sections: Sequence[_DrawnSection], shown: Collection[int], labels: Sequence[str]) -> list[Packed]:
    """The panels of the runs that are not shown at first: of each run, those of all images."""
    panels: dict[int, list[tuple[int, str, tuple[tuple[str, str], ...]]]] = {}
    for section in sections:
        for picture in section.pictures:
            for panel in picture.panels:
                if panel.run not in shown:
                    panels.setdefault(panel.run, []).append((picture.key, panel.words, panel.paths))
    return [pack(run, labels[run], of_run) for run, of_run in sorted(panels.items())]


def _fitting(sections: list[_DrawnSection], shown: Collection[int], most: int) -> list[_DrawnSection]:
    """As many images of every section as there is room for the poses on them."""
    ratio = packing_ratio(
        (panel.words, panel.paths)
        for section in sections
        for picture in section.pictures[:10]
        for panel in picture.panels
        if panel.run not in shown
    )
    sizes = [[_text_size(picture, shown, ratio) for picture in section.pictures] for section in sections]
    kept = [len(of_section) for of_section in sizes]
    total = sum(map(sum, sizes))
    while total > most and any(kept):
        longest = max(range(len(kept)), key=kept.__getitem__)
        kept[longest] -= 1
        total -= sizes[longest][kept[longest]]
    return [
        replace(section, pictures=section.pictures[:count])
        for section, count in zip(sections, kept, strict=True)
        if count
    ]


def _text_size(picture: _DrawnPicture, shown: Collection[int], ratio: float) -> float:
    # The frames of an image, a panel and a path, roughly; what is over or under is left to the JPEGs.
    size = 900.0 + len(picture.truth) + 2 * len(picture.words)
    for panel in picture.panels:
        paths = len(panel.words) + sum(len(d) + 40 for _, d in panel.paths)
        size += paths + 480 if panel.run in shown else ratio * paths
    return size


def _with_images(sections: Sequence[_DrawnSection], images: Iterator[Encoded]) -> list[_DrawnSection]:
    return [
        replace(
            section,
            pictures=tuple(
                replace(picture, address=image.address, problem=image.problem)
                # `images` comes second: zip must not consume one that it cannot pair.
                for picture, image in zip(section.pictures, images, strict=False)
            ),
        )
        for section in sections
    ]
