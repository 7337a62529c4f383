"""Make the compact golden numbers of this folder from the whole ones: README.md says what is kept, and why.

python tests/data/make_compact_goldens.py REFERENCE [TARGET], where REFERENCE is the folder of the whole files
(`cases` is beside it).
"""

import gzip
import json
import shutil
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent), str(HERE)]

import scoring_sets  # noqa: E402  (beside this file)

KEPT = 160  # values of a large array
ONE_SIZE = ("forward_coco", "forward_ochuman")  # of these, PINet at the smaller input size only
COPIED = ("i2rnet/sine_table_64x48_96.npz", "i2rnet/collate_nearest.json")
CASES = (
    *(f"05-corner-boxes/{name}" for name in ("sc/json/synthcrowd_test.json", "xyxy.json", "norm.json")),
    *(
        "bad-input-14/H-deep-array/s.toml",
        "bad-input-16/H-name-escape/s.toml",
        "bad-input-17/F-meta-tensors/w.pth",
    ),
    *("bad-input-18/H-grid-product/s.toml", "bad-input-23/README"),
)


def sampled(name: str, array: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Some values of an array, chosen by its name, and its mean and norm."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    positions = np.sort(rng.choice(array.size, min(KEPT, array.size), replace=False)).astype(np.int32)
    whole = array.astype(np.float64)
    return {
        f"{name}@positions": positions,
        f"{name}@values": array.ravel()[positions],
        f"{name}@shape": np.array(array.shape),
        f"{name}@mean": whole.mean(),
        f"{name}@norm": np.linalg.norm(whole),
    }


def compact_arrays(
    source: Path,
    target: Path,
    sample: Callable[[str], bool],
    without_ends: tuple[str, ...] = (),
    without_starts: tuple[str, ...] = (),
) -> None:
    """Write the arrays of a file, without some of them, and of the sampled ones some values."""
    kept: dict[str, Any] = {}
    with np.load(source) as file:
        for name in file.files:
            if not name.endswith(without_ends) and not name.startswith(without_starts):
                kept |= sampled(name, file[name]) if sample(name) else {name: file[name]}
    np.savez_compressed(target, **kept)


def write_json(content: Any, target: Path) -> None:
    """As JSON, compressed if it is called so."""
    text = json.dumps(content, separators=(",", ":")).encode()
    target.write_bytes(gzip.compress(text, mtime=0) if target.suffix == ".gz" else text)


def rounded(content: Any) -> Any:
    """Numbers to nine digits, which no test can tell from the measured ones."""
    match content:
        case float():
            return float(f"{content:.9g}")
        case list():
            return [rounded(entry) for entry in content]
        case dict():
            return {key: rounded(value) for key, value in content.items()}
    return content


def i2rnet(source: Path, target: Path) -> None:
    """Networks, training steps, loss, decoding, and post-processing of I2R-Net."""
    maps = ("single", "multi")
    for path in sorted(source.glob("forward_*.npz")):
        compact_arrays(path, target / path.name, lambda name: name.startswith(maps) and "name" not in name)
    stats = json.loads((source / "forward_stats.json").read_text())
    write_json(
        {name: {"config": facts["config"]} for name, facts in stats.items()}, target / "forward_stats.json"
    )
    for path in sorted(source.glob("trainstep_*.json")):
        write_json(rounded(json.loads(path.read_text())), target / f"{path.name}.gz")
    write_json(json.loads((source / "manifest.json").read_text()), target / "manifest.json.gz")
    compact_arrays(
        source / "loss_14_64x48.npz", target / "loss_14_64x48.npz", lambda name: name.startswith("grad_")
    )
    for path in sorted(source.glob("decode_*.npz")):
        decoded(path, target / path.name)
    for path in sorted(source.glob("postprocess_*_*.json")):
        content = json.loads(path.read_text())
        del content["outputs"]["soft_oks_nms"]
        write_json(content, target / f"{path.name}.gz")
    write_json(json.loads((source / "postprocess_ties.json").read_text()), target / "postprocess_ties.json")


def decoded(source: Path, target: Path) -> None:
    """Of four persons whose heatmaps are decoded those with peaks at borders, or without a peak."""
    kept: dict[str, Any] = {}
    with np.load(source) as file:
        for name in file.files:
            array = file[name][[1, 2]] if len(np.atleast_1d(file[name])) == 4 else file[name]
            kept |= sampled(name, array) if name.endswith("_sub") else {name: array}
    np.savez_compressed(target, **kept)


def pinet(source: Path, target: Path) -> None:
    """Networks, targets, losses, training steps, and post-processing of PINet."""
    maps = (
        *("features", "heatmap", "detkptmap", "offset", "heatmap_avg", "refine", "ppg_pose", "poses"),
        *(
            "fused_pose",
            "step.heatmap",
            "step.offset",
            "step.partmap",
            "step.refined",
            "backbone.conv1.weight",
        ),
    )
    for path in sorted(source.glob("forward_*.npz")):
        left_out = ("512",) if path.stem in ONE_SIZE else ()
        compact_arrays(
            path, target / path.name, lambda name: name.endswith(maps), (".score", ".pose"), left_out
        )
    compact_arrays(
        source / "targets_loss.npz",
        target / "targets_loss.npz",
        lambda name: "step." in name and name.endswith(maps),
        without_starts=("real/",),  # of photographs
    )
    for name, only in (
        ("forward_meta.json", None),
        ("manifest.json.gz", None),
        ("postprocess.json.gz", ("opencv", "sigmas_times_10", "nms", "rescoring", "multiscale", "decode")),
        ("pipeline.json.gz", ("sizes",)),
        ("targets_loss.json", ("synthetic",)),
    ):
        content = json.loads((source / name.removesuffix(".gz")).read_text())
        write_json({key: content[key] for key in only or content}, target / name)


def cases(source: Path, target: Path) -> None:
    """Inputs that went wrong once, of those that are drawn or written by hand."""
    for name in CASES:
        content = (source / name).read_bytes()
        path = target / f"{name}.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content, mtime=0))


def make(reference: Path, target: Path) -> None:
    """Write all compact files."""
    for folder in ("i2rnet", "pinet", "metrics"):
        (target / folder).mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copyfile(reference / name, target / name)
    rows = yaml.safe_load((reference / "published.yaml").read_text())
    write_json(rows, target / "published.yaml.gz")  # JSON is YAML
    i2rnet(reference / "i2rnet", target / "i2rnet")
    pinet(reference / "pinet", target / "pinet")
    cases(reference.parent / "cases", target / "cases")
    scoring_sets.make(reference, target / "metrics", write_json)


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else HERE)
