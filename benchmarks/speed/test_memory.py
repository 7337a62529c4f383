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
import json, re, sys
from pathlib import Path

from torch import nn

from crowdbench import evaluate, load_dataset
from crowdbench_i2rnet.method import I2RNetVanilla


class OneConvolution(nn.Module):
    def __init__(self, keypoints):
        super().__init__()
        self.convolution = nn.Conv2d(3, keypoints, 4, stride=4)

    def forward(self, images, masks, lengths, portion):
        return {"intra": None, "inter": self.convolution(images)}


class Quick(I2RNetVanilla):
    def build_network(self):
        return OneConvolution(self.keypoints.count)


def peak():
    # Not getrusage: its peak includes that of the process that started this one.
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


if __name__ == "__main__":
    root, out, images = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    dataset = load_dataset("synthcrowd", root=root)
    published = Quick.settings_for("crowdpose")
    method = Quick(dataset.keypoints, published, "quick")
    peaks = []
    run = evaluate(
        method, dataset, weights="none", out=out, limit=images, device="cpu",
        workers=0,  # all that is needed is in this process
        on_progress=lambda _: peaks.append(peak()),
    )
    print(json.dumps({"predicting_mib": peaks[-1], "peak_mib": peak(), **run.record.counts}))
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
    few, _, many = (run["predicting_mib"] for run in found)
    persons = found[2]["predictions"] - found[0]["predictions"]
    kib_a_person = 1024 * (found[2]["peak_mib"] - found[0]["peak_mib"]) / persons
    benchmark.pedantic(lambda: None, rounds=1)  # memory is what is measured here
    benchmark.extra_info.update(
        {
            f"{what}_{run['images']}_images": run[what]
            for run in found
            for what in ("predicting_mib", "peak_mib")
        }
    )
    benchmark.extra_info.update(ratio=many / few, kib_a_person_at_the_end=kib_a_person)
    # Nothing is kept of an image (its crops and heatmaps are 1.5 MiB a person) but its annotations.
    assert many / few < 1.25
    # At the end all predictions are read, to be scored.
    assert kib_a_person < 15
