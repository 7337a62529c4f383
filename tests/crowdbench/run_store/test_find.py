"""What a word on the command line means, the same for every command."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.runs.fake_runs import make_run

from crowdbench import cli
from crowdbench.errors import InputError, MissingDataError
from crowdbench.jobs.job import Job, JobState
from crowdbench.run_store.find import run_of, runs_of
from crowdbench.run_store.run import Run


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Run]:
    """Runs in ./runs: two methods on two datasets, one of them twice, and one that was killed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    root = tmp_path / "runs"
    made = {
        "a": make_run(root, 0xAB00000001, 0.5, method="pose"),
        "b": make_run(root, 0xAC00000002, 0.6, method="pose"),
        "c": make_run(root, 0xAD00000003, 0.7, method="pose", dataset="coco", split="val2017"),
        "d": make_run(root, 0xBB00000004, 0.4, method="other"),
        "e": make_run(root, 0xCC00000005, None, method="killed", state="interrupted"),
    }
    job = Job(root / "jobs" / "pose-crowdpose-12345678")
    job.folder.mkdir(parents=True)
    job.write(JobState("done", runs=[str(made["b"].directory)]))
    return made


@pytest.mark.parametrize(
    ("word", "means"),
    [
        ("runs", "abcd"),
        ("runs/", "abcd"),
        ("runs/crowdpose-test", "abd"),
        ("runs/crowdpose-test/pose", "ab"),
        ("crowdpose-test/pose", "ab"),
        ("coco-val2017", "c"),
        ("runs/crowdpose-test/pose/ab00000001", "a"),
        ("runs/crowdpose-test/pose/ab00000001/run.json", "a"),
        ("runs/crowdpose-test/killed/cc00000005", "e"),
        ("ab00000001", "a"),
        ("ab", "a"),
        ("a", "abc"),
        ("pose", "abc"),
        ("pose/coco", "c"),
        ("pose/crowdpose", "ab"),
        ("pose/coco-val2017", "c"),
        ("other", "d"),
        ("pose-crowdpose-12345678", "b"),
        ("runs/jobs/pose-crowdpose-12345678", "b"),
    ],
)
def test_every_way_to_name_runs(runs: dict[str, Run], word: str, means: str) -> None:
    assert {run.record.id for run in runs_of([word])} == {runs[name].record.id for name in means}
    if len(means) == 1:
        assert run_of(word).record == runs[means].record
    else:
        with pytest.raises(InputError, match=rf"{len(means)} runs could be meant") as caught:
            run_of(word)
        assert str(runs[means[0]].directory.relative_to(Path.cwd())) in str(caught.value)


def test_what_is_named_twice_is_one_run(runs: dict[str, Run], tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(tmp_path / "runs")
    assert len(runs_of(["ab", "runs", "linked/crowdpose-test", "pose"])) == 4


@pytest.mark.parametrize("word", ["nobody", "", "*", "po", "pose/ochuman", "pose/", "../runs/nowhere", "AB"])
def test_what_nothing_answers_to_is_said(runs: dict[str, Run], word: str) -> None:
    if word == "pose/":
        assert len(runs_of([word])) == 3
        return
    with pytest.raises(MissingDataError):
        runs_of([word])


def test_a_name_of_which_no_run_is_done_says_how_they_stand(runs: dict[str, Run]) -> None:
    with pytest.raises(MissingDataError, match=r"(?s)no run here is done.*\(interrupted\)"):
        runs_of(["killed"])
    assert run_of("killed").record.state == "interrupted"


def test_a_file_that_is_not_a_runs_is_none(runs: dict[str, Run], tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("[]")
    with pytest.raises(MissingDataError, match="not one of a run"):
        runs_of(["results.json"])


@pytest.fixture
def crowdbench(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Gives a command; returns what it says."""

    def give(*arguments: str, status: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        said = capsys.readouterr()
        assert (ended.value.code or 0) == status, said.err
        return said.out + said.err

    return give


@pytest.mark.parametrize(
    ("word", "means"),
    [
        ("ab", "a"),
        ("pose/coco", "c"),
        ("pose", "abc"),
        ("runs/crowdpose-test/pose", "ab"),
        ("crowdpose-test", "abd"),
    ],
)
def test_leaderboard_and_status_take_the_same_words(
    runs: dict[str, Run], crowdbench: Callable[..., str], word: str, means: str
) -> None:
    tables = json.loads(crowdbench("leaderboard", word, "--json"))
    shown = {row["run"] for table in tables for row in table["rows"]}
    assert shown == {str(runs[name].directory.resolve()) for name in means} or len(shown) == len(means)
    if word != "crowdpose-test":
        rows = json.loads(crowdbench("status", word, "--all", "--json"))
        assert {Path(row["directory"]).name for row in rows if row["directory"]} == {
            runs[name].record.id for name in means
        }


@pytest.mark.parametrize("command", ["analyse", "report", "leaderboard"])
def test_commands_say_alike_what_they_do_not_find(
    runs: dict[str, Run], crowdbench: Callable[..., str], command: str
) -> None:
    assert "no run of that id, job or method" in crowdbench(command, "nobody", status=2)


def test_one_run_has_to_be_named_where_one_is_meant(
    runs: dict[str, Run], crowdbench: Callable[..., str]
) -> None:
    said = crowdbench("compare", "pose", "other", status=2)
    assert "pose: 3 runs could be meant. Name one:" in said
    assert "runs/coco-val2017/pose/ad00000003 (done)" in said
