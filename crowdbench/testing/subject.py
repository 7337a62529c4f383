"""The method under test, with its network, the test scenes and its cached predictions."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.method import Method, NetworkMethod
from crowdbench.api.types import FloatArray, Instance, Pose, Precision, Sample
from crowdbench.engine.batching import default_batch_size
from crowdbench.engine.inference import predict_batches
from crowdbench.engine.network import build_network
from crowdbench.testing.equality import own_randomness
from crowdbench.testing.image_files import write_image
from crowdbench.testing.outcome import NotApplicable, described, is_not_finite
from crowdbench.testing.pose_matching import by_box
from crowdbench.testing.scenes import Scene, draw_crowd

if TYPE_CHECKING:
    import torch
    from torch import nn

# The windows cut from the drawing. Their sides and shifts are multiples of 64, so that the grids of networks
# fall on the same pixels in every window. The margins leave room for crops that are larger than their boxes.
WINDOW = (704, 512)
MOVED = (128, 64)
# A shift that is not a multiple of any network's stride.
LITTLE = (3, 2)
_GRID = (4, 2)
_CELL = (112, 160)


class MethodSubject:
    """State shared by the checks of a method. Networks and poses are computed lazily and cached.

    Args:
        make: builds a new method on every call.
        weights: a checkpoint for the network, or for `Method.load_weights`; None for random weights.
        folder: where images are written.
        dataset: the name of the dataset that the method is configured for.
    """

    def __init__(
        self, make: Callable[[], Method], *, weights: Path | None, folder: Path, dataset: str
    ) -> None:
        self.make = make
        self.weights = weights
        self.folder = folder
        self.dataset = dataset
        # Keyed by id(). Each value holds a reference to the object, so that its id is not reused.
        self._files: dict[int, tuple[NDArray[np.uint8], Path]] = {}
        self._samples: dict[int, tuple[Scene, Sample]] = {}
        self._poses: dict[int, list[Pose]] = {}
        self._persons: dict[int, tuple[Scene, list[FloatArray | None]]] = {}

    @cached_property
    def method(self) -> Method:
        """The method instance shared by all checks that do not depend on its state."""
        return self.fresh_method()

    def fresh_method(self) -> Method:
        """A new instance of the method, which has not seen any image."""
        method = self.make()
        if self.weights is not None and not isinstance(method, NetworkMethod):
            method.load_weights(self.weights)
        return method

    @property
    def has_boxes(self) -> bool:
        """Whether the method is top-down."""
        return self.method.paradigm == "top-down"

    @property
    def weights_said(self) -> str:
        """A description of the weights for notes."""
        return "random weights" if self.weights is None else "these weights"

    def require_network(self) -> NetworkMethod:
        """The method as a `NetworkMethod`; raises NotApplicable if it is none."""
        if not isinstance(self.method, NetworkMethod):
            raise NotApplicable("the method has no network that crowdbench knows of")
        return self.method

    @cached_property
    def network(self) -> "nn.Module | None":
        """The network as crowdbench runs it; None if the method has none."""
        return self.built_network(self.method)

    def built_network(
        self,
        method: Method,
        *,
        seed: int = 0,
        weights: Path | None = None,
        precision: Precision = "fp32",
        device: "torch.device | None" = None,
    ) -> "nn.Module | None":
        """A newly built network, with `weights` instead of the subject's own if given."""
        import torch

        if not isinstance(method, NetworkMethod):
            return None
        with own_randomness():
            return build_network(
                method,
                weights or self.weights,
                seed=seed,
                device=device or torch.device("cpu"),
                precision=precision,
            )

    def sample(self, scene: Scene) -> Sample:
        """The sample of a scene, whose image is written to a file. Cached per scene."""
        if id(scene) not in self._samples:
            number = len(self._samples) + 1
            self._samples[id(scene)] = scene, self.as_sample(scene, self._picture(scene.image), number)
        return self._samples[id(scene)][1]

    def _picture(self, image: NDArray[np.uint8]) -> Path:
        """The file of an image. Scenes with the same image but different persons share it."""
        if id(image) not in self._files:
            path = write_image(self.folder / f"{len(self._files) + 1:04d}.png", image)
            self._files[id(image)] = image, path
        return self._files[id(image)][1]

    def as_sample(self, scene: Scene, path: Path, number: int) -> Sample:
        """The sample of a scene whose image is stored at `path`."""
        visible = np.full((*scene.points.shape[:2], 1), 2.0)
        keypoints = np.concatenate([scene.points, visible], axis=2)
        instances = tuple(
            Instance(box, own, float(box[2] * box[3]) * 0.5, id=index)
            for index, (box, own) in enumerate(zip(scene.boxes, keypoints, strict=True), start=1)
        )
        return Sample(number, path, scene.width, scene.height, instances)

    def run(
        self,
        batches: Sequence[Sequence[Sample]],
        *,
        method: Method | None = None,
        network: "nn.Module | None" = None,
        workers: int = 0,
        precision: Precision = "fp32",
        device: "torch.device | None" = None,
        seed: int = 0,
    ) -> list[list[list[Pose]]]:
        """The poses of each image of each batch, computed by crowdbench's own inference loop.

        Args:
            batches: each is one forward pass of the network.
            method, network: used instead of the subject's own.
            workers, precision, device: see `crowdbench.engine.inference.predict_batches`.
            seed: of the global random generators. Results must not depend on it; one check verifies that.
        """
        import torch

        asked = self.method if method is None else method
        if network is None and isinstance(asked, NetworkMethod):
            network = self.network
        device = device or torch.device("cpu")
        size = default_batch_size(asked.paradigm, device.type)
        found = predict_batches(
            asked,
            network,
            batches,
            batch_size=size,
            device=device,
            precision=precision,
            workers=workers,
        )
        with own_randomness(seed):
            return list(found)

    def answer(self, sample: Sample) -> list[Pose]:
        """The poses of one image."""
        return self.run([[sample]])[0][0]

    def poses(self, scene: Scene) -> list[Pose]:
        """The poses in a scene, computed once; NotApplicable without any in the ordinary scene."""
        self.require_answers()
        return self._computed(scene)

    def _computed(self, scene: Scene) -> list[Pose]:
        sample = self.sample(scene)
        if sample.image_id not in self._poses:
            self._poses[sample.image_id] = self.answer(sample)
        return self._poses[sample.image_id]

    def persons(self, scene: Scene) -> list[FloatArray | None]:
        """The keypoints ``(K, 2)`` of each box of a scene, None where there is no pose. Top-down only.

        Methods that do not report the box of a pose are run on one person at a time.
        """
        if id(scene) not in self._persons:
            found = by_box(self.poses(scene), scene.boxes)
            if found is None:
                singles = [scene.only([row]) for row in range(len(scene.boxes))]
                answers = [self.answer(self.sample(single)) for single in singles]
                found = [poses[0].keypoints[:, :2] if poses else None for poses in answers]
            self._persons[id(scene)] = scene, found
        return self._persons[id(scene)][1]

    @cached_property
    def first_answer(self) -> list[Pose] | Exception:
        """The poses of the ordinary scene, or the exception that the method raised."""
        try:
            return self._computed(self.ordinary)
        except Exception as error:
            return error

    def require_answers(self) -> None:
        """Raise NotApplicable unless the method finds poses in the ordinary scene."""
        error = self.first_answer
        if isinstance(error, Exception) and is_not_finite(error):
            raise NotApplicable("there are no poses to compare; see the check finite")
        if isinstance(error, Exception):
            raise NotApplicable("the method does not run on an ordinary image; see the check ordinary")
        if not error:
            raise NotApplicable("the method finds no person in the drawn scene: there is nothing to compare")

    def failure(self) -> str:
        """A description of the exception that the method raised on the ordinary scene."""
        assert isinstance(self.first_answer, Exception)
        return described(self.first_answer)

    @cached_property
    def finds_one_person(self) -> bool:
        """Whether a method without boxes finds one person of many; which one may differ between images."""
        if self.has_boxes:
            return False
        try:
            return len(self._computed(self._crowd_seen)) == 1
        except Exception:
            return False  # Reported by the check `ordinary`.

    @cached_property
    def canvas(self) -> Scene:
        """The drawing that windows are cut from: eight (or one) separate persons, far from the edges."""
        return self._drawn(1, 1) if self.finds_one_person else self._crowd

    @cached_property
    def _crowd(self) -> Scene:
        return self._drawn(*_GRID)

    @cached_property
    def _crowd_seen(self) -> Scene:
        return self._crowd.window(*MOVED, *WINDOW)

    def _drawn(self, columns: int, rows: int) -> Scene:
        wide, high = _CELL
        margin = (WINDOW[0] + MOVED[0] - columns * wide) // 2, (WINDOW[1] + MOVED[1] - rows * high) // 2
        return draw_crowd(
            self.method.keypoints, columns=columns, rows=rows, cell=_CELL, margin=margin, seed=0
        )

    def seen_from(self, x: int, y: int) -> Scene:
        """The window whose top left corner is at (x, y) of the canvas."""
        return self.canvas.window(x, y, *WINDOW)

    @cached_property
    def ordinary(self) -> Scene:
        """The reference scene."""
        return self.seen_from(*MOVED) if self.finds_one_person else self._crowd_seen

    @cached_property
    def moved(self) -> Scene:
        """The same persons in another window, in which they are shifted by `MOVED` to the right and down."""
        return self.seen_from(0, 0)

    @cached_property
    def little_moved(self) -> Scene:
        """The same persons, shifted by `LITTLE` only."""
        return self.seen_from(MOVED[0] - LITTLE[0], MOVED[1] - LITTLE[1])

    @cached_property
    def softened(self) -> Scene:
        """The ordinary scene enlarged and then reduced to its original size, and so slightly less sharp."""
        return self.enlarged.averaged(self.factor)

    @cached_property
    def enlarged(self) -> Scene:
        """The ordinary scene enlarged by `factor`."""
        return self.ordinary.enlarged(self.factor)

    @cached_property
    def enlarged_continuously(self) -> Scene:
        """`enlarged`, with box corners mapped as points of the image, as keypoints are."""
        shift = (self.factor - 1) / 2
        return replace(self.enlarged, boxes=self.enlarged.boxes + np.array([shift, shift, 0, 0]))

    @property
    def factor(self) -> int:
        """The factor of `enlarged`; 2 for whole-image networks, as nine times the pixels is too many."""
        return 3 if self.has_boxes else 2

    @cached_property
    def mirrored(self) -> Scene:
        """The ordinary scene mirrored."""
        return self.ordinary.mirrored(self.method.keypoints)

    @cached_property
    def small(self) -> list[Scene]:
        """Three small scenes of different sizes, with two persons each."""
        return [
            draw_crowd(
                self.method.keypoints, columns=2, rows=1, cell=_CELL, margin=(20 + 8 * i, 10 + 5 * i), seed=i
            )
            for i in (1, 2, 3)
        ]


def keypoints_of(poses: Sequence[Pose], count: int) -> NDArray[np.float64]:
    """The keypoints of n poses as ``(n, K, 3)``; n may be 0."""
    return np.array([pose.keypoints for pose in poses], dtype=np.float64).reshape(-1, count, 3)
