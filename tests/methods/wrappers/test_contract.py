"""Other people's systems keep the contract too: with small models in their layouts."""

import json
import tempfile
from pathlib import Path
from typing import ClassVar

from support.data import onnx_models

from crowdbench.testing import MethodContract

KEYPOINTS = 14
SIZE = (512, 704)


class _WithFile(MethodContract):
    """What is loaded from a file that is made for the test."""

    dataset = "synthcrowd"

    @classmethod
    def setup_class(cls) -> None:
        super().setup_class()
        folder = cls._closing.enter_context(tempfile.TemporaryDirectory())
        cls.weights = cls.made(Path(folder))

    @classmethod
    def made(cls, folder: Path) -> Path:
        """Write the file."""
        raise NotImplementedError


class TestRTMPose(_WithFile):
    method = "rtmpose"
    settings: ClassVar = {"input_size": "256x192"}

    @classmethod
    def made(cls, folder: Path) -> Path:
        return onnx_models.rtmpose_spot(folder / "rtmpose.onnx", KEYPOINTS, (256, 192), blur=25)


class TestRTMO(_WithFile):
    method = "rtmo"
    settings: ClassVar = {"input_size": SIZE}

    @classmethod
    def made(cls, folder: Path) -> Path:
        return onnx_models.rtmo_spot(folder / "rtmo.onnx", KEYPOINTS, SIZE, blur=31)


class TestYoloPose(_WithFile):
    method = "yolo-pose"
    settings: ClassVar = {"input_size": SIZE}

    @classmethod
    def made(cls, folder: Path) -> Path:
        return onnx_models.yolo_spot(folder / "yolo.onnx", KEYPOINTS, SIZE, blur=31)


class TestViTPose(MethodContract):
    method, dataset = "vitpose", "synthcrowd"
    settings: ClassVar = {"variant": "small-simple", "flip_test": False}


class TestResults(_WithFile):
    """Which has poses of images by their ids; the checks' pictures of other formats have other ids."""

    method = "results"
    settings: ClassVar = {"boxes": "gt"}

    @classmethod
    def made(cls, folder: Path) -> Path:
        """Of an image that the checks do not have: there, nobody was found."""
        pose = [50.0, 60.0, 0.5] * KEYPOINTS
        entry = {"image_id": 10**6, "category_id": 1, "keypoints": pose, "score": 0.5}
        file = folder / "results.json"
        file.write_text(json.dumps([entry]))
        return file
