"""The plainest way, timed in a process of its own: with the memory allocator as any script finds it.

python plainest.py network METHOD WEIGHTS HEATMAPS: all persons of a batch at once; writes the heatmaps.
python plainest.py images METHOD WEIGHTS COUNT: images on disk to poses, one after the other.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import torch
from support.reference import top_down as plain_path
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from crowdbench import load_dataset
from crowdbench.api.load_method import load_method
from crowdbench.api.method import NetworkMethod

IMAGES, PERSONS = 16, 4
SIZE = (256, 192)
REPEATS = 2


def timed_alone(what: str, name: str, weights: Path, more: str) -> tuple[float, int]:
    """Run this file.

    Returns:
        Seconds, and persons.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, __file__, what, name, str(weights), more]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    seconds, persons = json.loads(done.stdout)
    return seconds, persons


def inputs() -> tuple[Tensor, Tensor, list[int]]:
    """A batch: crops, position masks, and the number of persons of each image."""
    generator = torch.Generator().manual_seed(0)
    persons = IMAGES * PERSONS
    crops = torch.randn(persons, 3, *SIZE, generator=generator)
    masks = torch.zeros(persons, 1, *SIZE)
    masks[:, :, 60:180, 40:120] = 1
    return crops, masks, [PERSONS] * IMAGES


def _time_network(network: nn.Module, heatmaps_file: str) -> tuple[float, int]:
    batch = inputs()
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH):
            heatmaps = network(*batch, portion=10**6)["inter"]
        best = min(best, time.perf_counter() - start)
    torch.save(heatmaps, heatmaps_file)
    return best, len(heatmaps)


def _time_images(network: nn.Module, count: str) -> tuple[float, int]:
    dataset = load_dataset("synthcrowd")
    pictures = plain_path.pictures(dataset[0].path.parent, dataset.annotation_file, None, areas=False)
    persons = 0
    start = time.perf_counter()
    for _, picture in zip(range(int(count)), pictures, strict=False):
        maps = plain_path.heatmaps(network, picture, SIZE, plain_path.CROWDPOSE)
        plain_path.poses(picture, maps, SIZE, plain_path.CROWDPOSE)
        persons += len(picture.persons)
    return time.perf_counter() - start, persons


def _main(what: str, name: str, weights: str, more: str) -> None:
    method = load_method(name, "crowdpose")
    assert isinstance(method, NetworkMethod)
    network = method.build_network().eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    json.dump({"network": _time_network, "images": _time_images}[what](network, more), sys.stdout)


if __name__ == "__main__":
    _main(*sys.argv[1:])
