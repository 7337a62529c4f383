"""Run directories to be analysed, made of predictions with golden numbers."""

import dataclasses
import gzip
import shutil
from pathlib import Path

from crowdbench.run_store.record import Protocol, Record, Weights
from crowdbench.run_store.run import Run
from crowdbench.system.files.digests import file_digest


def crowdpose_root(folder: Path, goldens: Path, truth: str = "crowdpose_val_small_gt.json") -> Path:
    """A dataset folder with a small CrowdPose validation split."""
    place = folder / "data" / "crowdpose" / "json" / "crowdpose_val.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(goldens / "metrics" / truth, place)
    return folder / "data" / "crowdpose"


def made_run(
    folder: Path,
    root: Path,
    predictions: Path,
    *,
    method: str = "somebody",
    number: int = 1,
    state: str = "done",
    images: int | None = None,
) -> Run:
    """A run on the split of `crowdpose_root`, as if a method had made these predictions."""
    annotations = file_digest(root / "json" / "crowdpose_val.json")
    protocol = Protocol("crowdpose", "val", annotations, "gt", images or 200, images is None)
    record = Record(
        id=f"{number:010x}",
        method=method,
        method_origin="toys 1.0",
        paradigm="top-down",
        state="running",
        protocol=protocol,
        settings={},
        weights=Weights("none"),
        precision="fp32",
        device="cpu",
        batch_size=8,
        seed=0,
        versions={},
        host={},
        command=[],
        started="2026-01-01T00:00:00+00:00",
    )
    run = Run(Run.place(folder / "runs", record), dataclasses.replace(record, state=state))  # type: ignore[arg-type]
    run.write_record()
    run.predictions_file.write_bytes(gzip.compress(predictions.read_bytes()))
    return run
