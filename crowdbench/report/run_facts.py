"""A run's protocol, speed and provenance as text."""

import shlex
from collections.abc import Mapping
from typing import Any

import msgspec

from crowdbench.run_store.record import Record, extent_of_run
from crowdbench.run_store.run import Run


def protocol_sentences(record: Record) -> list[str]:
    """How a run was measured, a sentence a fact."""
    protocol = record.protocol
    sentences = [
        _extent(record),
        f"Scored by {record.scored_by} against the annotations {protocol.annotations[:12]} (SHA-256).",
        _boxes(protocol.boxes),
    ]
    if protocol.keypoints is not None:
        sentences.append(
            f"Scored on the {len(protocol.keypoints)} keypoints that the dataset shares with "
            f"{protocol.made_for}, for whose keypoints the method was made: {', '.join(protocol.keypoints)}."
        )
    if protocol.flip_test is not None:
        sentences.append(
            "Flip test: the network's output for the mirrored image is averaged in."
            if protocol.flip_test
            else "No flip test."
        )
    if protocol.input_size is not None:
        height, width = protocol.input_size
        sentences.append(f"The network's input is {height}×{width} pixels (height × width).")
    if protocol.training_data is not None:
        sentences.append(
            "The weights are random: nothing was trained."
            if protocol.training_data == "none"
            else f"Trained on {protocol.training_data}."
        )
    if protocol.changed_settings:
        changed = ", ".join(f"{k} = {_json(v)}" for k, v in sorted(protocol.changed_settings.items()))
        sentences.append(f"Not as published for this dataset: {changed}.")
    if record.precision != "fp32":
        sentences.append(f"Computed in {record.precision}.")
    return [*sentences, *record.corrections]


def _extent(record: Record) -> str:
    protocol, words = record.protocol, extent_of_run(record).words
    split = f"{protocol.dataset} {protocol.split}"
    if not words:
        return f"All {protocol.images:,} images of {split}."
    return f"{words[0].upper()}{words[1:]}: the scores are not those of {split}."


def _boxes(boxes: str) -> str:
    if boxes == "gt":
        return (
            "The method uses the annotated boxes: unlike a real system, it does not have to find the persons."
        )
    if boxes == "none":
        return "The method finds the persons itself."
    if boxes.startswith("detector:"):
        digest, _, floor = boxes.removeprefix("detector:").partition(">=")
        least = f", those with a score of at least {floor}" if floor else ""
        return f"The method uses a detector's boxes (file {digest}{least})."
    return f"Source of the boxes: {boxes}."


def speed(run: Run) -> tuple[tuple[str, str], ...]:
    """What was timed, and on what."""
    record = run.record
    timings = record.timings
    # Not all that is found without boxes is a person.
    persons = timings.get("persons_per_s") if record.paradigm == "top-down" else None
    rows = [
        ("images a second", _number(timings.get("images_per_s"))),
        ("persons a second", _number(persons)),
        ("seconds", _number(timings.get("predict_s"))),
        ("processes", _number(timings.get("processes"))),
        ("batch size", str(record.batch_size)),
        ("precision", f"{record.precision}{', compiled' if record.compiled else ''}"),
        ("device", str(record.host.get("gpu", record.device))),
        ("machine", _machine(record.host)),
    ]
    return tuple((name, value) for name, value in rows if value)


def _machine(host: Mapping[str, Any]) -> str:
    cpus = host.get("cpus")
    return ", ".join(filter(None, (str(host.get("name", "")), f"{cpus} CPUs" if cpus else "")))


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def provenance(run: Run) -> tuple[tuple[str, str], ...]:
    """Everything needed to reproduce the run."""
    record = run.record
    settings = msgspec.to_builtins(record.settings)
    rows = [
        ("run", record.id),
        ("directory", str(run.directory)),
        ("state", record.state),
        ("method", f"{record.method} ({record.method_origin}), {record.paradigm}"),
        ("weights", record.weights.source),
        ("weights' SHA-256", record.weights.sha256 or ""),
        ("annotations' SHA-256", record.protocol.annotations),
        ("boxes", record.protocol.boxes),
        ("settings", ", ".join(f"{name} = {_json(value)}" for name, value in settings.items())),
        ("seed", str(record.seed)),
        ("device", record.device),
        ("machine", ", ".join(f"{name} {_plain(value)}" for name, value in record.host.items())),
        ("versions", ", ".join(f"{name} {number}" for name, number in record.versions.items())),
        ("command", shlex.join(record.command)),
        ("started", record.started),
        ("finished", record.finished or ""),
        ("counts", ", ".join(f"{count} {name}" for name, count in record.counts.items())),
    ]
    return tuple((name, value) for name, value in rows if value)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
