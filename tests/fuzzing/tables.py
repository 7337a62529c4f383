"""Suites, profiles and run directories."""

import contextlib
import hashlib
import io
import json
import random
from pathlib import Path
from typing import Any

import msgspec
from support.runs.fake_runs import make_run

from crowdbench.cli import main
from crowdbench.jobs import profiles
from crowdbench.run_store.record import Written
from crowdbench.suites.suite import read_suite
from crowdbench.system.files.writing import gzipped
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
    """A folder of two runs; one file of one of them is damaged, and commands show both."""

    name = "runs"
    commands = (["leaderboard"], ["leaderboard", "--format", "csv"], ["status", "--out"])

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.runs = folder / "runs"
        self.good = make_run(self.runs, 1, 0.5)
        self.predictions = gzipped(
            encoded(documents.predictions(documents.annotations(random.Random(1)), self.rng))
        )
        written = Written(hashlib.sha256(self.predictions).hexdigest(), len(self.predictions))
        self.bad = make_run(self.runs, 2, 0.4, predictions=written, finished="2026-01-01T01:00:00+00:00")
        self.record = json.loads((self.bad.directory / "run.json").read_bytes())
        self.scores = {"values": {"AP": 0.4}, "engine": "hotcoco", "engine_version": "1"}
        self.interval = {
            "AP": 0.4,
            "low": 0.3,
            "high": 0.5,
            "level": 0.95,
            "resamples": 9,
            "seed": 0,
            "predictions": "0",
        }
        self.damaged = "run.json"

    @property
    def file(self) -> Path:
        return self.bad.directory / self.damaged

    def damage(self, rng: random.Random) -> None:
        self.rng = rng
        sound = {
            "run.json": encoded(self.record),
            "predictions.json.gz": self.predictions,
            "scores.json": encoded(self.scores),
            "interval.json": encoded(self.interval),
        }
        self.damaged = rng.choice(("run.json", "run.json", "run.json", *sound))
        for name, content in sound.items():
            (self.bad.directory / name).write_bytes(content)
        if self.damaged == "predictions.json.gz":
            self.file.write_bytes(raw_bytes.mutated(self.predictions, rng))
        else:
            self._write(self.file, json.loads(sound[self.damaged]), rng)

    def attempt(self) -> str:
        arguments = self.rng.choice(self.commands)
        status, said = command([*arguments, str(self.runs)])
        if status != 0:
            raise WrongOutcome(f"exit status {status}: {said[-300:]}")
        if arguments[0] == "status":
            return "right"
        if "50.0" not in said:
            raise WrongOutcome("the sound run is not shown")
        if (
            self.damaged == "predictions.json.gz"
            and self.file.read_bytes() != self.predictions
            and "40.0" in said
        ):
            raise WrongOutcome("the AP of other predictions is shown")
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
