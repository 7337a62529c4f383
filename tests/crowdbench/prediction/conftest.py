"""A machine with the methods of looking_toys.py, and pictures to look at."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from looking_pictures import Predict, Said

from crowdbench import cli, plugins

TESTS = Path(__file__).resolve().parents[2]


@pytest.fixture
def machine(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """An empty working folder, with the toys installed."""
    site = tmp_path_factory.mktemp("site")
    info = site / "lookers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lookers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[crowdbench.methods]\ntoy-diagonal = looking_toys:BoxDiagonal\ntoy-brightest = looking_toys:Brightest\n"
        "toy-told = looking_toys:Told\n"
    )
    shutil.copy(TESTS / "looking_toys.py", site)
    monkeypatch.syspath_prepend(site)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    plugins.installed.cache_clear()
    yield tmp_path
    plugins.installed.cache_clear()


@pytest.fixture
def predict(machine: Path, capsys: pytest.CaptureFixture[str]) -> Predict:
    """Gives the command, with CrowdPose's keypoints, and reads what it leaves."""

    def run(*arguments: str | Path, dataset: str | None = "crowdpose", out: str = "poses") -> Said:
        command = ["predict", *map(str, arguments), *(["--dataset", dataset] if dataset else [])]
        with pytest.raises(SystemExit) as caught:
            cli.main(command)
        said = capsys.readouterr()
        assert isinstance(caught.value.code, int)

        def content(name: str) -> Any:
            return json.loads((machine / out / name).read_text()) if (machine / out / name).exists() else None

        return Said(
            caught.value.code,
            said.out,
            said.err,
            content("predictions.json") or [],
            content("images.json") or {},
        )

    return run
