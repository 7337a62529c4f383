"""Standard streams that are closed, full, gone or of a poor encoding: no trace, and the right exit status."""

import os
import subprocess
import sys

import pytest

COMMAND = f"{sys.executable} -m crowdbench"
FULL = "standard output cannot be written (No space left on device)."
CLOSED = "standard output cannot be written (Bad file descriptor)."


@pytest.mark.parametrize(
    ("shell", "status", "error"),
    [
        ("{} methods >/dev/full", 1, f"crowdbench methods: {FULL}\n"),
        ("{} --help >/dev/full", 1, f"crowdbench: {FULL}\n"),
        ("{} --version >&-", 1, f"crowdbench: {CLOSED}\n"),
        ("{} methods --json >&-", 1, f"crowdbench methods: {CLOSED}\n"),
        ("set -o pipefail; {} methods | true", 141, ""),
        ("{} methods 2>&- | head -c 4", 0, ""),
        ("{} report nowhere 2>/dev/full", 2, ""),
        ("{} report nowhere 2>&-", 2, ""),
        ("{} no-such-command <&- 2>&- >&-", 2, ""),
    ],
)
def test_the_status_tells_what_the_streams_cannot(shell: str, status: int, error: str) -> None:
    done = subprocess.run(
        ["bash", "-c", shell.format(COMMAND)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (status, error)


def test_what_an_encoding_lacks_is_escaped() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    command = [sys.executable, "-m", "crowdbench", "info", b"m\xff-\xc2\xb2"]
    done = subprocess.run(command, capture_output=True, env=environment, timeout=60, check=False)
    assert done.returncode == 2
    assert b"no method is called 'm\\udcff-" in done.stderr
    code = "from crowdbench.cli import output_streams; output_streams.prepare(); print(chr(178) + chr(0xDCFF), flush=True)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, env=environment, timeout=60, check=False)
    assert done.stdout == b"\\xb2\\udcff\n"
