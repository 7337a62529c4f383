"""Checkpoints on disk: whole or passed over, never believed when damaged."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from crowdbench.errors import RunError
from crowdbench.training.checkpoint import Best, Checkpoint, Checkpoints, Position


def checkpoint(step: int) -> Checkpoint:
    torch.manual_seed(step)
    position = Position(step=step, epoch=1, batch=step, best=Best(1, 2, 0.5), sums={"persons": 3.0})
    return Checkpoint(position, {"a": torch.randn(3, 4)}, {"optimizer.a:step": torch.tensor(float(step))})


@pytest.fixture
def kept(tmp_path: Path) -> Checkpoints:
    found = Checkpoints(tmp_path / "checkpoints", "abc")
    for step in (1, 2, 3):
        found.save(checkpoint(step))
    return found


def test_a_checkpoint_comes_back_as_it_was(kept: Checkpoints) -> None:
    newest = kept.newest()
    assert newest is not None
    assert newest.position == checkpoint(3).position
    assert torch.equal(newest.weights["a"], checkpoint(3).weights["a"])
    assert torch.equal(newest.state["optimizer.a:step"], torch.tensor(3.0))


def test_only_the_two_newest_are_kept(kept: Checkpoints) -> None:
    assert sorted({path.name.split(".")[0] for path in kept.folder.iterdir()}) == [
        "step-00000002",
        "step-00000003",
    ]


@pytest.mark.parametrize("file", ["json", "weights.safetensors", "state.safetensors"])
@given(data=st.data())
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(
    tmp_path_factory: pytest.TempPathFactory, file: str, data: st.DataObject
) -> None:
    kept = Checkpoints(tmp_path_factory.mktemp("run") / "checkpoints", "abc")
    for step in (1, 2):
        kept.save(checkpoint(step))
    path = kept.folder / f"step-00000002.{file}"
    whole = path.read_bytes()
    length = data.draw(st.integers(0, len(whole) - 2))
    if data.draw(st.booleans()) and file != "json":
        damaged = whole[:length] + bytes([whole[length] ^ 0xFF]) + whole[length + 1 :]
    else:
        damaged = whole[:length]
    path.write_bytes(damaged)
    newest = kept.newest()
    assert newest is not None
    assert newest.position.step == 1


def test_a_damaged_checkpoint_is_named_in_a_warning(
    kept: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    (kept.folder / "step-00000003.weights.safetensors").unlink()
    with caplog.at_level(logging.WARNING, "crowdbench"):
        newest = kept.newest()
    assert newest is not None
    assert newest.position.step == 2
    assert "step-00000003.json" in caplog.text


def test_the_next_checkpoint_replaces_a_damaged_one_of_a_later_step(kept: Checkpoints) -> None:
    (kept.folder / "step-00000003.state.safetensors").write_bytes(b"")
    kept.save(Checkpoint(Position(step=2, epoch=7), checkpoint(2).weights, checkpoint(2).state))
    assert sorted(path.name for path in kept.folder.glob("*.json")) == ["step-00000002.json"]
    newest = kept.newest()
    assert newest is not None
    assert newest.position.epoch == 7


def test_checkpoints_of_another_training_are_not_taken(kept: Checkpoints) -> None:
    assert Checkpoints(kept.folder, "xyz").newest() is None


def test_a_note_changes_the_position_and_nothing_else(kept: Checkpoints) -> None:
    kept.note(Position(step=3, epoch=2, validated=True))
    newest = kept.newest()
    assert newest is not None
    assert newest.position.epoch == 2
    assert torch.equal(newest.weights["a"], checkpoint(3).weights["a"])


def test_kept_weights_say_in_their_header_what_they_are(kept: Checkpoints) -> None:
    path = kept.export("best", {"a": torch.ones(2)}, {"training_data": "toys train"})
    assert torch.equal(load_file(path)["a"], torch.ones(2))
    assert b"toys train" in path.read_bytes()[:200]


FULL_DISK = """
import resource, sys
from pathlib import Path
import torch
from crowdbench.errors import RunError
from crowdbench.training.checkpoint import Checkpoint, Checkpoints, Position

kept = Checkpoints(Path(sys.argv[1]), "abc")
kept.save(Checkpoint(Position(step=1), {"a": torch.ones(1000)}))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # what a full disk is to a file
try:
    kept.save(Checkpoint(Position(step=2), {"a": torch.ones(100_000)}))
except RunError as error:
    print(error)
newest = kept.newest()
print(newest.position.step, newest.weights["a"].sum().item(), sorted(p.name for p in kept.folder.iterdir()))
"""


def test_a_full_disk_ends_in_a_clear_error_with_the_checkpoint_before_whole(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "checkpoints")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    message, kept = done.stdout.strip().rsplit("\n", 1)
    assert "cannot be written (File too large)" in message
    assert "step-00000001.json" in message
    assert kept.startswith("1 1000.0 ['step-00000001.json'")
    assert "step-00000002" not in kept
    assert ".tmp" not in kept


def test_an_unwritable_folder_ends_in_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("not a folder")
    with pytest.raises(RunError, match="cannot be written"):
        Checkpoints(tmp_path / "checkpoints", "abc").save(checkpoint(1))
