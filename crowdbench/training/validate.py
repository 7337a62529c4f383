"""Score a network during training; every process predicts its share of the images."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from crowdbench.engine import hooks
from crowdbench.engine.batching import default_batch_size, in_batches
from crowdbench.engine.inference import predict_batches, to_coco_results
from crowdbench.engine.samples import image_count, samples_of
from crowdbench.errors import StoppedError
from crowdbench.system.files.writing import gzipped, write_whole
from crowdbench.training.collectives import Collectives
from crowdbench.training.setup import TrainingSetup

if TYPE_CHECKING:
    from torch import Tensor, nn

MAIN_STATISTIC = "AP"


def validate(
    setup: TrainingSetup,
    network: "nn.Module",
    weights: "Mapping[str, Tensor]",
    processes: Collectives,
    file: Path,
    *,
    limit: int | None,
    stopping: Callable[[], bool],
) -> dict[str, float] | None:
    """Predict and score the validation split.

    Args:
        setup: has a validation split.
        network: it is copied, not changed.
        weights: to predict with.
        processes: share the images.
        file: where the first process writes the predictions.
        limit: use only this many images, from the start of the split.
        stopping: polled after every batch.

    Returns:
        The statistics by name, in the first process; None in the others.

    Raises:
        StoppedError: `stopping` returned true. The checkpoint before the validation is complete.
    """
    from crowdbench.scoring.score import score_files

    method, dataset, precision = setup.method, setup.validation, setup.options.precision
    assert dataset is not None
    device = processes.device
    copied = copy.deepcopy(network)  # optimizing changes modules in place
    for parameter in copied.parameters():
        parameter.requires_grad_(False)
    copied.load_state_dict(dict(weights))
    copied = copied.to(device).eval()
    fast = hooks.optimize_for_inference(method, copied, precision=precision)
    images = image_count(dataset)
    count = images if limit is None else min(limit, images)
    samples = samples_of(dataset, count)
    top_down = method.paradigm == "top-down"
    own = [s for s in samples[processes.rank :: processes.world_size] if s.instances or not top_down]
    size = default_batch_size(method.paradigm, device.type)
    batches = in_batches(own, size, method.paradigm)
    found = predict_batches(
        method,
        fast,
        batches,
        batch_size=size,
        device=device,
        precision=precision,
        workers=min(setup.options.workers, 2),
    )
    results: list[msgspec.Raw] = []
    for batch, poses in zip(batches, found, strict=True):
        if stopping():
            raise StoppedError("stopped during a validation; run the same command again to resume.")
        for sample, ps in zip(batch, poses, strict=True):
            results += to_coco_results(sample, ps, category_id=dataset.category_id)
    shares = processes.gather(msgspec.json.encode(results))
    if shares is None:
        return None
    merged = [result for share in shares for result in msgspec.json.decode(share, type=list[msgspec.Raw])]
    write_whole(file, gzipped(msgspec.json.encode(merged)))
    partial = None if count == images else [sample.image_id for sample in samples]
    return score_files(
        file, dataset.annotation_file, dataset.protocol, image_ids=partial, in_protocols_order=True
    ).values
