from pathlib import Path

import msgspec
import pytest

from crowdbench.errors import RunError
from crowdbench.evaluation.shards import PredictionShards


def prediction(image_id: int) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode({"image_id": image_id, "score": 0.1 * image_id}))


def test_what_was_flushed_is_found_again(tmp_path: Path) -> None:
    parts = PredictionShards(tmp_path, "abc", every_s=1000)
    parts.add(0, [prediction(1)])
    parts.add(1, [])
    parts.flush()
    parts.add(2, [prediction(3)])  # lost: never written
    again = PredictionShards(tmp_path, "abc")
    assert again.done == {0: 1, 1: 0}
    assert again.merged(range(2)) == [prediction(1)]


def test_merging_follows_the_batches_not_the_order_of_arrival(tmp_path: Path) -> None:
    parts = PredictionShards(tmp_path, "abc")
    for batch in (2, 0, 1):
        parts.add(batch, [prediction(batch)])
    assert parts.merged(range(3)) == [prediction(0), prediction(1), prediction(2)]
    with pytest.raises(RunError, match="batches \\[3\\]"):
        parts.merged(range(4))


def test_batches_that_two_processes_wrote_are_taken_once(tmp_path: Path) -> None:
    for batches in ([0, 1], [1, 2]):
        parts = PredictionShards(tmp_path / "parts", "abc", every_s=1000)
        parts.done.clear()
        for batch in batches:
            parts.add(batch, [prediction(batch)])
        parts.flush()
    assert PredictionShards(tmp_path / "parts", "abc").merged(range(3)) == [prediction(i) for i in range(3)]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"run": "abc"}', b"\x00" * 64])
def test_a_damaged_part_is_computed_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "000000-000004.json").write_bytes(content)
    assert PredictionShards(tmp_path, "abc").done == {}


def test_parts_of_another_run_are_not_taken(tmp_path: Path) -> None:
    parts = PredictionShards(tmp_path, "abc", every_s=0)
    parts.add(0, [prediction(1)])
    assert PredictionShards(tmp_path, "other").done == {}


def test_removing_takes_the_folder_away(tmp_path: Path) -> None:
    parts = PredictionShards(tmp_path / "parts", "abc", every_s=0)
    parts.add(0, [])
    parts.remove()
    assert not (tmp_path / "parts").exists()
