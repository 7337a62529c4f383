"""A run's or training's directory, ``runs/<dataset>-<split>/<method>/<id>/``, and the record in it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from crowdbench.errors import MissingDataError
from crowdbench.system.files.reading import read_json
from crowdbench.system.files.writing import write_json

R = TypeVar("R")


@dataclass(frozen=True)
class RecordFile(Generic[R]):
    """A directory and its record as last read or written.

    A subclass sets the class attributes.

    Class attributes:
        record_name: the name of the record's file.
        record_type: the type that it is decoded to.
        record_words: what messages call the file's content.
    """

    record_name: ClassVar[str]
    record_type: ClassVar[type[Any]]
    record_words: ClassVar[str]

    directory: Path
    record: R

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read a directory's record; raises MissingDataError if there is none that can be read."""
        path = directory / cls.record_name
        return cls(directory, read_json(path, cls.record_type, cls.record_words, error=MissingDataError))

    def write_record(self) -> None:
        """Replace the record's file."""
        write_json(self.directory / self.record_name, self.record)
