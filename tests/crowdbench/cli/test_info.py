"""``crowdbench info`` as a user sees it."""

import json
import re
import subprocess
import sys

import pytest


def crowdbench(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "crowdbench", "info", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert "Traceback" not in done.stderr
    return done


def shown(*arguments: str, env: dict[str, str] | None = None) -> str:
    done = crowdbench(*arguments, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_method_is_introduced_with_its_paper_weights_and_published_results() -> None:
    text = shown("i2rnet-vanilla")
    assert "(IJCAI 2022)" in text
    assert "@inproceedings{ding2022i2rnet," in text
    assert "https://github.com/leijue222/" in text
    assert re.search(r"i2rnet-vanilla/ochuman\s+ochuman val\s+256x192", text)
    rows = re.findall(r"^(crowdpose|ochuman|coco)\s.*256x192\s+(\d\d\.\d)", text, re.MULTILINE)
    assert rows == [("crowdpose", "72.3"), ("ochuman", "64.3"), ("coco", "75.3")]
    assert "README.md" in text
    assert "Split disputed" in text


def test_on_a_dataset_the_size_and_the_cost_of_the_network_are_counted() -> None:
    text = shown("i2rnet-vanilla", "crowdpose")
    assert re.search(r"input\s+256x192", text)
    assert re.search(r"keypoints\s+14", text)
    assert re.search(r"parameters\s+18\.00 M, 0\.29 M of them fixed", text)
    flops, macs = re.findall(r"([\d.]+) (?:GFLOPs per person|GMACs)", text)
    assert float(flops) == pytest.approx(2 * float(macs), abs=0.02)
    assert "ochuman" not in text


def test_settings_change_what_is_counted() -> None:
    small = json.loads(shown("i2rnet-vanilla", "coco", "--set", "input_size=[128,96]", "--json"))[
        "on_dataset"
    ]
    assert small["input_size"] == [128, 96]
    assert small["network"]["image_size"] == [128, 96]
    assert small["network"]["flops"] == 2 * small["network"]["macs"] < 6e9


def test_json_holds_everything() -> None:
    content = json.loads(shown("i2rnet-hrformer", "--json"))
    assert content["origin"].startswith("crowdbench ")
    assert content["card"]["work"]["year"] == 2022
    assert content["on_dataset"] is None
    assert {row["ap"] for row in content["published_results"]} == {77.4, 67.8, 76.4, 77.3}
    assert {entry["training_data"] for entry in content["weights"]} == {
        "crowdpose trainval",
        "ochuman val",
        "coco train2017",
    }


def test_a_method_without_a_network_says_so(toy_plugins: dict[str, str]) -> None:
    text = shown("toy-centre", "crowdpose", env=toy_plugins)
    assert re.search(r"network\s+none", text)
    assert "ships no card" in text
    assert "No weights are published on crowdpose." in text
    assert "No results are published on crowdpose." in text


def test_a_strangers_network_is_counted_like_ours(toy_plugins: dict[str, str]) -> None:
    content = json.loads(shown("toy-network", "coco", "--json", env=toy_plugins))
    assert content["origin"] == "toys 1.0"
    assert content["on_dataset"]["network"]["parameters"] == 4 * 2 * 17
    assert content["on_dataset"]["network"]["macs"] == 3 * 2 * 17


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["i2rnet-vanila"], "Did you mean 'i2rnet-vanilla'?", id="unknown method"),
        pytest.param(["i2rnet-vanilla", "cocoo"], "Did you mean 'coco'?", id="unknown dataset"),
        pytest.param(["i2rnet-vanilla", "--set", "flip_test=false"], "needs a DATASET", id="settings alone"),
        pytest.param(["i2rnet-vanilla", "coco", "--set", "size=3"], "no setting", id="unknown setting"),
    ],
)
def test_wrong_input_is_answered_with_what_to_do(arguments: list[str], complaint: str) -> None:
    done = crowdbench(*arguments)
    assert done.returncode == 2
    assert complaint in done.stderr


def test_without_a_dataset_torch_stays_away() -> None:
    code = (
        "import sys, crowdbench.cli as c\n"
        "try: c.main(['info', 'i2rnet-vanilla'])\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("False"), done.stderr
