"""A folder in which crowdbench is used on the development cluster, as somebody at a login node would."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Pretend GPUs: PyTorch sees none.
PROFILES = """\
[profile.slurm]
launcher = "slurm"
gpus_per_node = 2
cpus_per_gpu = 2
device = "cpu"
time = 60
"""
RUN = ("run", "hrnet-tiny", "synthcrowd", "--limit", 4)


@dataclass
class Desk:
    """Commands are given in its folder."""

    folder: Path
    environment: dict[str, str]

    def crowdbench(self, *arguments: object, timeout: float = 300) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "crowdbench", *map(str, arguments)]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def done(self, *arguments: object, timeout: float = 300) -> str:
        """The output of a command that succeeds."""
        found = self.crowdbench(*arguments, timeout=timeout)
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    def slurm(self, *command: str, timeout: float = 120) -> str:
        """The output of one of Slurm's programs."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=timeout
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def status(self, out: str = "runs") -> list[dict[str, Any]]:
        """All rows of ``crowdbench status``."""
        rows: list[dict[str, Any]] = json.loads(self.done("status", "--all", "--json", "--out", out))
        return rows

    def job(self, name: str, out: str = "runs") -> dict[str, Any]:
        """A job's row."""
        return next(row for row in self.status(out) if row["name"] == name)

    def state(self, name: str, out: str = "runs") -> dict[str, Any]:
        """What a job has written about itself."""
        content: dict[str, Any] = json.loads((self.folder / out / "jobs" / name / "state.json").read_text())
        return content

    def wait(self, name: str, out: str = "runs", timeout: float = 300) -> None:
        """Until a job is done."""
        ended = self.crowdbench("wait", name, "--out", out, timeout=timeout)
        if ended.returncode != 0:
            said = self.crowdbench("logs", name, "--out", out)
            raise AssertionError(f"{ended.stdout}{ended.stderr}\n{said.stdout[-4000:]}{said.stderr}")

    def submitted(self, *arguments: object) -> dict[str, Any]:
        """Give a command whose job is handed over; what it prints."""
        row: dict[str, Any] = json.loads(self.done(*arguments, "--json"))
        return row


def until(holds: Callable[[], object], seconds: float = 120, pause: float = 0.2) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(pause)


def add_profile(desk: Desk, name: str, **options: object) -> str:
    """Like the profile that works, but for these options."""
    path = desk.folder / "config" / "crowdbench" / "profiles.toml"
    values = {"launcher": "slurm", "gpus_per_node": 2, "cpus_per_gpu": 2, "device": "cpu", **options}
    lines = [f"{option} = {json.dumps(value)}" for option, value in values.items()]
    path.write_text("\n".join([path.read_text(), f"[profile.{name}]", *lines, ""]))
    return name


def lost(desk: Desk, out: str, *arguments: object) -> dict[str, str]:
    """The row of a job that was handed over, and came to nothing."""
    name = desk.submitted(*RUN, "--out", out, *arguments)["name"]
    waited = desk.crowdbench("wait", name, "--out", out)
    assert waited.returncode == 1
    row = desk.job(name, out)
    assert row["reason"] in waited.stdout
    assert "\n" not in row["reason"]
    return row
