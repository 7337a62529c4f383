"""The memory of a run, which must not grow with the number of its images.

The whole pipeline runs in a process of its own: reading, crops, position masks, decoding, suppression, parts
on disk, scoring. Only the network is replaced by one convolution, so that 2,000 images take half a minute:
what a network holds does not depend on images that came before.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

IMAGES = (100, 1000, 2000)

RUN = """
import json, resource, sys
from pathlib import Path

from torch import nn

from crowdbench import evaluate, load_dataset
from crowdbench.method import load_method
from crowdbench_i2rnet.method import I2RNetVanilla


class OneConvolution(nn.Module):
    def __init__(self, keypoints):
        super().__init__()
        self.convolution = nn.Conv2d(3, keypoints, 4, stride=4)

    def forward(self, images, masks, lengths, portion):
        return {"intra": None, "inter": self.convolution(images)}


class Quick(I2RNetVanilla):
    def network(self):
        return OneConvolution(self.keypoints.count)


if __name__ == "__main__":
    root, out, images = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    dataset = load_dataset("synthcrowd", root=root)
    published = Quick.published_settings("crowdpose", dataset.keypoints)
    method = Quick(dataset.keypoints, published, "quick")
    # Without workers: all that is needed is in this process.
    run = evaluate(method, dataset, weights="none", out=out, limit=images, workers=0, device="cpu")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_mib": peak, **run.record.timings, **run.record.counts}))
"""


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("data") / "crowd"
    command = [sys.executable, "-m", "crowdbench", "data", "synth", str(folder), "--images", str(max(IMAGES))]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def measured(folder: Path, crowd: Path, images: int) -> dict[str, float]:
    script = folder / "run.py"
    script.write_text(RUN)
    command = [sys.executable, str(script), str(crowd), str(folder / str(images)), str(images)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def test_memory_does_not_grow_with_the_number_of_images(benchmark: Any, tmp_path: Path, crowd: Path) -> None:
    found = [measured(tmp_path, crowd, images) for images in IMAGES]
    assert tuple(run["images"] for run in found) == IMAGES
    assert found[2]["predictions"] > 15 * found[0]["predictions"]
    few, half, many = (run["peak_mib"] for run in found)
    benchmark.pedantic(lambda: None, rounds=1)  # memory is what is measured here
    benchmark.extra_info.update(
        peak_mib_100_images=few, peak_mib_1000_images=half, peak_mib_2000_images=many, ratio=many / few
    )
    # Nothing is kept of an image (its crops and heatmaps are 1.5 MB a person) but its annotations, and at the
    # end, for scoring, its predictions. The first hundred images, among them few of the most crowded, do not
    # make the allocator take its share.
    assert many / half < 1.15
    assert many / few < 1.25
