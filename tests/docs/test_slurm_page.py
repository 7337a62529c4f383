"""docs/slurm.md, and what the README shows of clusters: true of the code, and done on a real Slurm."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from crowdbench.jobs.job import Resources
from crowdbench_slurm.options import Options, read_options

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "slurm.md"
PROFILES = ROOT / "slurm" / "crowdbench_slurm" / "profiles" / "dev-cluster.toml"
# What another folder, queue or version of a package names otherwise: jobs, runs, Slurm's numbers.
NAMES = re.compile(r"(?<=-)[0-9a-f]{8}\b|\b[0-9a-f]{10}\b|(?<=slurm job )\d+")
QUOTED = re.compile(r"``(.+?)``|`([^`]+)`")
# What differs every time.
TIMES = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+|(?<=predictions in )[\d.]+|\bnode\d\b|\b\d+_\d+\b")


def pages() -> ModuleType:
    """What the tests of other pages read and compare by."""
    spec = importlib.util.spec_from_file_location("pages", HERE / "test_commands.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(heading: str) -> list[list[str]]:
    """The tables whose heading begins like this, without it."""
    found = re.findall(rf"^{re.escape(heading)}.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE.read_text(), re.MULTILINE)
    return [
        [cell.strip() for cell in line.split("|")[1:-1]] for table in found for line in table.splitlines()
    ]


@pytest.mark.slow
@pytest.mark.xdist_group("slurm")
@pytest.mark.parametrize("page", [ROOT / "README.md", PAGE], ids=lambda page: page.name)
def test_commands_of_a_page_work_on_a_cluster_as_written(
    page: Path, cluster: dict[str, str], tmp_path: Path
) -> None:
    helpers = pages()
    profiles = tmp_path / "config" / "crowdbench" / "profiles.toml"
    profiles.parent.mkdir(parents=True)
    profiles.write_text(PROFILES.read_text().replace("[profile.dev-cluster]", "[profile.slurm]"))
    (tmp_path / "seeds.toml").write_text(block("toml", "# seeds.toml"))
    marked = page.read_text().replace("```console", "```").replace("```shellsession", "```console")
    (tmp_path / "page.md").write_text(marked)
    environment = {
        **{name: value for name, value in cluster.items() if name != "CROWDBENCH_DATA"},
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{cluster['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    steps = helpers.commands(tmp_path / "page.md")
    assert any("--on slurm" in command for command, _ in steps)
    named: dict[str, str] = {}

    def as_here(text: str) -> str:
        return re.sub(r"[0-9a-f]+", lambda found: named.get(found.group(), found.group()), text)

    for command, shown in steps:
        done = subprocess.run(
            ["bash", "-c", as_here(command)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        for there, here in zip(NAMES.findall(shown), NAMES.findall(done.stdout), strict=False):
            named.setdefault(there, here)
        expected = TIMES.sub("…", as_here(shown))
        if expected:
            assert helpers.says(done.stdout, expected), (
                f"{command}\nshown:\n{expected}\n\nsaid:\n{done.stdout}"
            )


def block(language: str, beginning: str) -> str:
    """The block of the page that begins like this."""
    found = re.search(rf"^```{language}\n({re.escape(beginning)}.*?)^```", PAGE.read_text(), re.M | re.S)
    assert found
    return found.group(1)


def test_the_page_tells_every_option_of_a_profile_and_its_default() -> None:
    documented: dict[str, str] = {}
    for names, default, _ in rows("| option | default"):
        documented.update((name.strip(" `"), default.strip("`")) for name in names.split(","))
    assert set(documented) == set(Options.__struct_fields__)
    defaults = msgspec.json.decode(msgspec.json.encode(Options()))
    said_in_words = {"nodes", "memory", "python"}
    for name in documented.keys() - said_in_words:
        said = documented[name]
        assert (msgspec.json.decode(said) if said else None) == defaults[name], name


def test_the_profiles_of_the_page_are_ones_that_slurm_takes() -> None:
    profiles = {}
    for text in re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.M | re.S):
        for name, options in tomllib.loads(text).get("profile", {}).items():
            assert options.pop("launcher") == "slurm"
            profiles[name] = read_options(name, options)
    assert set(profiles) == {"slurm", "a100", "container"}
    for options in profiles.values():
        sixteen = options.resolved(Resources(16, None))
        assert sixteen.gpus == 16
        assert options.parameters(sixteen)["nodes"] * options.gpus_per_node == 16
    assert profiles["container"].interpreter.startswith("apptainer exec --nv --bind")


def said() -> Iterator[str]:
    """Every text in the code; … stands for what is filled in."""
    for path in [*(ROOT / "crowdbench").rglob("*.py"), *(ROOT / "slurm").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                yield "".join(map(str, parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub(r"\{\d*\}", "…", node.value)


# msgspec's words, and a sentence whose subject is filled in.
FROM_ELSEWHERE = {"profile …: Object contains unknown field …", "no launcher or profile is called …"}


def test_every_message_of_the_page_is_one_that_the_code_says() -> None:
    texts = [" ".join(text.split()) for text in said()]
    pairs = [": ".join(found) for found in re.findall(r'"(\w+)": "([^"]+)"', reasons())]
    cells = [row[0] for row in rows("| message |")]
    messages = [one.strip() for cell in cells for pair in QUOTED.findall(cell) for one in pair if one]
    assert len(messages) > 30
    for message in messages:
        if message in FROM_ELSEWHERE or any(pair.startswith(message) for pair in pairs):
            continue
        pieces = [piece.strip(" .") for piece in message.split("…") if piece.strip(" :.")]
        assert any(all(piece in text for piece in pieces) for text in texts), message


def reasons() -> str:
    return (ROOT / "slurm" / "crowdbench_slurm" / "messages.py").read_text()
