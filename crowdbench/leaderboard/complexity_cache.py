"""The size and the cost of a run's network, kept beside the run.

Counting takes a pass through the network, which is no business of a table: ``complexity.json`` is written
once, on request, and read from then on.
"""

import logging
from functools import cache
from typing import Literal

import msgspec

from crowdbench.errors import CrowdbenchError, DataError, MachineError
from crowdbench.run_store.run import Run
from crowdbench.system.files.reading import read_json
from crowdbench.system.files.writing import write_whole
from crowdbench.system.text import plain

log = logging.getLogger("crowdbench")
FILE = "complexity.json"


class StoredComplexity(msgspec.Struct, frozen=True):
    """What of `crowdbench.engine.complexity.Complexity` is kept.

    Attributes:
        parameters: all of them.
        flops: of one pass without flip test; 2 per multiply-add.
        per: what the pass was over.
    """

    parameters: int
    flops: int
    per: Literal["person", "image"]


def stored_complexity(run: Run, *, compute: bool = False) -> StoredComplexity | None:
    """What is known of a run's network.

    Args:
        run: whose.
        compute: count it if it is not known, and keep it.

    Returns:
        None if it is not known, if the method has no network that could be counted, or if the method is not
        installed here as it was.
    """
    path = run.directory / FILE
    if path.exists():
        try:
            return read_json(path, StoredComplexity, "what a network costs")
        except DataError as error:
            log.warning("%s", plain(f"passed over: {error}"))
    if not compute:
        return None
    record = run.record
    try:
        found = _counted(
            record.method,
            record.protocol.made_for or record.protocol.dataset,
            msgspec.json.encode(record.settings),
        )
    except CrowdbenchError as error:
        reason = str(error).splitlines()[0]
        log.warning("%s", plain(f"{run.directory}: its network cannot be counted here: {reason}"))
        return None
    if found is not None:
        try:
            write_whole(path, msgspec.json.encode(found) + b"\n")
        except MachineError as error:
            log.warning("%s", plain(f"not kept: {error}"))
    return found


@cache
def _counted(method: str, dataset: str, settings: bytes) -> StoredComplexity | None:
    """Count once for all runs of one network."""
    from crowdbench.api.load_method import load_method
    from crowdbench.api.method import NetworkMethod
    from crowdbench.engine.complexity import complexity

    loaded = load_method(method, dataset, **msgspec.json.decode(settings))
    if not isinstance(loaded, NetworkMethod):
        return None
    found = complexity(loaded)
    return StoredComplexity(found.parameters, found.flops, found.per)
