"""The operands of a comparison: resolve them, and check that they are comparable."""

from dataclasses import dataclass, replace
from pathlib import Path

from crowdbench.errors import InputError
from crowdbench.run_store.find import is_run, run_of
from crowdbench.run_store.record import Record, comparable, extent_of_run
from crowdbench.run_store.run import Run


@dataclass(frozen=True)
class Operand:
    """A run or a results file.

    Attributes:
        path: the run's directory, or the file.
        run: the run; None for a results file.
        name: the name used in messages.
    """

    path: Path
    run: Run | None
    name: str

    @property
    def predictions(self) -> Path:
        """The results file; a run's is checked against its record."""
        return self.path if self.run is None else self.run.own_predictions()


def resolve_operand(given: str | Path, out: Path = Path("runs")) -> Operand:
    """Resolve an argument of the command line.

    Args:
        given: a results file, or anything that `crowdbench.run_store.find` resolves to one run.
        out: the directory for runs, searched for names and ids.

    Raises:
        MissingDataError: nothing was found.
        InputError: several runs match.
    """
    path = Path(given)
    if path.is_file() and not is_run(path):
        return Operand(path, None, path.name)
    run = run_of(given, out)
    return Operand(run.directory, run, run.record.method)


def require_comparable(first: Operand, second: Operand) -> None:
    """Raise InputError, naming the differences, unless two runs are comparable; results files always pass."""
    for given in (first, second):
        if given.run is not None and given.run.record.state != "done":
            raise InputError(
                f"{given.path}: the run is {given.run.record.state}, not done. Run the same command again "
                "to resume."
            )
    if first.run is None or second.run is None:
        return
    one, other = first.run.record, second.run.record
    if comparable(one.protocol) == comparable(other.protocol):
        return
    facts = ("dataset", "split", "annotations", "boxes", "images", "keypoints")
    differing = [
        f"  {fact}: {first.name} {mine}, {second.name} {theirs}"
        for fact, mine, theirs in zip(facts, _facts(one), _facts(other), strict=True)
        if mine != theirs
    ]
    raise InputError(
        "these runs cannot be compared: a difference between them would not tell which method is better.\n"
        + "\n".join(differing or ["  their protocols differ"])
        + "\nRun both on the same images, with the same boxes."
    )


def _facts(record: Record) -> tuple[str, ...]:
    protocol = record.protocol
    boxes = {"gt": "ground truth", "none": "none"}.get(protocol.boxes, protocol.boxes)
    return (
        protocol.dataset,
        protocol.split,
        f"SHA-256 {protocol.annotations[:12]}...",
        boxes,
        extent_of_run(record).words or f"all {protocol.images:,}",
        "all of the dataset's" if protocol.keypoints is None else ", ".join(protocol.keypoints),
    )


def disambiguate(first: Operand, second: Operand) -> tuple[Operand, Operand]:
    """Make the names distinct, adding a run's id or a file's path if needed."""
    if first.name != second.name:
        return first, second
    if first.path.resolve() == second.path.resolve():
        return replace(first, name=f"{first.name} (first)"), replace(second, name=f"{second.name} (second)")
    long = [
        f"{one.name} {one.run.record.id}" if one.run is not None else str(one.path) for one in (first, second)
    ]
    if long[0] == long[1]:  # the same run in two places
        long = [str(one.path) for one in (first, second)]
    return replace(first, name=long[0]), replace(second, name=long[1])
