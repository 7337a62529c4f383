"""Published results of papers and model zoos, each with its source.

Packages ship them in ``published.yaml`` (see `crowdbench.plugins`), a list of rows with the fields of
`PublishedResult`. Unknown fields and wrong types are errors.
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from crowdbench.errors import PluginError
from crowdbench.plugins import Percent, Positive, Text, read_package_data
from crowdbench.system.files.reading import read_yaml

FILE = "published.yaml"

BoxProtocol = Literal[
    "gt-box", "detector", "bottom-up", "single-stage", "bu-conditioned", "iterative-loop", "unstated"
]
Year = Annotated[int, msgspec.Meta(ge=2000, le=2100)]


class PublishedResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of a published table. None means that the source does not state the value.

    Attributes:
        dataset: as `crowdbench datasets` lists it.
        split: of the dataset, or ``"disputed (val|test)"`` where sources contradict each other.
        method: as the source calls it.
        protocol: where the persons come from at test time; only equal ones compare.
        source: ``repository:path``, or a URL, in which the figures were read.
        year: of the method's publication.
        name: the installed method that is the same network, as `crowdbench methods` lists it.
        backbone: as the source calls it.
        input: height and width, ``"256x192"``, or the one number that the source gives.
        detector: the boxes' origin under the protocol ``detector``.
        train: training data.
        tta: what was averaged at test time: ``"flip"``, ``"none"``, ...
        note: what else a reader must know before quoting the row.
        ap, ap50, ap75, apm, apl, ap_easy, ap_medium, ap_hard, ar: in percent.
        params_m: parameters, in millions.
        gflops: as printed; most sources print multiply-adds.
    """

    dataset: Text
    split: Text
    method: Text
    protocol: BoxProtocol
    source: Text
    year: Year
    name: Text | None = None
    backbone: Text | None = None
    input: Text | None = None
    detector: Text | None = None
    train: Text | None = None
    tta: Text | None = None
    note: Text | None = None
    ap: Percent | None = None
    ap50: Percent | None = None
    ap75: Percent | None = None
    apm: Percent | None = None
    apl: Percent | None = None
    ap_easy: Percent | None = None
    ap_medium: Percent | None = None
    ap_hard: Percent | None = None
    ar: Percent | None = None
    params_m: Positive | None = None
    gflops: Positive | None = None


def read_published(path: Path) -> tuple[PublishedResult, ...]:
    """Read one file of published results; raises PluginError, which says where the file is wrong."""
    return read_yaml(path, tuple[PublishedResult, ...], "a list of published results", error=PluginError)


@cache
def all_published() -> tuple[PublishedResult, ...]:
    """The rows of all installed packages whose files can be read, in the files' order."""
    tables = read_package_data(FILE, lambda file: read_published(file.path))
    return tuple(row for _, rows in tables.files for row in rows)


def published_results(
    *,
    name: str | None = None,
    dataset: str | None = None,
    split: str | None = None,
    protocol: BoxProtocol | None = None,
) -> list[PublishedResult]:
    """The rows that match all given arguments.

    Args:
        name: an installed method's name.
        dataset: a dataset's name.
        split: of the dataset, spelled as in the row.
        protocol: where the persons come from.
    """
    return [
        row
        for row in all_published()
        if (name is None or row.name == name)
        and (dataset is None or row.dataset == dataset)
        and (split is None or row.split == split)
        and (protocol is None or row.protocol == protocol)
    ]
