"""ONNX files: which are taken, which are refused, and what a method is before and after it has one."""

import pickle
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from support.data import onnx_models

from crowdbench.api.load_method import load_method
from crowdbench.api.method import Method
from crowdbench.api.types import KeypointSet
from crowdbench.errors import InputError, RunError, SettingsError, WeightsError
from crowdbench_wrappers.onnx_model import OnnxModel
from crowdbench_wrappers.rtmo import RTMO, RTMOSettings
from crowdbench_wrappers.rtmpose import RTMPose, RTMPoseSettings

PAIR = KeypointSet("pair", ("left", "right"), ((0, 1),), (), (0.1, 0.1), ())
SIZE = (64, 48)
NAMES = ["rtmpose", "rtmo", "yolo-pose"]


def method() -> RTMPose:
    return RTMPose(PAIR, RTMPoseSettings(input_size=SIZE), "rtmpose")


def test_a_pytorch_checkpoint_is_refused_and_not_executed(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "harm",)  # type: ignore[return-value]

    torch.save(Harmful(), tmp_path / "zip.onnx")
    (tmp_path / "plain.onnx").write_bytes(pickle.dumps(Harmful()))
    for name in ("zip.onnx", "plain.onnx"):
        with pytest.raises(WeightsError, match="expected an ONNX model"):
            method().load_weights(tmp_path / name)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "content", [b"", b"<html>not found</html>", b"ORTM" + bytes(64)], ids=["empty", "page", "ort"]
)
def test_what_is_no_onnx_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(WeightsError, match=r"m\.onnx: .*not a file of weights"):
        method().load_weights(tmp_path / "m.onnx")


def test_half_a_file_is_refused(tmp_path: Path) -> None:
    path = onnx_models.rtmpose_spot(tmp_path / "m.onnx", 2)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(WeightsError, match=r"not a whole ONNX model \(it ends early\)"):
        method().load_weights(path)


@pytest.mark.parametrize("working", ["beside it", "elsewhere"])
def test_tensors_in_another_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, working: str
) -> None:
    outputs = {"simcc_x": np.zeros((1, 2, 96)), "simcc_y": np.zeros((1, 2, 128))}
    path = onnx_models.constant(tmp_path / "m.onnx", (1, 3, *SIZE), outputs)
    method().load_weights(path)  # whole, it is taken
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="data", size_threshold=0)
    assert (tmp_path / "data").is_file()
    if working == "beside it":
        monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="no tensors in files beside it"):
        method().load_weights(path)


def test_operators_of_other_libraries_are_refused(tmp_path: Path) -> None:
    node = helper.make_node("NMSOfMine", ["input"], ["dets"], domain="mmdeploy")
    path = onnx_models.save(tmp_path / "m.onnx", [node], (1, 3, *SIZE), {"dets": (1, 5)})
    with pytest.raises(WeightsError, match="no operators of other libraries") as caught:
        method().load_weights(path)
    assert "NMSOfMine" in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "element"),
    [
        pytest.param((4, 3, *SIZE), TensorProto.FLOAT, id="four images at a time"),
        pytest.param((1, 1, *SIZE), TensorProto.FLOAT, id="one colour"),
        pytest.param((1, *SIZE, 3), TensorProto.FLOAT, id="colours last"),
        pytest.param((3, *SIZE), TensorProto.FLOAT, id="no batch"),
        pytest.param((1, 3, *SIZE), TensorProto.UINT8, id="bytes"),
    ],
)
def test_models_of_other_inputs_are_refused_with_their_own(
    tmp_path: Path, shape: tuple[int, ...], element: int
) -> None:
    node = helper.make_node("Shape", ["input"], ["sides"])
    cast = helper.make_node("Cast", ["sides"], ["out"], to=TensorProto.FLOAT)
    path = onnx_models.save(tmp_path / "m.onnx", [node, cast], shape, {"out": (len(shape),)}, None, element)
    with pytest.raises(WeightsError, match="the model takes input tensor"):
        method().load_weights(path)


def test_a_half_precision_model_is_fed_half_precision(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["input"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["wide"], ["out"], axes=[1, 2, 3], keepdims=0),
    ]
    path = onnx_models.save(
        tmp_path / "m.onnx", nodes, (1, 3, *SIZE), {"out": (1,)}, None, TensorProto.FLOAT16
    )
    (out,) = OnnxModel(path, "cpu").run(np.full((1, 3, *SIZE), 0.1)).values()
    assert out == np.float16(0.1)


def test_a_model_that_cannot_compute_is_refused_before_the_first_image(tmp_path: Path) -> None:
    nodes = [helper.make_node("Reshape", ["input", "shape"], ["dets"])]
    constants = {"shape": np.array([1, 7, 5])}
    path = onnx_models.save(tmp_path / "m.onnx", nodes, (1, 3, "h", "w"), {"dets": (1, 7, 5)}, constants)
    with pytest.raises(WeightsError, match="ONNX Runtime failed on images"):
        method().load_weights(path)


def test_a_model_of_any_size_takes_the_settings_and_fails_loudly_on_another(tmp_path: Path) -> None:
    path = onnx_models.rtmo_spot(tmp_path / "m.onnx", 2)
    model = onnx.load(path)
    for axis, name in ((2, "height"), (3, "width")):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    onnx.save(model, path)
    wide = RTMO(PAIR, RTMOSettings(input_size=(32, 96)))
    wide.load_weights(path)
    assert wide.model.size == (None, None)
    (pose,) = wide.estimate(onnx_models.painted(32, 96, 80, 20), np.empty((0, 4)))
    np.testing.assert_array_equal(pose.keypoints[:, :2], [[80, 20]] * 2)
    with pytest.raises(RunError, match="ONNX Runtime failed on images"):
        wide.model.run(np.zeros((1, 1, 32, 96)))


def test_cuda_is_refused_where_onnx_runtime_has_none(tmp_path: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    assert load_method("rtmpose", "coco").settings.provider == "cpu"
    on_gpu = RTMPose(PAIR, RTMPoseSettings(input_size=SIZE, provider="cuda"))
    with pytest.raises(SettingsError, match=r"no CUDAExecutionProvider, only .*CPU"):
        on_gpu.load_weights(onnx_models.rtmpose_spot(tmp_path / "m.onnx", 2))


def test_a_provider_that_does_not_start_is_an_error_and_not_another_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As with onnxruntime-gpu on a machine without CUDA's libraries: offered, and replaced when it fails.
    import onnxruntime

    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    whole = onnxruntime.InferenceSession

    def replacing(model: bytes, options: object, providers: list[str]) -> object:
        return whole(model, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", replacing)
    assert load_method("rtmpose", "coco").settings.provider == "cuda"
    on_gpu = RTMPose(PAIR, RTMPoseSettings(input_size=SIZE, provider="cuda"))
    with pytest.raises(SettingsError, match="could not start CUDAExecutionProvider"):
        on_gpu.load_weights(onnx_models.rtmpose_spot(tmp_path / "m.onnx", 2))


def test_without_onnx_runtime_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    path = onnx_models.rtmpose_spot(tmp_path / "m.onnx", 2)
    with pytest.raises(InputError, match=r'pip install "crowdbench\[onnx\]"'):
        method().load_weights(path)


@pytest.mark.parametrize("name", NAMES)
def test_methods_are_configured_and_pickled_without_onnx_runtime(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crowdbench_wrappers.onnx_model.find_spec", lambda module: None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    loaded = load_method(name, "coco")
    again: Method = pickle.loads(pickle.dumps(loaded))  # noqa: S301
    assert (again.name, again.settings, again.keypoints) == (name, loaded.settings, loaded.keypoints)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_model_a_method_asks_for_one(name: str) -> None:
    boxes = np.array([[0.0, 0, 10, 10]])
    with pytest.raises(SettingsError, match=f"{name} has no model yet.* --weights FILE"):
        load_method(name, "coco").estimate(np.zeros((20, 20, 3), dtype=np.uint8), boxes)
