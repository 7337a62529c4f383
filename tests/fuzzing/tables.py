"""Suites, profiles and run directories."""

import contextlib
import io
import json
import random
from pathlib import Path
from typing import Any

import msgspec
from made_runs import make_run

from crowdbench import profiles
from crowdbench.cli import main
from crowdbench.suites import read_suite
from fuzzing import documents, json_trees, raw_bytes
from fuzzing.targets import Target, WrongOutcome, encoded


class Toml(Target):
    """A TOML file: its values, its lines, its bytes."""

    text = ""

    @property
    def file(self) -> Path:
        return self.folder / "crowdbench.toml"

    def damage(self, rng: random.Random) -> None:
        self.file.write_bytes(_damaged_toml(self.text, rng))


def _damaged_toml(text: str, rng: random.Random) -> bytes:
    kind = rng.randrange(3)
    if kind == 0:
        return raw_bytes.mutated(text.encode(), rng)
    if kind == 1:
        tree = json_trees.mutated(msgspec.toml.decode(text), rng)
        try:
            return bytes(msgspec.toml.encode(tree))
        except Exception:  # not everything that JSON can say can be said in TOML
            return raw_bytes.mutated(text.encode(), rng)
    lines = text.splitlines()
    for _ in range(rng.choice((1, 2, 4))):
        position = rng.randrange(len(lines))
        change = rng.randrange(4)
        if change == 0:
            del lines[position]
        elif change == 1:
            lines.insert(position, lines[rng.randrange(len(lines))])
        elif change == 2:
            key = lines[position].partition("=")[0]
            lines[position] = (
                f"{key} = {rng.choice((*map(repr, json_trees.NUMBERS), 'inf', '[]', '[[[]]]', 'true', '1979-05-27'))}"
            )
        else:
            lines[position] = lines[position].replace('"', "'" if rng.random() < 0.5 else "")
    return "\n".join(lines).encode("utf-8", "surrogatepass")


class Suites(Toml):
    """A suite's file."""

    name = "suites"
    text = documents.SUITE

    def attempt(self) -> str:
        suite = read_suite(self.file)
        if not 0 < len(suite.all_runs) < 1_000_000:
            raise WrongOutcome(f"{len(suite.all_runs)} runs")
        return "right"


class Profiles(Toml):
    """A file of profiles."""

    name = "profiles"
    text = documents.PROFILES

    def attempt(self) -> str:
        with contextlib.chdir(self.folder):
            profiles.find_profile("lab")
        return "right"


class RunDirectories(Target):
    """A folder of runs, one file of which is damaged, shown as a table."""

    name = "runs"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.runs = folder / "runs"
        self.good = make_run(self.runs, 1, 0.5)
        self.bad = make_run(self.runs, 2, 0.4)
        self.record = json.loads((self.bad.directory / "run.json").read_bytes())

    @property
    def file(self) -> Path:
        return self.bad.directory / "run.json"

    def damage(self, rng: random.Random) -> None:
        if rng.random() < 0.7:
            self.file.write_bytes(encoded(json_trees.mutated(self.record, rng)))
        else:
            self.file.write_bytes(raw_bytes.mutated(encoded(self.record), rng))

    def attempt(self) -> str:
        status, said = command(["leaderboard", str(self.runs)])
        if status not in (0, 1, 2):
            raise WrongOutcome(f"exit status {status}")
        if status == 0 and "50.0" not in said:
            raise WrongOutcome("the sound run is not shown")
        return "right"


def command(arguments: list[str]) -> tuple[Any, str]:
    """Give a command in this process; exit status and what it said."""
    said = io.StringIO()
    status: Any = None
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main(arguments)
        except SystemExit as ended:
            status = ended.code or 0
    text = said.getvalue()
    if "Traceback" in text:
        raise WrongOutcome("a traceback is shown")
    odd = sorted({c for c in text if not c.isprintable() and c != "\n"})
    if odd:
        raise WrongOutcome(f"{odd} reach the terminal")
    return status, text
