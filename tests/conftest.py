"""Shared fixtures: where golden numbers and real samples are."""

import ctypes
import gzip
import os
import shutil
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
from support.cluster.slurm_cluster import cluster, slurm_programs
from support.goldens import DATA
from support.plugins import install_fake_distribution, python_path
from support.requirements import everything_is_required
from support.skips import mark_by_fixtures, pytest_terminal_summary

__all__ = ["cluster", "pytest_terminal_summary", "slurm_programs"]

# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("no-deadline", deadline=None)
hypothesis.settings.load_profile("no-deadline")

# Before anything imports PyTorch, and for all processes that tests start: as many threads as there are
# processors, shared by the workers. Threads that wait for a processor make each other wait.
_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ["OMP_NUM_THREADS"] = str(max(1, len(os.sched_getaffinity(0)) // _workers))


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """Let Ctrl-C through: a shell ignores it for what it starts in the background, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the checks of a method or a dataset in one process: they share what the first one computes.

    First, because pytest-xdist reads the groups in this hook, too.
    """
    mark_by_fixtures(items)
    from crowdbench.testing import DatasetContract, MethodContract

    for item in items:
        cls = getattr(item, "cls", None)
        if cls is not None and issubclass(cls, MethodContract | DatasetContract):
            item.add_marker(pytest.mark.xdist_group(f"{cls.__module__}.{cls.__qualname__}"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Groups keep what is shared in one process; some pairs of pytest and pytest-xdist ignore them silently."""
    if getattr(session.config.option, "loadgroup", False):
        lost = [i for i in session.items if i.get_closest_marker("xdist_group") and "@" not in i.nodeid]
        if lost:
            raise pytest.UsageError(
                f"pytest-xdist does not group {len(lost)} tests, as {lost[0].nodeid}: use constraints.txt"
            )


@pytest.fixture(scope="module", autouse=True)
def _freed_memory_is_returned() -> Iterator[None]:
    """A process that has run a network keeps what it frees; workers would grow to many gigabytes."""
    yield
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


SHARED = Path(__file__).resolve().parents[2] / "shared"


def _shared(name: str) -> Path:
    path = SHARED / name
    if path.is_dir():
        return path
    if everything_is_required():
        pytest.fail(f"{path} is missing; the reference data must be beside the repository")
    pytest.skip(f"needs the reference data in {path}")


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of golden numbers measured on the original implementations."""
    return _shared("reference")


@pytest.fixture(scope="session")
def compact_goldens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden numbers of tests/data, laid out like the whole ones; compressed files also decompressed."""
    folder = tmp_path_factory.mktemp("goldens") / "data"
    shutil.copytree(DATA, folder)
    for path in folder.rglob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    return folder


@pytest.fixture(scope="session", params=["compact", pytest.param("whole", marks=pytest.mark.reference)])
def goldens(request: pytest.FixtureRequest) -> Path:
    """The golden numbers of this repository, and the whole ones where they are."""
    try:
        found: Path = request.getfixturevalue(
            "compact_goldens" if request.param == "compact" else "reference"
        )
    except pytest.skip.Exception:
        pytest.skip("compared with the compact golden numbers only")
    return found


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real samples of CrowdPose, OCHuman and COCO."""
    return _shared("data")


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of small inputs that went wrong."""
    return _shared("cases")


@pytest.fixture(scope="session")
def toy_plugins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which a distribution named "toys" is installed, with methods of support.methods."""
    site = tmp_path_factory.mktemp("site")
    methods = {
        "toy-network": "support.methods.toy:ToyNetwork",
        "toy-centre": "support.methods.toy:BoxCentre",
        "toy-wrong-count": "support.methods.toy:WrongCount",
        "toy-trainable": "support.methods.trainable:TrainableToy",
    }
    install_fake_distribution(site, "toys", {"methods": methods})
    path = python_path(site, before=os.environ.get("PYTHONPATH", ""))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Names that are not text are written out: reports travel between processes as UTF-8."""
    report = yield
    report.sections = [(title, _encodable(text)) for title, text in report.sections]
    return report


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
