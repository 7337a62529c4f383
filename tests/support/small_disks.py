"""A file system of a test's own, which can be made smaller and read-only. Needs a system that may mount."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from support.requirements import everything_is_required

PAGE = 4096
AMPLE = 64 << 20
# What is written with the time of day or how long something took.
OF_THIS_TIME = re.compile(
    r"run\.json|training\.json|scores\.json|.*\.jsonl|log\.txt|step-\d+\.json|events\..*"
)


@dataclass
class Disk:
    """A file system that can be made smaller and read-only."""

    folder: Path

    def mount(self, size: int) -> None:
        self._mount("-t", "tmpfs", "-o", f"size={size}", "none")

    def resize(self, size: int) -> None:
        self._mount("-o", f"remount,rw,size={size}")

    def freeze(self) -> bool:
        """Let it only be read; False while something is open for writing."""
        done = subprocess.run(["mount", "-o", "remount,ro", self.folder], capture_output=True, check=False)
        return done.returncode == 0

    def _mount(self, *options: str) -> None:
        subprocess.run(["mount", *options, self.folder], check=True)

    @property
    def used(self) -> int:
        found = os.statvfs(self.folder)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def content(self) -> dict[str, str]:
        """Digests of the files by path; empty for those that tell of the time."""
        return {
            str(path.relative_to(self.folder)): ""
            if OF_THIS_TIME.fullmatch(path.name)
            else sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }

    def clear(self) -> None:
        subprocess.run(["umount", self.folder], check=True)
        self.mount(AMPLE)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    found = Disk(folder)
    try:
        found.mount(AMPLE)
    except (OSError, subprocess.CalledProcessError):
        if everything_is_required():
            raise
        pytest.skip("needs a system that lets this user mount")
    yield found
    subprocess.run(["umount", "--lazy", folder], check=True)
