"""Only one process's work in a folder counts. The others are real processes, killed and frozen for real."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowdbench.errors import MachineError, SupersededError
from crowdbench.run_store import lease as writer
from crowdbench.run_store.lease import Waiting, hold_lease, in_turn
from crowdbench.run_store.lease_files import LeaseHolder, ProgressReport, read_claim, read_progress
from crowdbench.system.files.locks import FileLock
from crowdbench.system.job_context import VARIABLE, CurrentJob

WORKER = """\
import sys
from pathlib import Path
from crowdbench.run_store import lease as writer
from crowdbench.errors import CrowdbenchError

writer.HEARTBEAT_S, writer.LEASE_TIMEOUT_S = 0.05, float(sys.argv[2])
say = lambda *words: print(*words, flush=True)
try:
    with writer.hold_lease(Path(sys.argv[1]), lambda: say("lost")) as mine:
        say("working")
        for line in sys.stdin:
            try:
                mine.check_held()
                say("mine")
            except CrowdbenchError as error:
                say(type(error).__name__, error)
    say("left")
except CrowdbenchError as error:
    say(type(error).__name__, *str(error).splitlines())
"""


class Worker:
    """Another process that works in a folder, or wants to."""

    def __init__(self, folder: Path, job: CurrentJob | None = None, silent_s: float = 30) -> None:
        environment = {k: v for k, v in os.environ.items() if k != VARIABLE}
        if job is not None:
            environment[VARIABLE] = msgspec.json.encode(job).decode()
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder), str(silent_s)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self) -> str:
        """Its next line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self) -> None:
        """Let it ask whether its work still counts, and say so."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def leave(self) -> str:
        """Let it end in order; what it says then."""
        output, _ = self.process.communicate(timeout=30)
        return output.strip()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.communicate()


Start = Callable[..., Worker]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts workers in ``tmp_path/work``; those that are left are killed."""
    workers: list[Worker] = []

    def begin(job: CurrentJob | None = None, silent_s: float = 30) -> Worker:
        workers.append(Worker(tmp_path / "work", job, silent_s))
        return workers[-1]

    yield begin
    for worker in workers:
        worker.process.kill()
        worker.process.communicate()


def job(start: int, number: str = "12") -> CurrentJob:
    return CurrentJob("queue", number, start, node=f"node{start}")


def on_another_machine(folder: Path, **more: object) -> LeaseHolder:
    """A claim, and a last sign of life, of a process that this machine cannot see."""
    claim = LeaseHolder("abcd", "node7", 77, "elsewhere", "2030-01-01T00:00:00+00:00", **more)  # type: ignore[arg-type]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / writer.CLAIM).write_bytes(msgspec.json.encode(claim))
    (folder / writer.PROGRESS).write_bytes(msgspec.json.encode(ProgressReport("abcd")))
    return claim


@contextmanager
def living(folder: Path) -> Iterator[None]:
    """The process of `on_another_machine` shows signs of life meanwhile."""
    over = threading.Event()

    def beat() -> None:
        path = folder / writer.PROGRESS
        while not over.wait(0.02):
            path.touch()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life come, and are missed, in fractions of a second."""
    monkeypatch.setattr(writer, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(writer, "LEASE_TIMEOUT_S", 0.6)


def test_a_second_process_is_refused_and_told_who_is_at_it(tmp_path: Path, start: Start) -> None:
    first = start()
    assert first.says() == "working"
    with pytest.raises(SupersededError, match="another process is at this very work") as caught:
        hold_lease(tmp_path / "work").__enter__()
    claim = read_claim(tmp_path / "work")
    assert claim is not None
    assert f"process {first.process.pid} on {claim.host}" in str(caught.value)
    first.tell()
    assert first.says() == "mine"


def test_of_many_that_begin_at_once_one_works(start: Start) -> None:
    words = [worker.says().split()[0] for worker in [start() for _ in range(5)]]
    assert sorted(words) == ["SupersededError"] * 4 + ["working"]


def test_the_refusal_names_the_clusters_job(tmp_path: Path, start: Start) -> None:
    first = start(job(0))
    assert first.says() == "working"
    refused = start(job(0, number="13"))
    assert f"job queue 12, process {first.process.pid} on node0" in refused.says()


def test_a_process_that_ends_in_order_leaves_nothing_in_the_way(tmp_path: Path, start: Start) -> None:
    first = start()
    assert first.says() == "working"
    assert first.leave() == "left"
    assert list((tmp_path / "work").iterdir()) == []
    with hold_lease(tmp_path / "work"):
        assert read_claim(tmp_path / "work") is not None


def test_a_process_that_fails_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold_lease(tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_on_one_machine_the_work_of_a_killed_process_is_taken_over_at_once(
    tmp_path: Path, start: Start
) -> None:
    first = start()
    assert first.says() == "working"
    first.send(signal.SIGKILL)
    assert read_claim(tmp_path / "work") is not None
    clock = time.monotonic()
    with hold_lease(tmp_path / "work"):
        assert time.monotonic() - clock < writer.LEASE_TIMEOUT_S / 5


def test_a_later_start_of_a_job_takes_over_from_a_living_one_which_is_told(
    tmp_path: Path, start: Start
) -> None:
    first = start(job(0))
    assert first.says() == "working"
    second = start(job(1))
    assert first.says() == "lost"
    first.tell()
    assert first.says().startswith("SupersededError")
    claim = read_claim(tmp_path / "work")
    assert claim is not None
    assert (claim.pid, claim.start) == (second.process.pid, 1)
    assert first.leave() == "left"
    assert second.says() == "working"
    second.tell()
    assert second.says() == "mine"


def test_an_earlier_start_does_not_take_over_from_a_later_one(start: Start) -> None:
    second = start(job(1))
    assert second.says() == "working"
    assert start(job(0)).says().startswith("SupersededError")
    second.tell()
    assert second.says() == "mine"


def test_the_work_of_a_frozen_start_is_taken_over_and_does_not_count_when_it_thaws(
    tmp_path: Path, start: Start
) -> None:
    first = start(job(0))
    assert first.says() == "working"
    first.send(signal.SIGSTOP)
    second = start(job(1), silent_s=0.6)
    assert second.says() == "working"
    first.send(signal.SIGCONT)
    assert first.says() == "lost"
    first.tell()
    assert first.says().startswith("SupersededError")
    assert first.leave() == "left"
    claim = read_claim(tmp_path / "work")
    assert claim is not None
    assert claim.pid == second.process.pid
    second.tell()
    assert second.says() == "mine"


def test_a_claim_of_another_machine_is_taken_when_it_has_been_silent_for_long(
    tmp_path: Path, impatient: None
) -> None:
    on_another_machine(tmp_path)
    clock = time.monotonic()
    with hold_lease(tmp_path) as mine:
        assert time.monotonic() - clock >= writer.LEASE_TIMEOUT_S
        assert read_claim(tmp_path) == mine.claim


def test_a_claim_of_another_machine_that_lives_is_refused(tmp_path: Path, impatient: None) -> None:
    claim = on_another_machine(tmp_path)
    with living(tmp_path), pytest.raises(SupersededError, match="process 77 on node7"):
        hold_lease(tmp_path).__enter__()
    assert read_claim(tmp_path) == claim


def test_a_later_start_waits_for_an_earlier_one_elsewhere_to_fall_silent(
    tmp_path: Path, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_another_machine(tmp_path, job="queue 12")
    monkeypatch.setenv(VARIABLE, msgspec.json.encode(job(1)).decode())
    begun = threading.Event()

    def take() -> None:
        with hold_lease(tmp_path):
            begun.set()

    with living(tmp_path):
        thread = threading.Thread(target=take)
        thread.start()
        while (claim := read_claim(tmp_path)) is None or claim.machine == "elsewhere":
            time.sleep(0.01)
        assert not begun.wait(2 * writer.LEASE_TIMEOUT_S)
    thread.join(timeout=30)
    assert begun.is_set()


def test_signs_of_life_go_on_and_say_how_far_the_work_is(tmp_path: Path, impatient: None) -> None:
    with hold_lease(tmp_path) as mine:
        found = read_progress(tmp_path)
        assert found is not None
        assert (found[0].done, found[0].of) == (0, 0)
        mine.report(3, 8, "images", 12.5, "5 persons")
        deadline = time.monotonic() + 30
        while (found := read_progress(tmp_path)) is None or found[0].done == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert found[0] == ProgressReport(mine.claim.token, 3, 8, "images", 12.5, "5 persons")
        assert abs(found[1] - time.time()) < 10
        while (later := read_progress(tmp_path)) is None or later[1] == found[1]:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"token": 3}'])
def test_a_damaged_claim_holds_nobody_up(tmp_path: Path, content: bytes) -> None:
    (tmp_path / writer.CLAIM).write_bytes(content)
    (tmp_path / writer.PROGRESS).write_bytes(content)
    assert read_claim(tmp_path) is None
    assert read_progress(tmp_path) is None
    with hold_lease(tmp_path) as mine:
        assert read_claim(tmp_path) == mine.claim


def test_a_folder_that_cannot_be_made_is_the_machines_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match=r"file/work: cannot be written \(Not a directory\)"):
        hold_lease(tmp_path / "file" / "work").__enter__()


def working_in(folder: Path, done: threading.Event) -> list[str]:
    """What is told to a process that waits for its turn in a folder, until it has it or has nothing to do."""
    told: list[str] = []

    def tell(claim: LeaseHolder | None, progress: ProgressReport | None) -> None:
        told.append(f"{claim and claim.pid} {progress and progress.done}")

    with in_turn(folder, Waiting(done.is_set, tell)) as mine:
        told.append("nothing to do" if mine is None else "mine")
        if mine is not None:
            mine.check_held()
    return told


def test_who_waits_is_told_who_is_at_it_and_takes_over_when_that_one_is_killed(
    tmp_path: Path, start: Start
) -> None:
    first = start()
    assert first.says() == "working"
    killing = threading.Timer(1, first.send, [signal.SIGKILL])
    killing.start()
    clock = time.monotonic()
    told = working_in(tmp_path / "work", threading.Event())
    killing.join()
    assert told[0] == f"{first.process.pid} 0"
    assert told[-1] == "mine"
    assert time.monotonic() - clock < writer.LEASE_TIMEOUT_S / 5
    assert list((tmp_path / "work").iterdir()) == []


def test_who_waits_goes_on_when_the_first_one_has_ended_in_order(tmp_path: Path, start: Start) -> None:
    first = start()
    assert first.says() == "working"
    leaving = threading.Timer(0.5, first.leave)
    leaving.start()
    assert working_in(tmp_path / "work", threading.Event())[-1] == "mine"
    leaving.join()


def test_who_waits_ends_when_there_is_nothing_left_to_do(tmp_path: Path, start: Start) -> None:
    first = start()
    assert first.says() == "working"
    done = threading.Event()
    threading.Timer(0.5, done.set).start()
    assert working_in(tmp_path / "work", done)[-1] == "nothing to do"
    first.tell()
    assert first.says() == "mine"


def test_who_waits_takes_over_from_a_frozen_process_which_notices_when_it_thaws(
    tmp_path: Path, start: Start, impatient: None
) -> None:
    first = start()
    assert first.says() == "working"
    first.send(signal.SIGSTOP)
    told = working_in(tmp_path / "work", threading.Event())
    assert told[-1] == "mine"
    with hold_lease(tmp_path / "elsewhere"):
        pass
    (tmp_path / "work" / writer.CLAIM).write_bytes(
        msgspec.json.encode(LeaseHolder("new", "node7", 7, "else", ""))
    )
    first.send(signal.SIGCONT)
    assert first.says() == "lost"
    first.tell()
    assert first.says().startswith("SupersededError")


def test_where_the_file_system_knows_no_locks_the_last_claim_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileLock, "taken", lambda _: True)
    both = threading.Barrier(2)
    words: list[str] = []

    def work() -> None:
        both.wait()
        try:
            with hold_lease(tmp_path) as mine:
                mine.check_held()
                words.append("mine")
                time.sleep(1)
        except SupersededError:
            words.append("refused")

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(words) == ["mine", "refused"]


claims = st.builds(
    LeaseHolder,
    token=st.sampled_from("abc"),
    host=st.just("node"),
    pid=st.integers(1, 99),
    machine=st.just("machine"),
    since=st.just("now"),
    job=st.sampled_from([None, "queue 1", "queue 2"]),
    start=st.integers(0, 3),
)


@given(claims, claims, claims)
def test_no_two_starts_both_take_over_from_each_other(
    one: LeaseHolder, two: LeaseHolder, three: LeaseHolder
) -> None:
    assert not one.succeeds(one)
    assert not (one.succeeds(two) and two.succeeds(one))
    if one.succeeds(two) and two.succeeds(three):
        assert one.succeeds(three)
    if one.job is None or one.job != two.job:
        assert not one.succeeds(two)


@given(claims)
def test_a_claim_is_read_as_it_was_written(claim: LeaseHolder) -> None:
    assert msgspec.json.decode(msgspec.json.encode(claim), type=LeaseHolder) == claim
    assert json.loads(msgspec.json.encode(claim))["host"] == "node"


def test_who_was_taken_over_from_while_frozen_notices_that_the_other_has_finished(tmp_path: Path) -> None:
    with hold_lease(tmp_path) as mine:
        mine.check_held()
        (tmp_path / writer.CLAIM).unlink()  # as the other one does in the end
        with pytest.raises(SupersededError, match="another process, which has finished"):
            mine.check_held()
        assert mine.lost
        assert not mine.has_successor
