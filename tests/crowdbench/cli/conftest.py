"""Commands in this process: quicker than a process for each, and the same from arguments to exit status."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from crowdbench import cli


class Said(NamedTuple):
    """What a command has said."""

    status: int
    out: str
    err: str


@pytest.fixture
def crowdbench(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Gives a command, as on the command line."""

    def give(*arguments: object) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            cli.main([str(argument) for argument in arguments])
        assert isinstance(caught.value.code, int)
        return Said(caught.value.code, *capsys.readouterr())

    return give
