"""Every command that the README and docs/ show is run here, in order, and says what they show it to say."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
# Setting up is what CI does before it comes here.
SET_UP = ("git clone", "cd ", "make", "pip install", "sudo ")


def commands(page: Path) -> list[tuple[str, str]]:
    """The commands of a page, each with the output that is shown below it, which may be none."""
    blocks = re.findall(r"^```console\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [
        (command, shown.strip())
        for block in blocks
        for command, shown in re.findall(
            r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.replace("\\\n", " "), re.MULTILINE
        )
    ]


def write_files(page: Path, folder: Path) -> None:
    """Write the blocks that begin with a file's name in a comment, as in ``# mine.toml``."""
    for name, content in re.findall(
        r"^```\w+\n# (\S+\.\w+)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)


def says(output: str, shown: str) -> bool:
    """Whether a command says what a page shows; ``…`` stands for anything, on a line of its own for lines.

    Columns may be wider or narrower. A page that leaves something out may also leave out the end.
    """

    def normal(text: str) -> list[str]:
        return [re.sub(r"-{2,}", "--", re.sub(r"\s+", " ", line)).strip() for line in text.splitlines()]

    lines = [re.escape(line).replace("…", ".*") for line in normal(shown)]
    pattern = "".join(r"(?:.*\n)*?" if line == ".*" else line + r"\n" for line in lines)
    match = re.fullmatch if "…" not in shown else re.match
    return match(pattern, "\n".join([*normal(output.strip()), ""])) is not None


def perfect_predictions(data: Path) -> list[dict[str, object]]:
    """What the pages call predictions.json: the people of the CrowdPose sample, found exactly."""
    truth = json.loads((data / "crowdpose" / "json" / "crowdpose_test.json").read_text())
    return [
        {"image_id": a["image_id"], "category_id": 1, "keypoints": a["keypoints"], "score": 1.0}
        for a in truth["annotations"]
    ]


def needs_samples(page: Path) -> bool:
    """Whether a command or what it shows names the samples of real datasets, which are not in the repository."""
    texts = [text for pair in commands(page) for text in pair]
    return any("data/" in text or "predictions.json" in text for text in texts)


def test_the_readme_shows_commands() -> None:
    assert any("crowdbench run" in command for command, _ in commands(ROOT / "README.md"))


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        pytest.param("a  b\n---  --\n1  2\n3  4", True, id="other widths"),
        pytest.param("a b\n-- --\n1 2", False, id="an end that is missing"),
        pytest.param("a b\n…\n3 4", True, id="lines left out"),
        pytest.param("a b\n-- --\n1 …", True, id="words and the end left out"),
        pytest.param("a b\n…\n3 5", False, id="another number"),
        pytest.param("a b\n-- --\n3 4\n1 2", False, id="another order"),
    ],
)
def test_shown_output_is_told_from_other_output(shown: str, expected: bool) -> None:
    assert says("a    b\n---  ---\n1    2\n3    4\n", shown) is expected


@pytest.mark.slow
def test_the_python_of_the_readme_runs_as_written(tmp_path: Path) -> None:
    found = re.search(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found
    done = subprocess.run(
        [sys.executable, "-c", found.group(1)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "i2rnet-tiny" in done.stdout


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache without weights, whatever the user's own holds: the pages show what is not here."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_commands_of_a_page_work_as_written(
    page: Path, tmp_path: Path, cache: Path, request: pytest.FixtureRequest
) -> None:
    if needs_samples(page):
        real_data: Path = request.getfixturevalue("real_data")
        (tmp_path / "data").symlink_to(real_data)
        (tmp_path / "predictions.json").write_text(json.dumps(perfect_predictions(real_data)))
    write_files(page, tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command, shown in commands(page):
        if command.startswith(SET_UP):
            continue
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "CROWDBENCH_CACHE": str(cache)},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        if shown:
            assert says(done.stdout, shown), f"{command}\nshown:\n{shown}\n\nsaid:\n{done.stdout}"
