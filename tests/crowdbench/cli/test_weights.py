"""``crowdbench weights`` as a user runs it: in processes of its own, against a server on this machine."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from support.weights_server import Served, Server, entry, install_table, serving, weights_like

from crowdbench.weights.checkpoint_file.state_dict import read_state_dict

BODY = weights_like(200_000)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture
def environment(server: Server, tmp_path: Path) -> dict[str, str]:
    """A cache of its own, and an installed package with a table that points to the server."""
    site = tmp_path / "site"
    site.mkdir()
    drive = entry("toy/drive", "https://drive.example/x", 'instructions = "Take the second."', dataset="coco")
    install_table(
        site,
        entry("toy/crowdpose", server.url("/f"), "input_size = [16, 24]") + drive.replace("url =", "page ="),
    )
    server.files["/f"] = Served(BODY)
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")])),
        "CROWDBENCH_CACHE": str(tmp_path / "cache"),
        "NO_PROXY": "127.0.0.1",
        "COLUMNS": "200",
    }


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "crowdbench", "weights", *map(str, arguments)]


def weights(environment: dict[str, str], *arguments: object) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(command(*arguments), capture_output=True, text=True, env=environment, check=False)
    assert "Traceback" not in done.stderr
    return done


def states(environment: dict[str, str]) -> dict[str, str]:
    rows = json.loads(weights(environment, "list", "--json").stdout)
    return {row["name"]: row["state"] for row in rows}


def test_the_list_says_what_is_here_and_what_is_not(environment: dict[str, str], tmp_path: Path) -> None:
    found = states(environment)
    assert found["toy/crowdpose"] == "not here"
    assert found["toy/drive"] == "fetch by hand"
    assert found["i2rnet-hrformer/coco-384x288"] == "not here"
    assert weights(environment, "fetch", "toy/crowdpose").returncode == 0
    assert states(environment)["toy/crowdpose"] == "here"
    text = weights(environment, "list").stdout
    (line,) = [line for line in text.splitlines() if line.startswith("toy/crowdpose")]
    assert line.split() == ["toy/crowdpose", "trained", "crowdpose", "trainval", "16x24", "here"]
    assert str(tmp_path / "cache" / "weights") in text


def test_json_has_every_field_and_the_path(environment: dict[str, str], tmp_path: Path) -> None:
    rows = {row["name"]: row for row in json.loads(weights(environment, "list", "--json").stdout)}
    row = rows["toy/crowdpose"]
    assert row["path"] == str(tmp_path / "cache" / "weights" / "toy" / "crowdpose" / "weights.pth")
    assert row["origin"] == "stranger 3.1"
    assert row["input_size"] == [16, 24]
    assert rows["toy/drive"]["page"] == "https://drive.example/x"


def test_fetch_prints_the_path_alone_on_stdout(environment: dict[str, str], server: Server) -> None:
    done = weights(environment, "fetch", "toy/crowdpose", server.url("/f"))
    first, second = (Path(line) for line in done.stdout.splitlines())
    assert first.read_bytes() == second.read_bytes() == BODY
    assert "fetching toy/crowdpose" in done.stderr


def test_fetch_all_takes_what_can_be_taken_and_names_the_rest(server: Server, tmp_path: Path) -> None:
    """Against a table of its own: ours would go to the network."""
    script = (
        "import sys, crowdbench.plugins as s\n"
        "ours = s._data_files\n"
        "def without_ours(pattern):\n"
        "    files, faults = ours(pattern)\n"
        "    return [f for f in files if f.origin.startswith('stranger')], faults\n"
        "s._data_files = without_ours\n"
        "from crowdbench.cli import main\n"
        "main(['weights', 'fetch', '--all'])\n"
    )
    site = tmp_path / "site"
    site.mkdir()
    by_hand = entry("toy/drive", "https://drive.example/x", 'instructions = "Go."', dataset="coco")
    install_table(site, entry("toy/crowdpose", server.url("/f")) + by_hand.replace("url =", "page ="))
    server.files["/f"] = Served(BODY)
    environment = {**os.environ, "PYTHONPATH": str(site), "CROWDBENCH_CACHE": str(tmp_path), "NO_PROXY": "*"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes() == BODY
    assert "by hand: toy/drive" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "signs"),
    [
        pytest.param(["toy/crowdpos"], ["Did you mean 'toy/crowdpose'"], id="name"),
        pytest.param(["toy/drive"], ["https://drive.example/x", "Take the second.", "drive/weights.pth"], id="by hand"),
        pytest.param(["http://127.0.0.1:9/x.pth"], ["127.0.0.1:9/x.pth", "Connection refused", "put it at"], id="no network"),
        pytest.param(["file:///etc/passwd"], ["https:// and http:// only"], id="scheme"),
        pytest.param([], ["--all"], id="nothing"),
        pytest.param(["toy/crowdpose", "--all"], ["--all"], id="both"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_message_and_status_2(
    environment: dict[str, str], arguments: list[str], signs: list[str]
) -> None:
    done = weights(environment, "fetch", *arguments)
    assert done.returncode == 2, done.stderr
    for sign in signs:
        assert sign in done.stderr
    assert done.stdout == ""


def test_a_missing_file_names_url_and_place(environment: dict[str, str], server: Server) -> None:
    del server.files["/f"]
    done = weights(environment, "fetch", "toy/crowdpose")
    assert done.returncode == 2
    for sign in ("404", server.url("/f"), "toy/crowdpose/weights.pth"):
        assert sign in done.stderr


def test_a_file_that_was_tampered_with_is_refused_with_both_hashes(environment: dict[str, str]) -> None:
    path = Path(weights(environment, "fetch", "toy/crowdpose").stdout.strip())
    path.write_bytes(BODY + b"\0")
    done = weights(environment, "fetch", "toy/crowdpose")
    assert done.returncode == 2
    assert sha256(BODY).hexdigest() in done.stderr
    assert sha256(BODY + b"\0").hexdigest() in done.stderr


@pytest.mark.slow
def test_ten_commands_at_once_make_one_download(
    environment: dict[str, str], server: Server, tmp_path: Path
) -> None:
    hold = threading.Event()  # the transfer lasts until the other nine say that they wait for it
    server.files["/f"] = Served(BODY, hold=hold)
    said = [tmp_path / f"{number}.txt" for number in range(10)]
    processes = []
    for path in said:
        with path.open("w") as file:
            processes.append(
                subprocess.Popen(
                    command("fetch", "toy/crowdpose"),
                    stdout=subprocess.PIPE,
                    stderr=file,
                    text=True,
                    env=environment,
                )
            )
    deadline = time.monotonic() + 25
    while sum("another process fetches toy/crowdpose" in path.read_text() for path in said) < 9:
        assert time.monotonic() < deadline, [path.read_text() for path in said]
        time.sleep(0.05)
    hold.set()
    for process, path in zip(processes, said, strict=True):
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, path.read_text()
        assert Path(out.strip()).read_bytes() == BODY
    assert [asked.whole for asked in server.asked] == [True]


def test_convert_rewrites_a_release_as_safetensors(environment: dict[str, str], tmp_path: Path) -> None:
    source, target = tmp_path / "released.pth", tmp_path / "new.safetensors"
    state = {"module.a": torch.randn(2, 3).T, "module.steps": torch.tensor(3)}
    torch.save({"state_dict": state, "epoch": 3}, source)
    done = weights(environment, "convert", source, target)
    assert (done.returncode, done.stdout.strip()) == (0, str(target)), done.stderr
    found = read_state_dict(target)
    assert torch.equal(found["a"], state["module.a"])
    assert torch.equal(found["steps"], state["module.steps"])


def test_convert_refuses_what_would_run_code(environment: dict[str, str], tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"touch {tmp_path / 'pwned'}",)

    torch.save({"a": torch.zeros(1), "b": Malicious()}, tmp_path / "released.pth")
    done = weights(environment, "convert", tmp_path / "released.pth", tmp_path / "new.safetensors")
    assert done.returncode == 2
    assert "refused" in done.stderr
    assert not (tmp_path / "pwned").exists()
    assert not (tmp_path / "new.safetensors").exists()


def test_convert_checks_the_fit_when_it_is_told_the_network(
    toy_plugins: dict[str, str], tmp_path: Path
) -> None:
    for name, count in (("good", 28), ("bad", 34)):
        torch.save({"weight": torch.zeros(count, 3), "bias": torch.zeros(count)}, tmp_path / f"{name}.pth")
    fit = ["--method", "toy-network", "--dataset", "crowdpose"]
    done = weights(toy_plugins, "convert", tmp_path / "good.pth", tmp_path / "good.safetensors", *fit)
    assert done.returncode == 0, done.stderr
    done = weights(toy_plugins, "convert", tmp_path / "bad.pth", tmp_path / "bad.safetensors", *fit)
    assert done.returncode == 2
    assert "weight (file (34, 3), network (28, 3))" in done.stderr
    assert not (tmp_path / "bad.safetensors").exists()
    done = weights(toy_plugins, "convert", tmp_path / "good.pth", tmp_path / "x.safetensors", *fit[:2])
    assert done.returncode == 2
    assert "belong together" in done.stderr
