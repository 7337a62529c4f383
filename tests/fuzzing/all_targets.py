"""Every target, by name."""

from fuzzing.binaries import Checkpoints, Images
from fuzzing.tables import Profiles, RunDirectories, Suites
from fuzzing.targets import Annotations, Boxes, Dataset, Predictions, Target

TARGETS: dict[str, type[Target]] = {
    target.name: target
    for target in (
        Predictions,
        Annotations,
        Dataset,
        Boxes,
        Checkpoints,
        Images,
        Suites,
        Profiles,
        RunDirectories,
    )
}
