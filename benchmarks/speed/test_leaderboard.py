"""The leaderboard of ten thousand runs: the whole command, against a loop that reads the same files.

The loop decodes every record with Python's own JSON and does nothing else. The command also checks every
field, groups, ranks, looks for published figures, and prints ten thousand rows. Both compute in one thread
and read what was just written, so the time of the processor is what they take on a machine that does nothing
else; what else runs on this one is not measured.
"""

import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crowdbench.api.extent import Extent
from crowdbench.run_store.record import Protocol, Record, Weights
from crowdbench.run_store.run import Run

ROUNDS = 5
RUNS = 10_000
SPLITS = [("crowdpose", "test", 8000), ("coco", "val2017", 5000), ("synthcrowd", "test", 200)]
BOXES = ["gt", "none", "detector:0123456789abcdef"]
STATISTICS = ["AP", "AP50", "AP75", "AR", "AR50", "AR75", "AP_easy", "AP_medium", "AP_hard"]
PLAIN = """
import json, pathlib, sys
for path in pathlib.Path(sys.argv[1]).glob("*/*/*/run.json"):
    json.loads(path.read_bytes())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten thousand finished runs of 40 methods; records as large as real ones."""
    root = tmp_path_factory.mktemp("runs")
    first = _record()
    places = itertools.cycle(itertools.product(SPLITS, BOXES))
    for number, ((dataset, split, images), boxes) in zip(range(RUNS), places, strict=False):
        protocol = replace(first.protocol, dataset=dataset, split=split, images=images, boxes=boxes)
        ap = (number * 7919 % RUNS) / RUNS
        record = replace(
            first,
            id=f"{number:010x}",
            method=f"method-{number % 40}",
            protocol=protocol,
            extent=Extent(images, images),
            scores=dict.fromkeys(STATISTICS, ap),
        )
        directory = Run.place(root, record)
        directory.mkdir(parents=True)
        # Run.write_record waits for the disk, ten thousand times.
        (directory / "run.json").write_bytes(_encoded(record))
    return root


def _record() -> Record:
    return Record(
        id="0" * 10,
        method="method",
        method_origin="toys 1.0",
        paradigm="top-down",
        state="done",
        protocol=Protocol("", "", "a" * 64, "gt", 1, True, True, (256, 192), "crowdpose trainval"),
        settings={f"setting_{n}": n for n in range(15)},
        weights=Weights("toys/crowdpose", "b" * 64),
        precision="fp32",
        device="cuda:0",
        batch_size=64,
        seed=0,
        versions={f"package-{n}": "1.2.3" for n in range(8)},
        host={"name": "node", "system": "Linux", "cpus": 16, "threads": 8, "gpu": "NVIDIA H200"},
        command=["crowdbench", "run", "method", "crowdpose", "--root", "somewhere/on/a/disk"],
        started="2026-01-01T00:00:00+00:00",
        finished="2026-01-01T00:10:00+00:00",
        timings={"predict_s": 600.0, "processes": 1.0, "images_per_s": 13.3, "persons_per_s": 66.6},
        counts={"images": 8000, "images_predicted": 8000, "predictions": 40000},
        scored_by="hotcoco 1.3.0",
    )


def _encoded(record: Record) -> bytes:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(record), indent=2)


def _seconds(command: Sequence[str]) -> tuple[float, str]:
    """Of the processor, and what is said."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, done.stdout


def _rows(said: str) -> int:
    """How many runs were shown, as text or as JSON."""
    if said.startswith("["):
        return sum(row.get("run") is not None for table in json.loads(said) for row in table["rows"])
    return sum(line.startswith("method-") for line in said.splitlines())


@pytest.mark.parametrize("options", [(), ("--published", "--json")], ids=["text", "published-json"])
def test_ten_thousand_runs_are_ranked_in_six_times_what_decoding_takes(
    benchmark: Any, folder: Path, options: tuple[str, ...]
) -> None:
    command = [sys.executable, "-m", "crowdbench", "leaderboard", str(folder), *options]
    ours, plain = [], []
    for _ in range(ROUNDS):
        seconds, said = _seconds(command)
        assert _rows(said) == RUNS
        ours.append(seconds)
        plain.append(_seconds([sys.executable, "-c", PLAIN, str(folder)])[0])
    benchmark.pedantic(_seconds, args=(command,), rounds=1)
    ours_s, plain_s = statistics.median(ours), statistics.median(plain)
    benchmark.extra_info.update(leaderboard_s=ours_s, json_loads_s=plain_s, ratio=ours_s / plain_s)
    assert ours_s < 6 * plain_s
