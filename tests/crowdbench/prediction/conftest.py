"""A machine with the methods of support.methods.image_toys, and images to predict on."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.data.images import Predict, Said
from support.plugins import install_fake_distribution

from crowdbench import cli, plugins

METHODS = {
    "toy-diagonal": "support.methods.image_toys:BoxDiagonal",
    "toy-brightest": "support.methods.image_toys:Brightest",
    "toy-told": "support.methods.image_toys:Told",
}


@pytest.fixture
def machine(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """An empty working folder, with the toys installed."""
    site = tmp_path_factory.mktemp("site")
    install_fake_distribution(site, "image-toys", {"methods": METHODS})
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
