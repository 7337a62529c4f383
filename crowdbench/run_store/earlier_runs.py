"""Explain why a run is computed again: how it differs from an existing one."""

import msgspec

from crowdbench.errors import DataError
from crowdbench.run_store.record import Record
from crowdbench.run_store.run import Run

_MOST = 200  # runs that are looked at, the latest


def said_of_earlier(run: Run) -> str | None:
    """In a line, how a run that begins differs from an earlier one that was asked for in the same words.

    Args:
        run: that begins; others of its method on its split lie beside it.

    Returns:
        None if there is no such run.
    """
    try:
        folders = [place for place in run.directory.parent.iterdir() if place.name != run.directory.name]
        folders = sorted(folders, key=lambda place: place.stat().st_mtime, reverse=True)[:_MOST]
    except OSError:
        return None
    found: list[tuple[int, Record, list[str]]] = []
    for folder in folders:
        try:
            other = Run.read(folder).record
        except DataError:
            continue
        if _asked_alike(run.record, other) and (what := _differences(run.record, other)):
            found.append((len(what), other, what))
    if not found:
        return None
    _, other, what = min(found, key=lambda entry: entry[0])
    when = (other.finished or other.started).replace("T", " ")[:16]
    return (
        f"computed anew: the run {other.id} of {when} UTC ({other.state}) had other {', other '.join(what)}"
    )


def _asked_alike(one: Record, other: Record) -> bool:
    def words(record: Record) -> tuple[object, ...]:
        protocol = record.protocol
        settings = msgspec.json.decode(msgspec.json.encode(record.settings))  # JSON has no tuples
        return (
            *(settings, record.precision, record.compiled, record.batch_size, record.seed),
            *(record.device.split(":")[0], record.weights.source),
            *(protocol.images, protocol.boxes.split(":")[0]),
        )

    return words(one) == words(other)


def _differences(one: Record, other: Record) -> list[str]:
    found = []
    if not other.code:
        found.append("code, perhaps (its version kept no digest)")
    elif changed := _changed(_digests(one), _digests(other)):
        found.append(f"code ({', '.join(changed)})")
    if one.images != other.images:
        found.append("images")
    if one.protocol.annotations != other.protocol.annotations:
        found.append("annotations")
    if one.protocol.boxes != other.protocol.boxes:
        found.append("boxes")
    if one.weights.sha256 != other.weights.sha256:
        found.append("weights")
    if changed := _changed(one.versions, other.versions):
        found.append(f"versions ({', '.join(changed)})")
    if changed := _changed(one.environment, other.environment):
        found.append(f"environment ({', '.join(changed)})")
    return found


def _digests(record: Record) -> dict[str, str]:
    return {name: used.digest for name, used in record.code.items()}


def _changed(one: dict[str, str], other: dict[str, str]) -> list[str]:
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
