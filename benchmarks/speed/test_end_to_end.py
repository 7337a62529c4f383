"""From images on disk to poses: `crowdbench run` against the plainest way (support.reference.top_down).

That is: an image after the other, whole masks drawn, crops and keypoints in loops, the network as it is
written. Image by image its maps stay in the processor's caches, unlike in the batches of `test_networks.py`.
What a run does once is not counted: building the network, starting workers, scoring.
"""

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from plainest import timed_alone
from support.reference.random_networks import with_drawn_weights

from crowdbench import evaluate, load_dataset
from crowdbench.api.load_method import load_method
from crowdbench.api.method import NetworkMethod

# method: images, and how many times faster at least
RUNS = {"i2rnet-vanilla": (24, 1.1), "i2rnet-transpose": (12, 1.8), "i2rnet-hrformer": (12, 1.1)}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_faster_than_the_plainest_way(benchmark: Any, tmp_path: Path, name: str) -> None:
    images, promised = RUNS[name]
    dataset = load_dataset("synthcrowd")
    method = load_method(name, dataset)
    assert isinstance(method, NetworkMethod)
    network = with_drawn_weights(method.build_network())
    torch.save(network.state_dict(), tmp_path / "drawn.pth")

    plain_s, expected = timed_alone("images", name, tmp_path / "drawn.pth", str(images))

    seen: list[tuple[float, int]] = []
    benchmark.pedantic(
        evaluate,
        args=(method, dataset),
        kwargs={
            "weights": tmp_path / "drawn.pth",
            "out": tmp_path,
            "limit": images,
            "device": "cpu",
            "on_progress": lambda progress: seen.append((time.perf_counter(), progress.persons)),
        },
        rounds=1,
    )
    # The first report comes before the first batch, the second one after it.
    (started, before), (ended, persons) = seen[1], seen[-1]
    ours = (persons - before) / (ended - started)
    ratio = ours / (expected / plain_s)
    benchmark.extra_info.update(
        plain_persons_per_s=expected / plain_s, persons_per_s=ours, persons=expected, ratio=ratio
    )
    assert ratio >= promised
