"""ONNX models, and programs of methods from elsewhere: from URLs, tables and packages as from local files."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.data import onnx_models
from support.weights_server import Served, Server, entry, install_table, serving

from crowdbench.api.load_method import load_method
from crowdbench.errors import WeightsError
from crowdbench.weights import resolve_weights

METHODS = {
    "rtmpose": (onnx_models.rtmpose_spot, "64x48"),
    "rtmo": (onnx_models.rtmo_spot, "64x64"),
    "yolo-pose": (onnx_models.yolo_spot, "64x64"),
}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("CROWDBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with serving() as running:
        yield running


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("way", ["url", "table", "package"])
def test_a_model_is_the_same_wherever_it_comes_from(
    server: Server, tmp_path: Path, name: str, way: str
) -> None:
    make, size = METHODS[name]
    body = make(tmp_path / "made.onnx", 14).read_bytes()
    server.files["/model.onnx"] = Served(body)
    asked = f"{name}/crowdpose"
    own = entry(asked, server.url("/model.onnx"), file="model.onnx")
    if way == "url":
        asked = server.url("/model.onnx")
    elif way == "table":
        install_table(tmp_path / "site", own)
    else:
        digest = hashlib.sha256(body).hexdigest()
        url = server.url("/model.onnx")
        install_table(
            tmp_path / "site", own.replace(f'url = "{url}"', f'packaged = true\nsha256 = "{digest}"')
        )
        shipped = tmp_path / "site" / "stranger" / "weights"
        shipped.mkdir()
        (shipped / "model.onnx").write_bytes(body)
    for _ in range(2):  # the second time from the cache
        found = resolve_weights(asked, method=name, dataset="synthcrowd")
    method = load_method(name, "synthcrowd", input_size=size)
    assert found.path is not None
    assert found.sha256 == hashlib.sha256(body).hexdigest()
    method.load_weights(found.path)
    height, width = map(int, size.split("x"))
    # It computes: how well is another test's question.
    method.estimate(np.zeros((height, width, 3), np.uint8), np.array([[0.0, 0.0, width, height]]))


def test_a_shipped_model_that_is_not_whole_is_refused(server: Server, tmp_path: Path) -> None:
    body = onnx_models.rtmo_spot(tmp_path / "made.onnx", 14).read_bytes()[:-10]
    digest = hashlib.sha256(body).hexdigest()
    url = server.url("/model.onnx")
    own = entry("rtmo/crowdpose", url, file="model.onnx")
    install_table(tmp_path / "site", own.replace(f'url = "{url}"', f'packaged = true\nsha256 = "{digest}"'))
    shipped = tmp_path / "site" / "stranger" / "weights"
    shipped.mkdir()
    (shipped / "model.onnx").write_bytes(body)
    with pytest.raises(WeightsError, match=r"not a whole ONNX model(.|\n)*stranger 3.1: install it again"):
        resolve_weights("rtmo/crowdpose", method="rtmo", dataset="synthcrowd")
