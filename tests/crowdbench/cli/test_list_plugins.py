import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.plugins import install_fake_distribution


def crowdbench(*arguments: str, path: str = "") -> str:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [path, os.environ.get("PYTHONPATH", "")])),
    }
    command = [sys.executable, "-m", "crowdbench", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.fixture
def strangers(tmp_path: Path) -> str:
    """Installed distributions: good ones, broken ones, and one that claims a taken name."""

    def install(name: str, lines: str, code: str = "", group: str = "methods") -> None:
        declared = dict(line.split(" = ") for line in lines.splitlines())
        install_fake_distribution(tmp_path, name, {group: declared}, version="2.0", modules={name: code})

    good = (
        "from crowdbench import Method\n"
        "class Good(Method):\n"
        "    paradigm = 'one-stage'\n"
        "    def estimate(self, image, boxes): return []\n"
    )
    install("good", "good-pose = good:Good", good)
    install("broken", "broken-pose = broken:Broken", "raise RuntimeError('no licence for this')")
    install("missing", "missing-pose = missing_module:Missing")
    install("wrong", "wrong-pose = wrong:wrong", "wrong = 3")
    install("thief", "i2rnet-vanilla = thief:Thief")
    install("script", "script-pose = script:Script", "raise SystemExit('usage: script FILE')")
    install("bare", "bare-pose = bare:Bare", good.replace("paradigm", "unit").replace("Good", "Bare"))
    sets = (
        "from crowdbench import Dataset\n"
        "class Late(Dataset):\n"
        "    splits = ('all',)\n"
        "    default_split = 'all'\n"
        "class Bare(Dataset): pass\n"
    )
    install("sets", "late-set = sets:Late\nbare-set = sets:Bare", sets, group="datasets")
    return str(tmp_path)


def row(text: str, name: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith(name)]
    return line


def test_methods_lists_ours_and_strangers_with_their_origin(strangers: str) -> None:
    listing = crowdbench("methods", path=strangers)
    assert re.search(r"good-pose\s+good 2\.0", row(listing, "good-pose"))


def test_a_broken_plugin_is_listed_with_its_error(strangers: str) -> None:
    listing = crowdbench("methods", path=strangers)
    assert "no licence for this" in row(listing, "broken-pose")
    assert "missing_module" in row(listing, "missing-pose")
    assert "is not a subclass" in row(listing, "wrong-pose")
    assert "SystemExit: usage: script FILE" in row(listing, "script-pose")
    assert "paradigm must be one of" in row(listing, "bare-pose")


def test_datasets_of_strangers_are_listed_with_their_splits_or_their_error(strangers: str) -> None:
    listing = crowdbench("datasets", path=strangers)
    assert re.search(r"late-set\s+sets 2\.0\s.*\sall", row(listing, "late-set"))
    assert "Bare.splits must name its splits, and is None" in row(listing, "bare-set")
    rows = {r["name"]: r for r in json.loads(crowdbench("datasets", "--json", path=strangers))}
    assert rows["late-set"]["keypoints"] is None
    assert rows["late-set"]["error"] is None


def test_a_name_that_two_packages_claim_names_both(strangers: str) -> None:
    line = row(crowdbench("methods", path=strangers), "i2rnet-vanilla")
    assert "thief 2.0" in line
    assert "crowdbench" in line
    command = [sys.executable, "-m", "crowdbench", "run", "i2rnet-vanilla", "synthcrowd", "--weights", "none"]
    environment = {**os.environ, "PYTHONPATH": strangers}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert "two packages declare the method 'i2rnet-vanilla'" in done.stderr


def test_json_holds_what_the_table_shows(strangers: str) -> None:
    rows = {r["name"]: r for r in json.loads(crowdbench("methods", "--json", path=strangers))}
    assert rows["good-pose"]["error"] is None
    assert rows["good-pose"]["paradigm"] == "one-stage"
    assert rows["broken-pose"]["error"]


def test_datasets_lists_splits() -> None:
    rows = {r["name"]: r for r in json.loads(crowdbench("datasets", "--json"))}
    assert rows["crowdpose"]["splits"] == ["train", "val", "trainval", "test"]
    assert rows["crowdpose"]["keypoints"] == 14
    assert rows["synthcrowd"]["error"] is None


def test_listing_our_own_methods_does_not_import_torch() -> None:
    code = (
        "import sys, crowdbench.cli as c\n"
        "try: c.main(['methods'])\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("False"), done.stderr
