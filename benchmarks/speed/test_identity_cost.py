"""What it costs to know what made a run: the part of a command that computes digests of code and images.

The method does nothing with an image but read it: of a run with a network the digests are a smaller part. The
part and the whole are times of the processor in the same process, so that a busy machine slows both.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.methods.faulty_plugins import NETWORK, install, with_hook

ROUNDS = 3
READS = "def prepare(self, sample, rng=None):\n    sample.read()\n    return sample.boxes_xywh"
PROGRAM = """
import atexit, json, resource, sys
from crowdbench.evaluation import evaluate as evaluation, finish, provenance
from crowdbench.cli import main

spent = calls = 0

def processor():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)

def timed(function):
    def call(*arguments):
        global spent, calls
        begun = processor()
        try:
            return function(*arguments)
        finally:
            spent, calls = spent + processor() - begun, calls + 1
    return call

evaluation.code_used = timed(evaluation.code_used)
evaluation.with_commits = timed(evaluation.with_commits)
finish.said_of_changed_code = timed(finish.said_of_changed_code)
provenance.digest_of_images = timed(provenance.digest_of_images)
atexit.register(lambda: print(json.dumps([spent, processor(), calls]), file=open(sys.argv[1], "w")))
main(sys.argv[2:])
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a method is installed that reads images."""
    folder = tmp_path_factory.mktemp("site")
    install(folder, "odd_reader", with_hook(NETWORK, READS))
    return folder


def seconds(site: Path, folder: Path) -> tuple[float, float, int]:
    """Of the processor, for digests and in all, on 200 images; and how often digests were asked for."""
    run = ["run", "odd", "synthcrowd", "--weights", "none", "--workers", "0", "--out", str(folder / "runs")]
    command = [sys.executable, "-c", PROGRAM, str(folder / "spent.json"), *run]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(site)}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    spent, whole, calls = json.loads((folder / "spent.json").read_text())
    return spent, whole, calls


@pytest.mark.parametrize(("kind", "asked"), [("finished", 2), ("200 images", 4)])
def test_digests_cost_a_twentieth(benchmark: Any, site: Path, tmp_path: Path, kind: str, asked: int) -> None:
    seconds(site, tmp_path)  # the first time images are drawn, and all digests computed
    taken = []
    for _ in range(ROUNDS):
        if kind != "finished":
            shutil.rmtree(tmp_path / "runs")
        spent, whole, calls = seconds(site, tmp_path)
        assert calls == asked
        taken.append((whole / (whole - spent), spent, whole))
    benchmark.pedantic(seconds, args=(site, tmp_path), rounds=1)
    ratio, spent, whole = sorted(taken)[ROUNDS // 2]
    benchmark.extra_info.update(digests_s=spent, whole_s=whole, ratio=ratio)
    assert ratio < 1.05
