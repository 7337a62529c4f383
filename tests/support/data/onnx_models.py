"""Small ONNX models with the outputs of RTMPose, RTMO and YOLO pose, for tests.

Models of two sorts: some give the same outputs whatever they see; others find the brightest spot, so that a
test can paint one and ask where it was found.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
FORMAT = 10  # what ONNX Runtime reads since 1.20

Shape = Sequence[int | str]


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    shape: Shape,
    outputs: Mapping[str, Shape],
    constants: Mapping[str, np.ndarray] | None = None,
    element: int = TensorProto.FLOAT,
) -> Path:
    """Write a model of one input called ``input``."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("input", element, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, axes) for name, axes in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    domains = {node.domain for node in nodes if node.domain}
    imports = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(name, 1) for name in sorted(domains))]
    model = helper.make_model(graph, opset_imports=imports, ir_version=FORMAT)
    onnx.save(model, path)
    return path


def constant(path: Path, shape: Shape, outputs: Mapping[str, np.ndarray], rows: bool = False) -> Path:
    """A model that gives these outputs for any image; with `rows`, once for every image of a batch."""
    constants = {f"{name}_": np.asarray(value, dtype=np.float32) for name, value in outputs.items()}
    if not rows:
        nodes = [helper.make_node("Identity", [f"{name}_"], [name]) for name in outputs]
        return save(path, nodes, shape, {n: v.shape for n, v in outputs.items()}, constants)
    constants |= {"first": np.array([0]), "ones": np.array([1, 1])}
    nodes = [
        helper.make_node("Shape", ["input"], ["whole"]),
        helper.make_node("Gather", ["whole", "first"], ["images"]),
        helper.make_node("Concat", ["images", "ones"], ["times"], axis=0),
        *(helper.make_node("Tile", [f"{name}_", "times"], [name]) for name in outputs),
    ]
    axes = {name: (shape[0], *value.shape[1:]) for name, value in outputs.items()}
    return save(path, nodes, shape, axes, constants)


def _profiles(channel: int | None, blur: int) -> list[onnx.NodeProto]:
    """The brightest value of each column and row, ``across`` (n, W) and ``down`` (n, H).

    With a blur of many pixels, of photographs too there is one brightest spot, whatever surrounds it.
    """
    seen = "input" if channel is None else "one"
    pick = [] if channel is None else [helper.make_node("Gather", ["input", "channel"], ["one"], axis=1)]
    kernel, pads = [blur, blur], [blur // 2] * 4
    pooled = helper.make_node("AveragePool", [seen], ["soft"], kernel_shape=kernel, pads=pads)
    pick, seen = ([*pick, pooled], "soft") if blur > 1 else (pick, seen)
    return [
        *pick,
        helper.make_node("ReduceMax", [seen], ["across"], axes=[1, 2], keepdims=0),
        helper.make_node("ReduceMax", [seen], ["down"], axes=[1, 3], keepdims=0),
    ]


def _channel(channel: int | None) -> dict[str, np.ndarray]:
    return {} if channel is None else {"channel": np.array([channel])}


def rtmpose_spot(
    path: Path,
    keypoints: int,
    size: tuple[int, int] = (64, 48),
    batch: int | str = "n",
    channel: int | None = None,
    blur: int = 1,
) -> Path:
    """An RTMPose whose keypoints all lie on the brightest pixel of the crop, of one colour if asked for."""
    height, width = size
    nodes, constants = _profiles(channel, blur), _channel(channel)
    for profile, length, output in (("across", width, "simcc_x"), ("down", height, "simcc_y")):
        constants |= {f"{output}_shape": np.array([0, 1, 2 * length]), f"{output}_axis": np.array([2])}
        nodes += [
            # Two bins a pixel, of which the first is found.
            helper.make_node("Unsqueeze", [profile, f"{output}_axis"], [f"{output}_single"]),
            helper.make_node("Concat", [f"{output}_single"] * 2, [f"{output}_double"], axis=2),
            helper.make_node("Reshape", [f"{output}_double", f"{output}_shape"], [f"{output}_bins"]),
            helper.make_node("Concat", [f"{output}_bins"] * keypoints, [output], axis=1),
        ]
    outputs = {"simcc_x": (batch, keypoints, 2 * width), "simcc_y": (batch, keypoints, 2 * height)}
    return save(path, nodes, (batch, 3, height, width), outputs, constants)


def _spot(channel: int | None, blur: int) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """Where the brightest pixel is, ``x`` and ``y`` (1, 1)."""
    nodes = _profiles(channel, blur)
    for profile, name in (("across", "x"), ("down", "y")):
        nodes += [
            helper.make_node("ArgMax", [profile], [f"{name}_index"], axis=1, keepdims=1),
            helper.make_node("Cast", [f"{name}_index"], [name], to=TensorProto.FLOAT),
        ]
    return nodes, _channel(channel)


def rtmo_spot(
    path: Path,
    keypoints: int,
    size: tuple[int, int] = (64, 64),
    channel: int | None = None,
    blur: int = 1,
) -> Path:
    """An RTMO that finds one person: all keypoints on the brightest pixel, in a box of 10x20 around it."""
    nodes, constants = _spot(channel, blur)
    constants |= {
        "extent": np.array([[-5, -10, 5, 10]], dtype=np.float32),
        "score": np.array([[0.75]], dtype=np.float32),
        "front": np.array([0]),
    }
    nodes += [
        helper.make_node("Concat", ["x", "y", "x", "y"], ["corners"], axis=1),
        helper.make_node("Add", ["corners", "extent"], ["box"]),
        helper.make_node("Concat", ["box", "score"], ["det"], axis=1),
        helper.make_node("Unsqueeze", ["det", "front"], ["dets"]),
        helper.make_node("Concat", ["x", "y", "score"], ["point"], axis=1),
        helper.make_node("Concat", ["point"] * keypoints, ["points"], axis=0),
        helper.make_node("Unsqueeze", ["points", "front"], ["pose"]),
        helper.make_node("Unsqueeze", ["pose", "front"], ["keypoints"]),
    ]
    outputs = {"dets": (1, "persons", 5), "keypoints": (1, "persons", keypoints, 3)}
    return save(path, nodes, (1, 3, *size), outputs, constants)


def yolo_spot(
    path: Path,
    keypoints: int,
    size: tuple[int, int] = (64, 64),
    channel: int | None = None,
    blur: int = 1,
) -> Path:
    """A raw YOLO pose that finds one person: all keypoints on the brightest pixel, in a box of 10x20."""
    nodes, constants = _spot(channel, blur)
    constants |= {
        "sides": np.array([[10, 20]], dtype=np.float32),
        "score": np.array([[0.75]], dtype=np.float32),
        "last": np.array([2]),
    }
    nodes += [
        helper.make_node(
            "Concat", ["x", "y", "sides", "score", *["x", "y", "score"] * keypoints], ["row"], axis=1
        ),
        helper.make_node("Unsqueeze", ["row", "last"], ["output0"]),
    ]
    return save(path, nodes, (1, 3, *size), {"output0": (1, 5 + 3 * keypoints, 1)}, constants)


def painted(height: int, width: int, x: float, y: float, sigma: float = 0.5, colour: int = 0) -> np.ndarray:
    """``(height, width, 3)`` uint8: a spot whose brightest pixel is at x, y; white, but brightest in a colour."""
    squared = (np.arange(width) - x) ** 2 + (np.arange(height)[:, None] - y) ** 2
    spot = np.exp(-squared / (2 * sigma**2))
    image = np.repeat(spot[:, :, None] * 200, 3, axis=2)
    image[:, :, colour] *= 255 / 200
    return image.round().astype(np.uint8)
