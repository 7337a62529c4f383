"""Files that an earlier version of crowdbench left, at a place where commands can work on them."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEPT = Path(__file__).resolve().parents[2] / "compatibility" / "earlier"


@dataclass(frozen=True)
class Desk:
    """A folder to which the files of the earlier version were moved, and the environment to use them in."""

    folder: Path
    environment: dict[str, str]

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def queue(self) -> Path:
        return self.folder / "queue"

    def crowdbench(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        done = self.python("-m", "crowdbench", *arguments)
        assert done.returncode == 0, done.stderr
        return done

    def json(self, *arguments: object) -> Any:
        return json.loads(self.crowdbench(*arguments, "--json").stdout)

    def python(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def states(self) -> dict[str, str]:
        return {row["name"]: row["state"] for row in self.json("status", "--all")}

    def submitted(self) -> set[str]:
        return {path.name for path in self.queue.iterdir() if path.name.isdigit()}
