"""The result of scoring."""

from dataclasses import dataclass, field

from crowdbench.api.extent import Extent


@dataclass(frozen=True)
class CrossCheck:
    """Agreement with a second engine.

    Attributes:
        engine, engine_version: the second engine.
        max_difference: the largest absolute difference over all statistics.
    """

    engine: str
    engine_version: str
    max_difference: float


@dataclass(frozen=True)
class Scores:
    """The statistics of a results file.

    Attributes:
        values: statistic by name in the protocol's order, in [0, 1], or -1 where there is no person to find.
            Full precision, except that the AP of a crowding split is rounded to four decimals, as by the
            official tool.
        protocol: the scoring protocol's name.
        engine, engine_version: the engine that computed them.
        counts: images, persons (those that count), predictions.
        warnings: what is valid but probably a mistake.
        unrounded: the statistics that `values` has rounded, in full precision; without those that the engine
            itself rounds.
        cross_check: agreement with a second engine, if requested.
        split: the dataset and the split; empty where only files are known.
        extent: how much of the published split was measured; None where only files are known.
        doubts: the warnings that put the statistics themselves in doubt.
    """

    values: dict[str, float]
    protocol: str
    engine: str
    engine_version: str
    counts: dict[str, int]
    warnings: tuple[str, ...] = ()
    unrounded: dict[str, float] = field(default_factory=dict)
    cross_check: CrossCheck | None = None
    split: str = ""
    extent: Extent | None = None
    doubts: tuple[str, ...] = ()
