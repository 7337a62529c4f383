"""Trains the toy as a process of its own: ``python train_in_subprocess.py OUT [JSON with more arguments]``."""

import json
import sys
from typing import Any

from crowdbench import load_dataset
from crowdbench.api.settings import override
from crowdbench.errors import CrowdbenchError
from crowdbench.training import train
from support.methods.trainable import TrainableToy


def main(out: str, options: dict[str, Any]) -> None:
    root = options.pop("root")
    dataset = load_dataset("synthcrowd", split="train", root=f"{root}/train")
    published = TrainableToy.published_recipe("synthcrowd", dataset.keypoints)
    recipe = override(published, options.pop("recipe", {}), of="the toy")
    validated = options.pop("validated", True)
    run = train(
        TrainableToy(dataset.keypoints, TrainableToy.Settings(), "toy"),
        dataset,
        validation=load_dataset("synthcrowd", split="val", root=f"{root}/val") if validated else None,
        recipe=recipe,
        out=out,
        command=["train_toy"],
        **{"workers": 0, "device": "cpu", **options},
    )
    sys.stdout.write(f"{run.directory}\n")


if __name__ == "__main__":
    try:
        main(sys.argv[1], json.loads(sys.argv[2]))
    except CrowdbenchError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(error.exit_status)
