"""What it costs to know what made a run: commands with digests of code and images, and without.

The method does nothing with an image but read it: of a run with a network the digests are a smaller part. The
two commands are given in turn; what is compared is the least time of the processor that each took.
"""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from odd_plugins import NETWORK, install, with_hook
from ratios import measured

ROUNDS = 3
PROMISED = 1 / 1.05
READS = "def prepare(self, sample, rng=None):\n    sample.read()\n    return sample.boxes_xywh"
WITH = "import sys; from crowdbench.cli import main; main(sys.argv[1:])"
WITHOUT = f"""
from crowdbench import evaluation, provenance
evaluation.code_used = provenance.code_used = lambda method, dataset: {{}}
evaluation.with_commits = lambda record, code: record
provenance.digest_of_images = lambda dataset, count: ""
{WITH}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a method is installed that reads images."""
    folder = tmp_path_factory.mktemp("site")
    install(folder, "odd_reader", with_hook(NETWORK, READS))
    return folder


def seconds(program: str, site: Path, out: Path) -> float:
    """Of a processor, for a run of the 200 images of synthcrowd's test split."""
    command = [
        sys.executable,
        "-c",
        program,
        "run",
        "odd",
        "synthcrowd",
        "--weights",
        "none",
        "--workers",
        "0",
        "--out",
        str(out),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(site)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@pytest.mark.parametrize("kind", ["finished", pytest.param("200 images", marks=pytest.mark.slow)])
def test_digests_cost_a_twentieth(benchmark: Any, site: Path, tmp_path: Path, kind: str) -> None:
    taken: dict[str, list[float]] = {WITH: [], WITHOUT: []}
    for program in taken:  # the first time images are drawn, and digests computed
        seconds(program, site, tmp_path / str(len(program)))

    def both() -> tuple[float, float]:
        for _ in range(ROUNDS):
            for program, times in taken.items():
                out = tmp_path / str(len(program))
                if kind != "finished":
                    shutil.rmtree(out)
                times.append(seconds(program, site, out))
        return min(taken[WITHOUT]), min(taken[WITH])

    found = measured(both, PROMISED)
    benchmark.pedantic(seconds, args=(WITH, site, tmp_path / str(len(WITH))), rounds=1)
    benchmark.extra_info.update(with_digests_s=found.ours_s, without_s=found.baseline_s, ratio=found.times)
    assert found.times >= PROMISED
