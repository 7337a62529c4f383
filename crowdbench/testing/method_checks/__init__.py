"""The checks of a method, grouped by topic."""

from crowdbench.testing.method_checks import boxes, independence, inputs, network, processes, training
from crowdbench.testing.method_checks import coordinates as space

METHOD_CHECKS = (
    *inputs.FIRST,
    *space.CHECKS,
    *boxes.CHECKS,
    *independence.CHECKS,
    *inputs.CHECKS,
    *processes.CHECKS,
    *network.CHECKS,
    *training.CHECKS,
)
